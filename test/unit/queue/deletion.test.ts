import { describe, expect, it } from 'vitest';
import { consumerId, incarnation, queueId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeCancel,
  writeContinue,
  writeDeleteQueue,
  writeFence,
  writeNameRemoved,
  writePurge,
  writeRelease,
} from '../../../src/queue/commands.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  enqueue,
  outcomes,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const remove =
  (conditions: { ifUnused?: boolean; ifEmpty?: boolean } = {}): Write =>
  out =>
    writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false, ...conditions });
const nameRemoved =
  (topologyIndex: number): Write =>
  out =>
    writeNameRemoved(out, QUEUE, topologyIndex);

describe('deleting a queue', () => {
  it('drops its messages, cancels its consumers and asks for its name to be removed', () => {
    const driver = new ShardDriver();
    const published = driver.run(ALICE, declare(), consume(1, { prefetch: 1 }), enqueue('a'), enqueue('b'));
    const effects = driver.run(BOB, remove());
    expect(outcomes(effects)).toEqual([{ kind: 'deleted', messages: 1 }]);
    expect(effects.consumersCancelled).toEqual([{ node: ALICE, incarnation: 1, consumer: 1, queue: QUEUE }]);
    expect(effects.queuesDeleted).toEqual([{ id: QUEUE, vhost: '/', name: 'queue-7' }]);
    expect(driver.machine.overview()).toMatchObject({ queues: [], messages: { deleted: 2, ready: 0, checkedOut: 0 } });
    expect(effects.bodiesReleased).toEqual(published.bodiesAdded);
  });

  it('is refused while it is in use or not empty, if so wished', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'));
    expect(outcomes(driver.run(ALICE, remove({ ifEmpty: true })))).toEqual([{ kind: 'not-empty' }]);
    driver.run(ALICE, consume(1));
    expect(outcomes(driver.run(ALICE, remove({ ifUnused: true })))).toEqual([{ kind: 'in-use' }]);
    expect(outcomes(driver.run(ALICE, remove({ ifEmpty: true })))).toEqual([{ kind: 'deleted', messages: 0 }]);
  });

  it('remembers the lost consumer until its node releases it, so that the notice outlives the leader', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'));
    driver.run(BOB, remove());
    const views = () => driver.machine.consumersOf(ALICE, incarnation(1));
    expect(views()).toMatchObject([{ consumer: 1, state: 'queue-deleted', unsettled: 0 }]);
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 1), out => writeRelease(out, consumerId(1)));
    expect(views()).toEqual([]);
  });

  it('is followed by a tombstone: a late declaration does not bring the queue back', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), remove());
    expect(outcomes(driver.run(BOB, declare(), enqueue('late')))).toEqual([
      { kind: 'no-such-queue' },
      { kind: 'no-such-queue' },
    ]);
  });

  it('waits for the removal of the name, then for every node to have seen it, then is forgotten', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), remove());
    driver.run(BOB);
    expect(driver.machine.pendingNameRemovals()).toEqual([{ id: QUEUE, vhost: '/', name: 'queue-7' }]);
    driver.lead(nameRemoved(50));
    expect(driver.machine.pendingNameRemovals()).toEqual([]);
    driver.sender(ALICE).topologyIndex = 50;
    driver.run(ALICE);
    expect(driver.machine.overview().tombstones).toBe(1);
    driver.sender(BOB).topologyIndex = 60;
    driver.run(BOB);
    expect(driver.machine.overview().tombstones).toBe(0);
  });

  it('is not undone by a node that comes late with an old topology', () => {
    const driver = new ShardDriver();
    driver.sender(ALICE).topologyIndex = 50;
    driver.run(ALICE, declare(), remove());
    driver.lead(nameRemoved(50));
    expect(driver.machine.overview().tombstones).toBe(0);
    expect(outcomes(driver.run(BOB, declare()))).toEqual([{ kind: 'stale-topology' }]);
    driver.sender(BOB).topologyIndex = 50;
    expect(outcomes(driver.run(BOB, declare(queueId(8))))).toEqual([]);
  });
});

describe('an auto-delete queue', () => {
  const autoDelete = declare(QUEUE, { autoDelete: true });

  it('goes with its last consumer', () => {
    for (const end of ['cancel', 'release', 'fence']) {
      const driver = new ShardDriver();
      driver.run(ALICE, autoDelete, consume(1), enqueue('a'));
      driver.run(BOB, consume(1));
      driver.run(BOB, out => writeCancel(out, consumerId(1)));
      expect(driver.machine.overview().queues.length).toBe(1);
      if (end === 'cancel') driver.run(ALICE, out => writeCancel(out, consumerId(1)));
      if (end === 'release') driver.run(ALICE, out => writeRelease(out, consumerId(1)));
      if (end === 'fence') driver.lead(out => writeFence(out, ALICE, incarnation(1)));
      expect(driver.machine.overview().queues).toEqual([]);
      expect(driver.machine.pendingNameRemovals()).toMatchObject([{ id: QUEUE }]);
      driver.machine.checkInvariants();
    }
  });

  it('stays as long as it never had a consumer', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, autoDelete, enqueue('a'));
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1 }]);
  });
});

describe('a purge', () => {
  const purge: Write = out => writePurge(out, QUEUE);

  it('drops what is ready and leaves what consumers hold', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 1 }), enqueue('a'), enqueue('b'), enqueue('c'));
    expect(outcomes(driver.run(ALICE, purge))).toEqual([{ kind: 'purged', messages: 2 }]);
    expect(driver.machine.overview().messages).toMatchObject({ purged: 2, checkedOut: 1, ready: 0 });
  });

  it('of a long queue is answered at once; the bodies are released in steps', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare());
    for (let i = 0; i < 30; i++) driver.run(ALICE, ...Array.from({ length: 1_000 }, () => enqueue('a')));
    const effects = driver.run(ALICE, purge, enqueue('after'));
    expect(outcomes(effects)).toEqual([{ kind: 'purged', messages: 30_000 }]);
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1 }]);
    let released = effects.bodiesReleased.entries.length;
    for (; driver.machine.continuationWanted; released += driver.lead(writeContinue).bodiesReleased.entries.length) {
      driver.machine.checkInvariants();
    }
    expect(released).toBeGreaterThanOrEqual(30);
    expect(driver.bodies(driver.run(ALICE, consume(1)))).toEqual(['after']);
  });
});
