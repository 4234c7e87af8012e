import { describe, expect, it } from 'vitest';
import {
  bind,
  bootstrap,
  changeAccess,
  checkCommand,
  connectionClosed,
  declareExchange,
  declareQueue,
  expireIncarnation,
  join,
  type MetadataCommand,
  REQUEST_WINDOW,
  registerStart,
  removeQueue,
  setShardReplicas,
  updateAddress,
} from '../../../src/cluster/metadata/metadata-commands.ts';
import { groupId, incarnation, nodeId } from '../../../src/lib/ids.ts';
import { binding, exchangeNamed, formedCluster, MetadataLog, owner, queueNamed } from '../../support/metadata.ts';

const declare = (name: string, more: Parameters<typeof queueNamed>[1] = {}) =>
  declareQueue({ ...queueNamed(name, more), preferredShard: undefined });
const exclusive = (name: string, connection: number, node = 1) =>
  declare(name, { exclusive: true, owner: owner(connection, node) });
const request = (number: number, command: MetadataCommand, seenThrough = 0, started = 1) => ({
  id: { node: nodeId(1), incarnation: incarnation(started), number, seenThrough },
  command,
});
const started = (value: number) => ({ kind: 'started', incarnation: value });
const refused = { kind: 'refused' };

describe('forming a cluster', () => {
  it('gives members, shards and the default vhost, once', () => {
    const { machine } = formedCluster();
    expect(machine.clusterId).toBe('burrow');
    expect(machine.members.list().map(({ id, name }) => [id, name])).toEqual([
      [1, 'warren-1'],
      [2, 'warren-2'],
      [3, 'warren-3'],
    ]);
    expect(machine.shards.list()).toHaveLength(6);
    expect(machine.shards.heldBy(nodeId(1))).toHaveLength(6);
    expect(machine.topology.vhosts()).toEqual(['/']);
  });

  it('takes a repeat for the same, and refuses another cluster', () => {
    const log = formedCluster();
    expect(log.run(bootstrap({ clusterId: 'burrow', members: [], shards: [] }))).toEqual({ kind: 'done' });
    expect(log.run(bootstrap({ clusterId: 'other', members: [], shards: [] }))).toMatchObject(refused);
    expect(log.machine.members.list()).toHaveLength(3);
  });
});

describe('starting a node', () => {
  const start = (token: string, directoryId = 'directory-1') => registerStart({ node: nodeId(1), directoryId, token });

  it('gives a new incarnation and fences the ones before', () => {
    const log = formedCluster();
    const effects = log.apply({ id: undefined, command: start('second') });
    expect(effects.answers[0]!.reply).toEqual(started(2));
    expect(effects.fenced).toEqual([{ node: 1, through: 1 }]);
    expect(log.machine.fencedThrough(nodeId(1))).toBe(1);
    expect(log.machine.members.currentIncarnation(nodeId(1))).toBe(2);
  });

  it('answers a repeat with the same incarnation and fences nobody', () => {
    const log = formedCluster();
    log.run(start('second'));
    const effects = log.apply(
      { id: undefined, command: start('second') },
      { id: undefined, command: start('first-1') },
    );
    expect(effects.answers.map(answer => answer.reply)).toEqual([started(2), started(1)]);
    expect(effects.fenced).toEqual([]);
    expect(log.machine.members.currentIncarnation(nodeId(1))).toBe(2);
  });

  it('is refused to a directory that is no member', () => {
    expect(formedCluster().run(start('second', 'another'))).toMatchObject(refused);
  });
});

describe('a lease that ran out', () => {
  it('ends the volatile queues of that incarnation and leaves the others', () => {
    const log = formedCluster();
    log.run(declare('durable'));
    log.run(declare('transient', { durable: false }));
    log.run(exclusive('mine', 7));
    log.run(exclusive('elsewhere', 7, 2));
    log.run(bind(binding('amq.fanout', 'transient')));
    const effects = log.apply({
      id: undefined,
      command: expireIncarnation({ node: nodeId(1), incarnation: incarnation(1) }),
    });
    const removed = effects.changes.flatMap(change => (change.kind === 'queue-removed' ? [change.queue.name] : []));
    expect(removed).toEqual(['transient', 'mine']);
    expect(effects.fenced).toEqual([{ node: 1, through: 1 }]);
    expect(log.machine.topology.queues().map(queue => queue.name)).toEqual(['durable', 'elsewhere']);
    expect(log.machine.topology.bindingsOfExchange('/', 'amq.fanout')).toEqual([]);
  });

  it('means nothing once the node has started again', () => {
    const log = formedCluster();
    log.run(registerStart({ node: nodeId(1), directoryId: 'directory-1', token: 'second' }));
    const late = expireIncarnation({ node: nodeId(1), incarnation: incarnation(1) });
    expect(log.apply({ id: undefined, command: late }).fenced).toEqual([]);
    expect(log.machine.members.currentIncarnation(nodeId(1))).toBe(2);
  });

  it('refuses everything that the incarnation still asks for', () => {
    const log = formedCluster();
    log.run(expireIncarnation({ node: nodeId(1), incarnation: incarnation(1) }));
    expect(log.apply(request(1, declare('late'))).answers[0]!.reply).toEqual({ kind: 'fenced' });
    expect(log.run(exclusive('late', 1))).toEqual({ kind: 'fenced' });
    expect(log.machine.topology.queues()).toEqual([]);
  });
});

