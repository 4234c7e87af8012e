import { describe, expect, it } from 'vitest';
import { consumerId, incarnation, type NodeId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeCancel,
  writeContinue,
  writeCount,
  writeDeleteQueue,
  writeFence,
  writeRelease,
} from '../../../src/queue/commands.ts';
import { STEP_SHARES } from '../../../src/queue/limits.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  enqueue,
  get,
  outcomes,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const cancel =
  (consumer: number): Write =>
  out =>
    writeCancel(out, consumerId(consumer));
const release =
  (consumer: number): Write =>
  out =>
    writeRelease(out, consumerId(consumer));
const fence =
  (node: NodeId): Write =>
  out =>
    writeFence(out, node, incarnation(1));
const goOn: Write = out => writeContinue(out);

/** A queue with a single active consumer, and these consumers of Alice. */
function alone(...writes: Write[]): ShardDriver {
  const driver = new ShardDriver();
  driver.run(ALICE, declare(QUEUE, { singleActive: true }), ...writes);
  return driver;
}

const statesOf = (driver: ShardDriver, node: NodeId = ALICE): string[] =>
  driver.machine
    .consumersOf(node, driver.sender(node).incarnation)
    .map(({ consumer, state }) => `${consumer} ${state}`);
const servedBy = (driver: ShardDriver, ...writes: Write[]): number[] =>
  driver.deliveries(driver.run(BOB, ...writes)).map(({ consumer }) => consumer);

