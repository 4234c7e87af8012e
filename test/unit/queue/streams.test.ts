import { describe, expect, it } from 'vitest';
import { consumerId, incarnation, queueId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeContinue,
  writeCount,
  writeDeleteQueue,
  writePurge,
  writeRelease,
} from '../../../src/queue/commands.ts';
import { READERS_MAX, STEP_SHARES } from '../../../src/queue/limits.ts';
import { messageBlockBytes } from '../../../src/queue/message-block.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { StreamOffset } from '../../../src/queue/stream-offset.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  dump,
  enqueue,
  expectEqualPages,
  get,
  message,
  outcomes,
  publish,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const FIRST: StreamOffset = { from: 'first' };
const read = (consumer: number, offset: StreamOffset = FIRST, prefetch = 0): Write =>
  consume(consumer, { offset, prefetch });

/** A stream with these messages, one entry each. */
function stream(retention = {}, ...bodies: string[]): ShardDriver {
  const driver = new ShardDriver();
  driver.run(BOB, declare(QUEUE, { stream: retention }));
  for (const body of bodies) driver.run(BOB, enqueue(body));
  return driver;
}

/** Of a message with one byte of body. */
const BLOCK_BYTES = messageBlockBytes(message('a'));

const countOf = (driver: ShardDriver): unknown => outcomes(driver.run(BOB, out => writeCount(out, QUEUE)))[0];
const kept = (driver: ShardDriver): string[] => driver.bodies(driver.run(ALICE, read(900 + driver.index)));
const cursorOf = (driver: ShardDriver): (number | undefined)[] =>
  driver.machine.consumersOf(ALICE, incarnation(1)).map(({ cursor }) => cursor);

describe('a stream', () => {
  it('gives every reader every message, and keeps it whatever they make of it', () => {
    const driver = stream({}, 'a', 'b');
    expect(driver.bodies(driver.run(ALICE, read(1)))).toEqual(['a', 'b']);
    expect(driver.bodies(driver.run(ALICE, read(2)))).toEqual(['a', 'b']);
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 1), settle(Settlement.discard, 1, 2, 2));
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.return, 2, 1, 2)))).toEqual([]);
    expect(driver.deliveries(driver.run(BOB, enqueue('c'))).map(({ consumer }) => consumer)).toEqual([1, 2]);
    expect(countOf(driver)).toEqual({ kind: 'counted', ready: 3, consumers: 2 });
    expect(kept(driver)).toEqual(['a', 'b', 'c']);
    driver.machine.checkInvariants();
  });

  it.each<[string, StreamOffset | undefined, string[]]>([
    ['nothing said', undefined, []],
    ['first', FIRST, ['a', 'b', 'c', 'd']],
    ['last', { from: 'last' }, ['d']],
    ['next', { from: 'next' }, []],
    ['an offset', { from: 'offset', offset: 2 }, ['c', 'd']],
    ['an offset before all', { from: 'offset', offset: -7 }, ['a', 'b', 'c', 'd']],
    ['an offset behind all', { from: 'offset', offset: 99 }, []],
    ['a time', { from: 'time', timeMs: 3 }, ['c', 'd']],
    ['a time before all', { from: 'time', timeMs: -1 }, ['a', 'b', 'c', 'd']],
    ['a time behind all', { from: 'time', timeMs: 1_000 }, []],
    ['an age', { from: 'age', ageMs: 2 }, ['c', 'd']],
  ])('is read from where the reader says: %s', (_, offset, expected) => {
    // The declaration came at 0, the messages at 1, 2, 3 and 4, the reader comes at 5.
    const driver = stream({}, 'a', 'b', 'c', 'd');
    const effects = driver.run(ALICE, consume(1, { offset }));
    expect(driver.bodies(effects)).toEqual(expected);
    expect([...effects.deliveries.offsets.values()]).toEqual(expected.map(body => 'abcd'.indexOf(body)));
    expect(driver.bodies(driver.run(BOB, enqueue('next')))).toEqual(['next']);
  });

  it('gives a reader no more than it may hold, and goes on when it has acknowledged', () => {
    const driver = stream({}, 'a', 'b', 'c');
    expect(driver.bodies(driver.run(ALICE, read(1, FIRST, 2)))).toEqual(['a', 'b']);
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.settle, 1, 1, 1)))).toEqual(['c']);
  });

  it('serves readers in turn, and nobody waits for a slow one', () => {
    const driver = stream({}, 'a', 'b', 'c');
    driver.run(ALICE, read(1, FIRST, 1));
    expect(driver.bodies(driver.run(ALICE, read(2)))).toEqual(['a', 'b', 'c']);
    const served = driver.deliveries(driver.run(BOB, enqueue('d'), enqueue('e'))).map(({ consumer }) => consumer);
    expect(served).toEqual([2, 2]);
  });

  it('hands out a long backlog in steps', () => {
    const driver = stream();
    for (let i = 0; i < 3; i++) {
      driver.run(BOB, ...Array.from({ length: STEP_SHARES.deliveries / 2 }, (_, n) => enqueue(`${i}/${n}`)));
    }
    const first = driver.run(ALICE, read(1));
    expect(first.deliveries.length).toBe(STEP_SHARES.deliveries);
    expect(first.continuationWanted).toBe(true);
    expect(driver.lead(writeContinue).deliveries.length).toBe(STEP_SHARES.deliveries / 2);
  });

  it('lets nobody get single messages', () => {
    expect(outcomes(stream({}, 'a').run(ALICE, get(1)))).toEqual([{ kind: 'no-get' }]);
  });

  it('is the same after a restart: cursors, what readers hold, and when messages came', () => {
    const driver = stream({ maxAgeMs: 50 }, 'a', 'b', 'c');
    driver.run(ALICE, read(1, FIRST, 2));
    const pages = dump(driver.machine, driver.index);
    driver.machine = ShardMachine.restore(pages, { term: 1, index: driver.index });
    expectEqualPages(dump(driver.machine, driver.index), pages);
    expect(cursorOf(driver)).toEqual([2]);
    const held = driver.machine.unsettledAfter(ALICE, incarnation(1), consumerId(1), 0)!;
    expect([held.numbers, [...held.offsets.values()]]).toEqual([
      [1, 2],
      [0, 1],
    ]);
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.settle, 1, 1, 2)))).toEqual(['c']);
    expect(driver.bodies(driver.run(ALICE, consume(2, { offset: { from: 'time', timeMs: 2 } })))).toEqual(['b', 'c']);
  });

  it('tells its readers when it is deleted', () => {
    const driver = stream({}, 'a');
    driver.run(ALICE, read(1));
    const gone = driver.run(BOB, out => writeDeleteQueue(out, { queue: QUEUE, ifUnused: false, ifEmpty: false }));
    expect(gone.consumersCancelled).toHaveLength(1);
    expect(gone.bodiesReleased.entries).toHaveLength(1);
    driver.machine.checkInvariants();
  });
});

