import { describe, expect, it } from 'vitest';
import { consumerId, queueId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeCancel,
  writeContinue,
  writeCount,
  writeCredit,
  writeFence,
  writePurge,
} from '../../../src/queue/commands.ts';
import { NEVER } from '../../../src/queue/deadlines.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import { STEP_SHARES } from '../../../src/queue/limits.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  dump,
  enqueue,
  expectEqualPages,
  get,
  outcomes,
  publish,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const OTHER = queueId(8);
const count: Write = out => writeCount(out, QUEUE);
const purge: Write = out => writePurge(out, QUEUE);
const cancel: Write = out => writeCancel(out, consumerId(1));

/** So much shard time passes, and the machine learns of it. */
function wait(driver: ShardDriver, ms: number): ShardEffects {
  driver.waitedMs += ms;
  return driver.lead(writeContinue);
}

function restart(driver: ShardDriver): void {
  driver.restore();
}

const messages = (driver: ShardDriver) => driver.machine.overview().messages;
const readyIn = (driver: ShardDriver) => driver.machine.overview().queues.map(queue => queue.ready);

describe('a message that waited for too long', () => {
  it('is gone by the time of its queue, released and counted', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 100 }));
    const published = driver.run(ALICE, enqueue('a'));
    wait(driver, 90);
    expect(messages(driver)).toMatchObject({ ready: 1, expired: 0 });
    const effects = wait(driver, 10);
    expect(messages(driver)).toMatchObject({ enqueued: 1, ready: 0, expired: 1 });
    expect(effects.bodiesReleased).toEqual(published.bodiesAdded);
    expect(outcomes(driver.run(ALICE, get(1)))).toEqual([{ kind: 'empty' }]);
    driver.machine.checkInvariants();
  });

  it('goes by its own time if that is shorter, in each of its queues', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 50 }), declare(OTHER));
    driver.run(ALICE, publish('short', 20, QUEUE, OTHER), publish('long', 500, QUEUE, OTHER));
    wait(driver, 25);
    expect(readyIn(driver)).toEqual([1, 1]);
    wait(driver, 25);
    expect(readyIn(driver)).toEqual([0, 1]);
    wait(driver, 500);
    expect(readyIn(driver)).toEqual([0, 0]);
  });

  it('is never handed out, though nobody had looked since', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 10 }), enqueue('a'));
    driver.waitedMs += 20;
    expect(driver.bodies(driver.run(ALICE, consume(1), enqueue('b')))).toEqual(['b']);
  });

  it('does not go while a consumer holds it, and keeps its time when it comes back', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 100 }), consume(1), enqueue('a'), enqueue('b'));
    wait(driver, 50);
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.return, 1, 1, 1)))).toEqual(['a']);
    wait(driver, 100);
    expect(messages(driver)).toMatchObject({ checkedOut: 2, expired: 0 });
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.return, 1, 2, 3)))).toEqual([]);
    expect(messages(driver)).toMatchObject({ checkedOut: 0, ready: 0, expired: 2 });
  });

  it('costs no consumer its turn', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 100 }), enqueue('a'), get(9));
    driver.run(ALICE, consume(1, { deliverThrough: 1 }), enqueue('b'), consume(2));
    wait(driver, 200);
    driver.run(ALICE, settle(Settlement.return, 9, 1, 1));
    const credit = { consumer: consumerId(1), prefetch: 0, deliverThrough: 10, bytesThrough: 1_000 };
    const { consumers } = driver.run(ALICE, out => writeCredit(out, credit), enqueue('c'), enqueue('d')).deliveries;
    expect(consumers.map(({ consumer }) => consumer)).toEqual([1, 2]);
  });

  it('waits behind one that may wait for longer, and goes with it', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('first'), publish('second', 10), enqueue('third'));
    wait(driver, 50);
    expect(readyIn(driver)).toEqual([3]);
    const [taken] = outcomes(driver.run(ALICE, get(1)));
    expect(taken).toMatchObject({ kind: 'message', number: 1 });
    expect(messages(driver)).toMatchObject({ ready: 1, expired: 1 });
    expect(driver.bodies(driver.run(ALICE, consume(2)))).toEqual(['third']);
  });

  it('is not in the count that a purge of the same entry answers', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 10 }), enqueue('a'));
    driver.waitedMs += 20;
    const effects = driver.run(ALICE, enqueue('b'), count, purge);
    expect(outcomes(effects)).toEqual([
      { kind: 'counted', ready: 1, consumers: 0 },
      { kind: 'purged', messages: 1 },
    ]);
  });

  it('goes after a restart, too', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), declare(OTHER, { messageTtlMs: 100 }), publish('a', 100), enqueue('b', OTHER));
    const deadlineMs = driver.machine.nextDeadlineMs;
    restart(driver);
    expect(driver.machine.nextDeadlineMs).toBe(deadlineMs);
    wait(driver, 100);
    expect(messages(driver)).toMatchObject({ ready: 0, expired: 2 });
    expect(driver.machine.nextDeadlineMs).toBe(NEVER);
  });

  it('of several that come to their end at once goes in steps, also over a restart, and is not handed out in between', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 1_000 }));
    const sent = 2 * STEP_SHARES.expiries + 2_000;
    for (let i = 0; i < sent; i += 1_000) {
      driver.run(ALICE, ...Array.from({ length: 1_000 }, () => enqueue('m')));
    }
    driver.waitedMs += 2_000;
    const effects = driver.run(BOB, enqueue('new'), get(1), consume(2));
    expect(outcomes(effects)).toEqual([{ kind: 'empty' }]);
    expect(driver.bodies(effects)).toEqual([]);
    expect(effects.continuationWanted).toBe(true);
    expect(messages(driver).expired).toBe(STEP_SHARES.expiries);
    const copy = ShardMachine.restore(dump(driver.machine, driver.index), { term: 1, index: driver.index });
    driver.lead(writeContinue);
    expect(driver.machine.continuationWanted).toBe(true);
    const last = driver.lead(writeContinue);
    expect(driver.bodies(last)).toEqual(['new']);
    expect(last.continuationWanted).toBe(false);
    expect(messages(driver).expired).toBe(sent);
    for (const index of [driver.index - 1, driver.index]) copy.apply({ index, term: 1 }, driver.log.get(index)!);
    expectEqualPages(dump(copy, driver.index), dump(driver.machine, driver.index));
  });
});