it('ends the queues of a node that is gone step by step, and says what is left to end', () => {
  const log = formedCluster();
  log.run(registerStart({ node: nodeId(1), directoryId: 'a', token: 'first' }));
  for (let i = 0; i < 1_000; i++) log.run(exclusive(`q${i}`, 1 + (i % 7)));
  const start = { node: nodeId(1), incarnation: incarnation(1) };
  expect(log.machine.startsToEnd()).toEqual([]);
  const steps: number[] = [];
  do {
    const before = log.machine.topology.queueCount;
    log.run(expireIncarnation(start));
    steps.push(before - log.machine.topology.queueCount);
  } while (log.machine.startsToEnd().length > 0);
  expect(steps).toEqual([400, 400, 200]);
  expect(log.machine.topology.queueCount).toBe(0);
});

describe('joining', () => {
  const newcomer = { name: 'warren-4', directoryId: 'd4', address: 'warren-4:25672' };

  it('gives the next id, and the same one to a repeat', () => {
    const log = formedCluster();
    expect(log.run(join(newcomer))).toEqual({ kind: 'joined', node: 4 });
    expect(log.run(join({ ...newcomer, address: 'moved:25672' }))).toEqual({ kind: 'joined', node: 4 });
    expect(log.machine.members.get(nodeId(4))?.address).toBe('moved:25672');
  });

  it('lets another directory take over a name and fences the participant before it for ever', () => {
    const log = formedCluster();
    log.run(exclusive('mine', 7));
    const effects = log.apply({ id: undefined, command: join({ ...newcomer, name: 'warren-1' }) });
    expect(effects.answers[0]!.reply).toEqual({ kind: 'joined', node: 4 });
    expect(effects.fenced).toEqual([{ node: 1, through: 1 }]);
    const { members, topology } = log.machine;
    expect(members.get(nodeId(4))?.replaces).toBe(1);
    expect(members.named('warren-1')?.id).toBe(4);
    expect(members.list().map(member => member.id)).toEqual([2, 3, 4]);
    expect(topology.queue('/', 'mine')).toBeUndefined();
    const old = { node: nodeId(1), directoryId: 'directory-1' };
    expect(log.run(registerStart({ ...old, token: 'again' }))).toMatchObject(refused);
    expect(log.run(join({ name: 'warren-1', directoryId: 'directory-1', address: 'x' }))).toMatchObject(refused);
  });

  it('waits for the cluster to be formed', () => {
    expect(new MetadataLog().run(join(newcomer))).toMatchObject({ kind: 'refused', error: { code: 'unavailable' } });
  });

  it('lets members move to other addresses', () => {
    const log = formedCluster();
    log.run(updateAddress({ node: nodeId(2), address: 'new:1' }));
    expect(log.machine.members.get(nodeId(2))?.address).toBe('new:1');
    expect(log.run(updateAddress({ node: nodeId(9), address: 'new:1' }))).toMatchObject(refused);
  });
});

describe('the shard map', () => {
  it('moves replicas among members and counts its changes', () => {
    const log = formedCluster();
    const before = log.machine.shards.version;
    const shard = { group: groupId(1), replicas: [nodeId(3), nodeId(2)], preferredLeader: nodeId(3) };
    expect(log.apply({ id: undefined, command: setShardReplicas(shard) }).shardsChanged).toBe(true);
    expect(log.machine.shards.get(groupId(1))?.replicas).toEqual([2, 3]);
    expect(log.machine.shards.version).toBe(before + 1);
    expect(log.run(setShardReplicas({ ...shard, replicas: [nodeId(9)], preferredLeader: nodeId(9) }))).toMatchObject(
      refused,
    );
    expect(log.run(setShardReplicas({ ...shard, preferredLeader: nodeId(1) }))).toMatchObject(refused);
  });
});