describe('a queue with a single active consumer', () => {
  it('serves the first that came, whatever priorities the later ones have', () => {
    const driver = alone(consume(1), consume(2), consume(3, { priority: 7 }));
    expect(statesOf(driver)).toEqual(['1 active', '2 waiting', '3 waiting']);
    expect(servedBy(driver, enqueue('a'), enqueue('b'))).toEqual([1, 1]);
  });

  it('holds its messages back when the active one has no credit', () => {
    const driver = alone(consume(1, { prefetch: 1 }), consume(2));
    expect(servedBy(driver, enqueue('a'), enqueue('b'))).toEqual([1]);
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1, unacked: 1, consumers: 2 }]);
  });

  it('goes on at once with the next when the active one is cancelled: by priority, then by age', () => {
    const driver = alone(
      consume(1, { prefetch: 1 }),
      consume(2),
      consume(3, { priority: 7 }),
      consume(4),
      enqueue('a'),
    );
    expect(driver.bodies(driver.run(ALICE, enqueue('b'), cancel(1)))).toEqual(['b']);
    expect(statesOf(driver)).toEqual(['1 cancelled', '2 waiting', '3 active', '4 waiting']);
    driver.run(ALICE, cancel(3));
    expect(statesOf(driver)).toContain('2 active');
    driver.run(ALICE, cancel(2));
    expect(servedBy(driver, enqueue('c'))).toEqual([4]);
  });

  it('leaves with a cancelled consumer what it holds, and gives what it returns to the next', () => {
    const driver = alone(consume(1), consume(2), enqueue('a'), enqueue('b'));
    driver.run(ALICE, cancel(1), enqueue('c'));
    expect(driver.machine.overview().queues).toMatchObject([{ unacked: 3 }]);
    const returned = driver.deliveries(driver.run(ALICE, settle(Settlement.return, 1, 2, 2)));
    expect(returned).toMatchObject([{ consumer: 2, body: 'b', redelivered: true }]);
    // Its end is nobody's turn any more.
    driver.run(ALICE, release(1));
    expect(statesOf(driver)).toEqual(['2 active']);
  });

  it('gives the next everything in its order that the one before had not settled when it went', () => {
    const driver = alone(consume(1), consume(2), enqueue('a'), enqueue('b'));
    const deliveries = driver.deliveries(driver.run(ALICE, enqueue('c'), release(1)));
    expect(deliveries.map(({ consumer, body, redelivered }) => [consumer, body, redelivered])).toEqual([
      [2, 'a', true],
      [2, 'b', true],
      [2, 'c', false],
    ]);
  });

  it('goes on with a consumer of another node when the incarnation of the active one is fenced', () => {
    const driver = alone(consume(1), consume(2, { priority: 1 }), enqueue('a'));
    driver.run(BOB, consume(1));
    const deliveries = driver.deliveries(driver.lead(fence(ALICE)));
    expect(deliveries).toMatchObject([{ node: BOB, consumer: 1, body: 'a', redelivered: true }]);
    expect(statesOf(driver, BOB)).toEqual(['1 active']);
  });

  it.each([
    ['goes', (driver: ShardDriver) => driver.run(ALICE, release(1))],
    ['is fenced', (driver: ShardDriver) => driver.lead(fence(ALICE))],
  ])('waits with the next until all is back when one that holds very much %s, over a restart too', (_how, end) => {
    const driver = alone(consume(1));
    driver.run(BOB, consume(1));
    const count = STEP_SHARES.settlements + 1_000;
    for (let sent = 0; sent < count; sent += 1_000)
      driver.run(BOB, ...Array.from({ length: 1_000 }, () => enqueue('m')));
    driver.run(BOB, enqueue('new'));
    const begun = end(driver);
    expect(begun.deliveries.length).toBe(0);
    expect(begun.continuationWanted).toBe(true);
    driver.machine.checkInvariants();
    driver.restore();
    const bodies = driver.bodies(driver.lead(goOn)).concat(driver.bodies(driver.lead(goOn)));
    driver.machine.checkInvariants();
    expect(bodies).toHaveLength(count + 1);
    expect(bodies.indexOf('new')).toBe(count);
  });

  it('knows who is active and who is next after a restart', () => {
    const driver = alone(consume(1), consume(2), consume(3, { priority: -1 }));
    driver.restore();
    driver.run(BOB, consume(4));
    expect(statesOf(driver, BOB)).toEqual(['4 waiting']);
    expect(servedBy(driver, enqueue('a'))).toEqual([1]);
    driver.run(ALICE, release(1));
    expect(statesOf(driver)).toEqual(['2 active', '3 waiting']);
    driver.run(ALICE, release(2));
    expect(statesOf(driver, BOB)).toEqual(['4 active']);
  });

  it('forgets those who go while they wait', () => {
    const driver = alone(consume(1), consume(2), consume(3));
    driver.run(ALICE, release(2), cancel(1));
    expect(statesOf(driver)).toEqual(['1 cancelled', '3 active']);
    expect(servedBy(driver, enqueue('a'))).toEqual([3]);
  });

  it('starts over with whoever comes when all are gone', () => {
    const driver = alone(consume(1), consume(2));
    driver.run(ALICE, cancel(2), cancel(1), enqueue('a'));
    expect(driver.deliveries(driver.run(BOB, consume(9)))).toMatchObject([{ consumer: 9, body: 'a' }]);
  });

  it('counts those who wait as consumers, and goes with the last of them if it is to', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { singleActive: true, autoDelete: true }), consume(1), consume(2));
    expect(outcomes(driver.run(BOB, out => writeCount(out, QUEUE)))).toMatchObject([{ consumers: 2 }]);
    driver.run(ALICE, release(1));
    expect(driver.machine.overview().queues).toHaveLength(1);
    driver.run(ALICE, release(2));
    expect(driver.machine.overview().queues).toEqual([]);
  });

  it('tells those who wait, too, when it is deleted', () => {
    const driver = alone(consume(1), consume(2));
    const effects = driver.run(BOB, out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false }));
    expect(effects.consumersCancelled.map(({ consumer }) => consumer)).toEqual([1, 2]);
    driver.machine.checkInvariants();
  });

  it('refuses an exclusive consumer, and lets anybody get a message', () => {
    const driver = alone();
    expect(outcomes(driver.run(ALICE, consume(1, { exclusive: true })))).toEqual([{ kind: 'exclusive-refused' }]);
    driver.run(ALICE, consume(1, { prefetch: 1 }), enqueue('a'), enqueue('b'));
    expect(outcomes(driver.run(BOB, get(5)))).toMatchObject([{ kind: 'message', readyLeft: 0 }]);
  });
});