describe('a message that may not wait at all', () => {
  it('is for a consumer that can take it at once, or for nobody', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 1 }));
    expect(driver.bodies(driver.run(ALICE, publish('a', 0), publish('b', 0)))).toEqual(['a']);
    expect(messages(driver)).toMatchObject({ checkedOut: 1, ready: 0, expired: 1 });
  });

  it('is not there for a get or a consumer that come after it', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { messageTtlMs: 0 }));
    const effects = driver.run(ALICE, enqueue('a'), get(1), enqueue('b'), consume(2));
    expect(outcomes(effects)).toEqual([{ kind: 'empty' }]);
    expect(driver.bodies(effects)).toEqual([]);
  });
});

describe('a queue that expires', () => {
  const begin = (): ShardDriver => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(QUEUE, { expiresMs: 100 }));
    return driver;
  };
  const exists = (driver: ShardDriver): boolean => driver.machine.overview().queues.length > 0;

  it('goes with what is in it when nobody has used it for so long, and asks for its name to be removed', () => {
    const driver = begin();
    driver.run(ALICE, enqueue('ready'), enqueue('held'), get(1));
    wait(driver, 90);
    expect(exists(driver)).toBe(true);
    const effects = wait(driver, 10);
    expect(effects.queuesDeleted).toEqual([{ id: QUEUE, vhost: '/', name: 'queue-7' }]);
    expect(messages(driver)).toMatchObject({ deleted: 2, ready: 0, checkedOut: 0 });
    expect(outcomes(driver.run(BOB, declare(QUEUE, { expiresMs: 100 })))).toEqual([{ kind: 'no-such-queue' }]);
    driver.machine.checkInvariants();
  });

  it.each<readonly [string, Write]>([
    ['a get, also of nothing', get(1)],
    ['a declaration, which counts its messages', count],
  ])('begins anew with %s', (_what, use) => {
    const driver = begin();
    wait(driver, 80);
    driver.run(BOB, use);
    wait(driver, 80);
    expect(exists(driver)).toBe(true);
    wait(driver, 20);
    expect(exists(driver)).toBe(false);
  });

  it('is not used by a publish, a purge or the introduction by another node', () => {
    const driver = begin();
    wait(driver, 80);
    driver.run(BOB, declare(QUEUE, { expiresMs: 100 }), enqueue('a'), purge);
    wait(driver, 20);
    expect(exists(driver)).toBe(false);
  });

  it('stays while it has a consumer, and for its time after the last one has gone', () => {
    const driver = begin();
    driver.run(ALICE, consume(1));
    wait(driver, 1_000);
    driver.run(BOB, consume(2));
    driver.run(ALICE, cancel);
    wait(driver, 1_000);
    driver.lead(out => writeFence(out, BOB, driver.sender(BOB).incarnation));
    wait(driver, 90);
    expect(exists(driver)).toBe(true);
    wait(driver, 10);
    expect(exists(driver)).toBe(false);
  });

  it('goes at the same time after a restart', () => {
    const driver = begin();
    wait(driver, 40);
    driver.run(ALICE, get(1));
    restart(driver);
    wait(driver, 90);
    expect(exists(driver)).toBe(true);
    wait(driver, 10);
    expect(exists(driver)).toBe(false);
  });

  it('goes in steps when thousands do, the earliest first, and expires what expired before it', () => {
    const driver = new ShardDriver();
    const queues = STEP_SHARES.dueQueues + 500;
    for (let i = 0; i < queues; i += 500) {
      const some = Array.from({ length: 500 }, (_, n) => declare(queueId(queues - i - n), { expiresMs: 2_000 }));
      driver.run(ALICE, ...some);
    }
    driver.run(ALICE, publish('a', 10, queueId(1)));
    driver.waitedMs += 5_000;
    const first = driver.lead(writeContinue);
    // One look was for the message.
    expect(first.queuesDeleted).toHaveLength(STEP_SHARES.dueQueues - 1);
    expect(first.queuesDeleted[0]?.id).toBe(queues - 499);
    expect(first.continuationWanted).toBe(true);
    const second = driver.lead(writeContinue);
    expect(second.queuesDeleted).toHaveLength(501);
    expect(second.continuationWanted).toBe(false);
    expect(messages(driver)).toMatchObject({ expired: 1, deleted: 0 });
  });
});

describe('what nobody limits', () => {
  it('is never looked at, and its references take no more room than before', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), declare(OTHER), enqueue('plain'), publish('limited', 10, OTHER));
    const pages = dump(driver.machine, driver.index).filter(({ key }) => key.kind === 17);
    const [plain, limited] = pages.map(({ bytes }) => bytes!.length);
    expect(limited! - plain!).toBe(8);
    wait(driver, 1_000_000);
    expect(readyIn(driver)).toEqual([1, 0]);
    expect(driver.machine.nextDeadlineMs).toBe(NEVER);
  });
});
