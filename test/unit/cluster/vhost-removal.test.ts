import { describe, expect, it } from 'vitest';
import type { AccessCommand } from '../../../src/broker/access/access-commands.ts';
import {
  changeAccess,
  declareExchange,
  declareQueue,
  removeQueue,
} from '../../../src/cluster/metadata/metadata-commands.ts';
import {
  exchangeNamed,
  formedCluster,
  type MetadataLog,
  queueNamed,
  restoredFrom,
  stateOf,
} from '../../support/metadata.ts';

const change = (log: MetadataLog, command: AccessCommand) => log.run(changeAccess(command));
const step = (log: MetadataLog) => change(log, { kind: 'continue-vhost-removal', vhost: 'test' });
const queue = (name: string, durable: boolean, vhost = 'test') =>
  declareQueue({ ...queueNamed(name, { vhost, durable }), preferredShard: undefined });

function withVhost(): MetadataLog {
  const log = formedCluster();
  change(log, { kind: 'put-vhost', vhost: 'test', description: '', tags: [] });
  return log;
}

describe('the removal of a vhost', () => {
  it('takes volatile queues and exchanges in steps, and itself when the shards have deleted theirs', () => {
    const log = withVhost();
    for (let i = 0; i < 250; i++) log.run(declareExchange(exchangeNamed(`x-${i}`, 'topic', { vhost: 'test' })));
    for (let i = 0; i < 250; i++) log.run(queue(`volatile-${i}`, false));
    log.run(queue('replicated', true));
    const { id } = log.machine.topology.queue('test', 'replicated')!;
    change(log, { kind: 'delete-vhost', vhost: 'test' });
    const { topology, access } = log.machine;
    step(log);
    expect(topology.queueCountIn('test')).toBe(51);
    step(log);
    expect(topology.queueCountIn('test')).toBe(1);
    step(log);
    expect(topology.hasVhost('test')).toBe(true);
    log.run(removeQueue(id));
    step(log);
    expect(topology.exchanges('test').length).toBe(57);
    step(log);
    expect(topology.hasVhost('test')).toBe(false);
    expect(access.vhost('test')).toBeUndefined();
    expect(topology.exchanges('test')).toEqual([]);
  });

  it('goes on the same on a replica that was restored in between', () => {
    const log = withVhost();
    for (let i = 0; i < 300; i++) {
      const name = `user-${i}`;
      change(log, { kind: 'put-user', user: name, mustBeNew: true, password: 'none', tags: [] });
      const all = { configure: '', write: '', read: '' };
      change(log, { kind: 'set-permissions', user: name, vhost: 'test', ...all });
    }
    change(log, { kind: 'delete-vhost', vhost: 'test' });
    const other = formedCluster();
    other.machine = restoredFrom(log.machine);
    let steps = 0;
    for (; log.machine.topology.hasVhost('test'); steps++) {
      step(log);
      step(other);
      expect(stateOf(other.machine)).toEqual(stateOf(log.machine));
    }
    expect(steps).toBeGreaterThan(1);
    expect(log.machine.access.users().length).toBe(301);
  });

  it('lets nothing be declared meanwhile', () => {
    const log = withVhost();
    log.run(queue('replicated', true));
    change(log, { kind: 'delete-vhost', vhost: 'test' });
    for (const command of [queue('q', true), declareExchange(exchangeNamed('x', 'topic', { vhost: 'test' }))]) {
      expect(log.run(command)).toEqual({ kind: 'refused', error: { code: 'no-vhost', vhost: 'test' } });
    }
  });

  it('is nothing for a vhost that is not being deleted', () => {
    const log = withVhost();
    expect(step(log)).toEqual({ kind: 'done' });
    expect(log.machine.topology.hasVhost('test')).toBe(true);
  });
});

it('refuses a new queue above the limit of its vhost, in the words of RabbitMQ, and not one that is there', () => {
  const log = formedCluster();
  const limits = { connectionsMax: undefined, queuesMax: 1 };
  change(log, { kind: 'set-vhost-limits', vhost: '/', limits });
  expect(log.run(queue('first', true, '/'))).toMatchObject({ kind: 'queue-declared' });
  expect(log.run(queue('first', true, '/'))).toMatchObject({ kind: 'queue-declared', created: false });
  const text = "cannot declare queue 'second': queue limit in vhost '/' (1) is reached";
  expect(log.run(queue('second', true, '/'))).toEqual({ kind: 'refused', error: { code: 'invalid', text } });
  change(log, { kind: 'set-vhost-limits', vhost: '/', limits: { connectionsMax: undefined, queuesMax: undefined } });
  expect(log.run(queue('second', true, '/'))).toMatchObject({ kind: 'queue-declared' });
});