describe('queues', () => {
  it('go to the preferred shard and are counted there until they are removed', () => {
    const log = formedCluster();
    const reply = log.run(declareQueue({ ...queueNamed('q'), preferredShard: groupId(5) }));
    expect(reply).toMatchObject({ kind: 'queue-declared', created: true, queue: { name: 'q', home: { group: 5 } } });
    expect(log.machine.queuesInShard(groupId(5))).toBe(1);
    const id = log.machine.topology.queue('/', 'q')!.id;
    log.run(removeQueue(id));
    expect(log.run(removeQueue(id))).toEqual({ kind: 'done' });
    expect(log.machine.queuesInShard(groupId(5))).toBe(0);
  });

  it('end with their connection when they are exclusive', () => {
    const log = formedCluster();
    log.run(exclusive('mine', 7));
    log.run(exclusive('other', 8));
    log.run(declare('transient', { durable: false, owner: owner(7) }));
    log.run(connectionClosed(owner(7)));
    expect(log.machine.topology.queues().map(queue => queue.name)).toEqual(['other', 'transient']);
  });

  it('of one name in two vhosts are two', () => {
    const log = formedCluster();
    log.run(changeAccess({ kind: 'put-vhost', vhost: 'test', description: '', tags: [] }));
    log.run(declare('q'));
    log.run(declare('q', { vhost: 'test' }));
    expect(log.machine.topology.queues('test').map(queue => queue.id)).toEqual([2]);
  });
});

describe('a request that comes again', () => {
  it('gets the reply of the first time and changes nothing', () => {
    const log = formedCluster();
    const first = log.apply(request(1, declare('q'))).answers[0]!.reply;
    log.apply(request(2, removeQueue(log.machine.topology.queue('/', 'q')!.id)));
    const effects = log.apply(request(1, declare('q')));
    expect(effects.answers[0]!.reply).toEqual(first);
    expect(effects.changes).toEqual([]);
    expect(log.machine.topology.queue('/', 'q')).toBeUndefined();
  });

  it('gets a refusal again, too', () => {
    const log = formedCluster();
    const exchange = declareExchange(exchangeNamed('x', 'odd'));
    const first = log.apply(request(1, exchange)).answers[0]!.reply;
    expect(first).toMatchObject({ kind: 'refused', error: { code: 'unknown-exchange-type' } });
    expect(log.apply(request(1, exchange)).answers[0]!.reply).toEqual(first);
  });

  it('is not executed when the sender has seen the reply', () => {
    const log = formedCluster();
    log.apply(request(1, declare('q')));
    log.apply(request(2, declare('other'), 1));
    expect(log.apply(request(1, declare('q'))).answers[0]!.reply).toEqual({ kind: 'forgotten' });
  });

  it('may be one of many that are open, in any order, within the window', () => {
    const log = formedCluster();
    expect(log.apply(request(REQUEST_WINDOW, declare('last'))).answers[0]!.reply.kind).toBe('queue-declared');
    expect(log.apply(request(1, declare('first'))).answers[0]!.reply.kind).toBe('queue-declared');
    expect(log.apply(request(REQUEST_WINDOW + 1, declare('beyond'))).answers[0]!.reply).toMatchObject({
      kind: 'refused',
      error: { code: 'unavailable' },
    });
  });

  it('is another request in another incarnation', () => {
    const log = formedCluster();
    log.apply(request(1, declare('q')));
    log.run(registerStart({ node: nodeId(1), directoryId: 'directory-1', token: 'second' }));
    const again = request(1, declare('r', { owner: owner(1, 1, 2) }), 0, 2);
    expect(log.apply(again).answers[0]!.reply).toMatchObject({ kind: 'queue-declared', created: true });
  });
});

it('answers the requests of one entry in their order', () => {
  const log = formedCluster();
  const { answers } = log.apply(
    request(1, declare('a')),
    { id: undefined, command: declare('a') },
    request(2, declare('b')),
  );
  expect(answers.map(({ id }) => id?.number)).toEqual([1, undefined, 2]);
  expect(answers.map(({ reply }) => reply.kind === 'queue-declared' && reply.created)).toEqual([true, false, true]);
});

it('finds requests too large to be replicated before they are', () => {
  expect(checkCommand(declare('q'.repeat(256)))).toMatchObject({ code: 'invalid' });
  expect(checkCommand(bind(binding('amq.direct', 'q', 'k'.repeat(256))))).toMatchObject({ code: 'invalid' });
  expect(checkCommand(declare('q'))).toBeUndefined();
});
