import { describe, expect, it } from 'vitest';
import { consumerId, incarnation } from '../../../src/lib/ids.ts';
import { Settlement } from '../../../src/queue/commands.ts';
import { ALICE, BOB, consume, declare, enqueue, ShardDriver, settle } from '../../support/shard-driver.ts';

const STARTED = incarnation(1);

describe('what a new leader reads', () => {
  it('are the deliveries that a node has not received, without those that were settled', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'), enqueue('b'), enqueue('c'), enqueue('d'));
    driver.run(ALICE, settle(Settlement.settle, 1, 3, 3));
    const deliveries = driver.machine.unsettledAfter(ALICE, STARTED, consumerId(1), 1)!;
    expect(driver.deliveries({ deliveries }).map(({ number, body }) => [number, body])).toEqual([
      [2, 'b'],
      [4, 'd'],
    ]);
    expect(driver.machine.consumersOf(ALICE, STARTED)).toMatchObject([{ consumer: 1, lastDelivery: 4, unsettled: 3 }]);
  });

  it('is that a consumer is unknown', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare());
    expect(driver.machine.unsettledAfter(ALICE, STARTED, consumerId(1), 0)).toBeUndefined();
    expect(driver.machine.unsettledAfter(BOB, STARTED, consumerId(1), 0)).toBeUndefined();
  });
});

describe('live references', () => {
  it('are those of the wanted entries whose messages are alive', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 2 }));
    for (const body of ['a', 'b', 'c', 'd']) driver.run(ALICE, enqueue(body));
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 1));
    const entries = [...driver.machine.liveReferences(2, 4)].flatMap(({ entries: list }) => list);
    expect(entries).toEqual([3, 4]);
  });
});

describe('shard time', () => {
  it('never goes back', () => {
    const driver = new ShardDriver();
    driver.index = 1_000;
    driver.run(ALICE, declare());
    expect(driver.machine.timeMs).toBe(1_000);
    const early = new Uint8Array(9);
    early[0] = 1;
    driver.applyPayload(early);
    expect(driver.machine.timeMs).toBe(1_000);
  });
});