describe('what a stream keeps', () => {
  it('is bounded by age: what came longer ago goes', () => {
    const driver = stream({ maxAgeMs: 3 }, 'a', 'b', 'c');
    expect(kept(driver)).toEqual(['b', 'c']);
    expect(driver.machine.nextDeadlineMs).toBe(5);
  });

  it('is bounded by bytes, but the last message stays', () => {
    const driver = stream({ maxBytes: 2 * BLOCK_BYTES }, 'a', 'b', 'c', 'd');
    expect(kept(driver)).toEqual(['c', 'd']);
    driver.run(BOB, enqueue('e'.repeat(500)));
    expect(countOf(driver)).toMatchObject({ ready: 1 });
    expect(driver.machine.overview().messages).toMatchObject({ enqueued: 5, ready: 1, expired: 4 });
  });

  it('is everything without a limit', () => {
    const driver = stream({}, 'a');
    driver.waitedMs += 1e12;
    expect(kept(driver)).toEqual(['a']);
    expect(driver.machine.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('does not depend on how long publishers want their messages to wait', () => {
    const driver = stream({});
    driver.run(BOB, publish('a', 5));
    driver.waitedMs += 100;
    expect(kept(driver)).toEqual(['a']);
  });

  it('leaves to readers what they hold, until they let go; others begin behind it', () => {
    const driver = stream({ maxBytes: BLOCK_BYTES }, 'a');
    driver.run(ALICE, read(1, FIRST, 1));
    driver.run(ALICE, read(2, FIRST, 1));
    driver.run(BOB, enqueue('b'));
    const held = driver.machine.unsettledAfter(ALICE, incarnation(1), consumerId(1), 0)!;
    expect(driver.bodyOf(held.bodyAt(0))).toBe('a');
    expect(kept(driver)).toEqual(['b']);
    const one = driver.run(ALICE, settle(Settlement.settle, 1, 1, 1));
    expect(driver.bodies(one)).toEqual(['b']);
    expect(one.bodiesReleased.entries).toEqual([]);
    const other = driver.run(ALICE, out => writeRelease(out, consumerId(2)));
    expect(other.bodiesReleased.entries).toHaveLength(1);
    driver.machine.checkInvariants();
  });

  it('passes readers over what they have not read in time', () => {
    const driver = stream({ maxBytes: BLOCK_BYTES }, 'a');
    driver.run(ALICE, read(1, FIRST, 1));
    driver.run(BOB, enqueue('b'), enqueue('c'));
    const next = driver.run(ALICE, settle(Settlement.settle, 1, 1, 1));
    expect([driver.bodies(next), [...next.deliveries.offsets.values()]]).toEqual([['c'], [2]]);
  });

  it('is nothing after a purge, and offsets go on', () => {
    const driver = stream({}, 'a', 'b');
    driver.run(ALICE, read(1, FIRST, 1));
    expect(outcomes(driver.run(BOB, out => writePurge(out, QUEUE)))).toEqual([{ kind: 'purged', messages: 2 }]);
    driver.run(BOB, enqueue('c'));
    const next = driver.run(ALICE, settle(Settlement.settle, 1, 1, 1));
    expect([driver.bodies(next), [...next.deliveries.offsets.values()]]).toEqual([['c'], [2]]);
    driver.machine.checkInvariants();
  });
});

/** More than one `apply` hands out: the rest waits, and may be gone before its turn. */
describe('what waits for its share of an entry', () => {
  it('may all be too old by then', () => {
    const driver = new ShardDriver();
    driver.run(BOB, declare(QUEUE, { stream: { maxAgeMs: 1_000 } }));
    driver.run(BOB, ...Array.from({ length: STEP_SHARES.deliveries / 2 }, (_, n) => enqueue(`${n}`)));
    driver.run(ALICE, ...[1, 2, 3].map(id => consume(id, { offset: FIRST })));
    driver.machine.checkInvariants();
    expect(driver.machine.continuationWanted).toBe(true);
    driver.waitedMs += 2_000;
    driver.lead(writeContinue);
    driver.machine.checkInvariants();
    driver.run(BOB, enqueue('x'));
    driver.machine.checkInvariants();
  });

  it('may be too old when another queue had the share', () => {
    const other = queueId(8);
    const driver = new ShardDriver();
    driver.run(BOB, declare(QUEUE, { stream: { maxAgeMs: 1_000 } }), declare(other, {}));
    driver.run(BOB, ...Array.from({ length: STEP_SHARES.deliveries + 1 }, (_, n) => enqueue(`${n}`, other)));
    driver.run(ALICE, consume(1, { offset: FIRST }));
    driver.run(ALICE, consume(2, { queue: other }), enqueue('a'));
    driver.waitedMs += 2_000;
    driver.lead(writeContinue);
    driver.machine.checkInvariants();
  });

  it('may be too old when credit comes with settlements that were left over', () => {
    const driver = new ShardDriver();
    driver.run(BOB, declare(QUEUE, { stream: { maxAgeMs: 1_000 } }));
    driver.run(BOB, ...Array.from({ length: STEP_SHARES.deliveries }, (_, n) => enqueue(`${n}`)));
    driver.run(ALICE, consume(1, { offset: FIRST, prefetch: STEP_SHARES.deliveries + 1 }));
    driver.waitedMs += 990;
    driver.run(BOB, enqueue('y'), enqueue('z'));
    driver.run(ALICE, settle(Settlement.settle, 1, 1, STEP_SHARES.deliveries + 1));
    driver.waitedMs += 2_000;
    driver.lead(writeContinue);
    driver.machine.checkInvariants();
  });
});

describe('readers of a stream', () => {
  it('are served in turn from where the last entry stopped, whoever has read everything', () => {
    const driver = stream({}, 'a');
    driver.run(ALICE, read(1), read(2), read(3));
    driver.run(ALICE, read(4, FIRST, 1));
    driver.run(ALICE, settle(Settlement.settle, 4, 1, 1));
    const served = driver.deliveries(driver.run(BOB, enqueue('b'), enqueue('c'))).map(({ consumer }) => consumer);
    expect(served.slice(0, 4).sort()).toEqual([1, 2, 3, 4]);
    expect(served.slice(4).sort()).toEqual([1, 2, 3]);
    driver.machine.checkInvariants();
  });

  it('are no more than there may be', () => {
    const driver = stream({});
    const readers = Array.from({ length: READERS_MAX }, (_, i) => read(i + 1));
    expect(outcomes(driver.run(ALICE, ...readers))).toEqual([]);
    expect(outcomes(driver.run(BOB, read(1)))).toEqual([{ kind: 'too-many-readers' }]);
  });

  it('do not hold up the other queues of their shard', () => {
    const other = queueId(8);
    const driver = stream({});
    driver.run(BOB, declare(other), ...Array.from({ length: STEP_SHARES.deliveries / 2 }, (_, n) => enqueue(`${n}`)));
    driver.run(ALICE, consume(99, { queue: other }), ...[1, 2, 3, 4, 5, 6, 7, 8].map(id => read(id)));
    driver.run(BOB, enqueue('urgent', other));
    const next = driver.lead(writeContinue);
    expect(driver.bodies(next)[0]).toBe('urgent');
    expect(next.continuationWanted).toBe(true);
  });
});
