import { expect, it } from 'vitest';
import { incarnation, type QueueId, queueId } from '../../../src/lib/ids.ts';
import { writeDeleteQueue } from '../../../src/queue/commands.ts';
import { LeadingShard } from '../../support/leading-shard.ts';
import { ALICE, declare, ShardDriver, type Write } from '../../support/shard-driver.ts';

const QUEUE = queueId(7);
const silent = {
  isCongested: false,
  attached: () => {},
  answered: () => {},
  deliver: () => {},
  consumerCancelled: () => {},
  refused: () => {},
  detached: () => {},
};

function shardWithDeletedQueue(removeName: (queue: QueueId) => Promise<number>): LeadingShard {
  const shard = new LeadingShard();
  shard.removeName = removeName;
  const sender = new ShardDriver();
  const attach = { node: ALICE, incarnation: incarnation(1), attach: 1, answeredThrough: 0, consumers: [] };
  shard.leader.attach(attach, silent);
  const remove: Write = out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false });
  shard.leader.batch(ALICE, sender.batch(ALICE, [declare(), remove]));
  shard.commitAll();
  return shard;
}

it('asks group 0 again to remove a name until it has done so', async () => {
  let asked = 0;
  const shard = shardWithDeletedQueue(async () => {
    if (++asked < 3) throw new Error('group 0 has no leader');
    return 40;
  });
  for (let i = 0; i < 5; i++) {
    await Promise.resolve();
    await Promise.resolve();
    shard.leader.review();
    shard.commitAll();
  }
  expect(asked).toBe(3);
  expect(shard.machine.pendingNameRemovals()).toEqual([]);
});

it('asks for one name once at a time, and a new leader asks anew', async () => {
  const asked: QueueId[] = [];
  const shard = shardWithDeletedQueue(queue => {
    asked.push(queue);
    return new Promise(() => {});
  });
  shard.leader.review();
  shard.leader.review();
  expect(asked).toEqual([QUEUE]);
  shard.changeLeader();
  expect(asked).toEqual([QUEUE, QUEUE]);
});

it('asks for a hundred names at a time when thousands of queues go at once', async () => {
  const shard = new LeadingShard();
  const asked: QueueId[] = [];
  const answers: (() => void)[] = [];
  shard.removeName = queue => {
    asked.push(queue);
    return new Promise(resolve => answers.push(() => resolve(40)));
  };
  const sender = new ShardDriver();
  const attach = { node: ALICE, incarnation: incarnation(1), attach: 1, answeredThrough: 0, consumers: [] };
  shard.leader.attach(attach, silent);
  const queues = Array.from({ length: 250 }, (_, i) => declare(queueId(i + 1), { expiresMs: 10 }));
  shard.leader.batch(ALICE, sender.batch(ALICE, queues));
  shard.commitAll();
  shard.clock.advance(10);
  shard.commitAll();
  for (const total of [100, 200, 250]) {
    expect(asked).toHaveLength(total);
    for (const answer of answers.splice(0)) answer();
    await new Promise(resolve => setImmediate(resolve));
    shard.commitAll();
    shard.leader.review();
  }
  expect(shard.machine.pendingNameRemovals()).toEqual([]);
  expect(new Set(asked).size).toBe(250);
});

it('serves those who attached before it was ready once it is', () => {
  const shard = new LeadingShard();
  shard.leader.stop();
  let attached = 0;
  const link = { ...silent, attached: () => attached++ };
  shard.leader.attach({ node: ALICE, incarnation: incarnation(1), attach: 1, answeredThrough: 0, consumers: [] }, link);
  expect(attached).toBe(0);
  shard.leader.serve();
  expect(attached).toBe(1);
});
