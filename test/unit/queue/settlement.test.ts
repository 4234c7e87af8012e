import { describe, expect, it } from 'vitest';
import { consumerId } from '../../../src/lib/ids.ts';
import { Settlement, writeContinue, writeFence, writePurge, writeRelease } from '../../../src/queue/commands.ts';
import { STEP_SHARES } from '../../../src/queue/limits.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  dump,
  enqueue,
  get,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

/** `count` messages, all of them with consumer 1 of Alice. */
function heldByAlice(count: number): ShardDriver {
  const driver = new ShardDriver();
  driver.run(ALICE, declare(), consume(1));
  publish(driver, count);
  return driver;
}

function publish(driver: ShardDriver, count: number): void {
  for (let sent = 0; sent < count; sent += 1_000) {
    const size = Math.min(1_000, count - sent);
    driver.run(BOB, ...Array.from({ length: size }, (_, i) => enqueue(`${sent + i + 1}`)));
  }
}

const writeRelease1: Write = out => writeRelease(out, consumerId(1));

/** As the leader does: proposes `continue` until nothing is left over. Returns how often. */
function finish(driver: ShardDriver): number {
  let turns = 0;
  for (; driver.machine.continuationWanted; turns++) {
    driver.lead(writeContinue);
    driver.machine.checkInvariants();
  }
  return turns;
}

describe('a returned message', () => {
  it('goes back to its place, before all that follow it, and is marked as redelivered', () => {
    const driver = heldByAlice(3);
    driver.run(ALICE, writeRelease1);
    publish(driver, 1);
    const deliveries = driver.deliveries(driver.run(BOB, consume(1)));
    expect(deliveries.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ['1', true],
      ['2', true],
      ['3', true],
      ['1', false],
    ]);
  });

  it('counts its attempts', () => {
    const driver = heldByAlice(1);
    const effects = driver.run(ALICE, settle(Settlement.return, 1, 1, 1));
    expect(effects.deliveries.deliveryCounts).toEqual([1]);
    expect(driver.run(ALICE, settle(Settlement.return, 1, 2, 2)).deliveries.deliveryCounts).toEqual([2]);
  });

  it('survives a purge that happened while it was held, also when the purged bodies are not released yet', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 1 }));
    publish(driver, 3 * STEP_SHARES.settlements);
    const purged = driver.run(ALICE, out => writePurge(out, QUEUE));
    expect(purged.continuationWanted).toBe(true);
    driver.run(ALICE, writeRelease1);
    finish(driver);
    expect(driver.bodies(driver.run(BOB, consume(1)))).toEqual(['1']);
  });
});

describe('a purge of returned messages', () => {
  it('is remembered by a replica that is restored before their bodies are released', () => {
    const driver = heldByAlice(5 * STEP_SHARES.settlements);
    driver.run(ALICE, writeRelease1);
    finish(driver);
    driver.run(ALICE, out => writePurge(out, QUEUE));
    expect(driver.machine.continuationWanted).toBe(true);
    driver.restore();
    expect(driver.bodies(driver.run(BOB, enqueue('new'), consume(1)))).toEqual(['new']);
    finish(driver);
  });
});

describe('settling', () => {
  it('a number that is not held is ignored and counted', () => {
    const driver = heldByAlice(2);
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 1), settle(Settlement.settle, 1, 1, 1));
    driver.run(ALICE, settle(Settlement.settle, 1, 9, 9), settle(Settlement.settle, 4, 1, 1));
    expect(driver.machine.overview().messages).toMatchObject({ settled: 1, checkedOut: 1, ignoredSettlements: 3 });
  });

  it('a discarded message is gone and counted as such', () => {
    const driver = heldByAlice(2);
    const effects = driver.run(ALICE, settle(Settlement.discard, 1, 1, 2));
    expect(driver.machine.overview().messages).toMatchObject({ discarded: 2, checkedOut: 0 });
    expect(effects.bodiesReleased.entries).toEqual([2]);
  });

  it('a range above the bound of one entry goes on with later entries', () => {
    const driver = heldByAlice(2.5 * STEP_SHARES.settlements);
    const effects = driver.run(ALICE, settle(Settlement.settle, 1, 1, 2.5 * STEP_SHARES.settlements));
    expect(effects.continuationWanted).toBe(true);
    expect(driver.machine.overview().messages.settled).toBe(STEP_SHARES.settlements);
    expect(finish(driver)).toBe(2);
    expect(driver.machine.overview().messages).toMatchObject({ settled: 2.5 * STEP_SHARES.settlements, checkedOut: 0 });
  });

  it('is not overtaken by the end of its consumer or of its node', () => {
    const count = 2.5 * STEP_SHARES.settlements;
    for (const end of ['release', 'fence']) {
      const driver = heldByAlice(count);
      driver.run(ALICE, settle(Settlement.settle, 1, 1, count - 1));
      if (end === 'release') driver.run(ALICE, writeRelease1);
      else driver.lead(out => writeFence(out, ALICE, driver.sender(ALICE).incarnation));
      finish(driver);
      expect(driver.machine.overview().messages).toMatchObject({ settled: count - 1, ready: 1, checkedOut: 0 });
    }
  });

  it('asks nothing more of a consumer that is being released, also on a replica that is restored in the midst of it', () => {
    const later = {
      release: writeRelease1,
      settle: settle(Settlement.settle, 1, 3, 4),
      discard: settle(Settlement.discard, 1, 4, 4),
    };
    for (const [name, again] of Object.entries(later)) {
      const driver = new ShardDriver({ ...STEP_SHARES, settlements: 1 });
      driver.run(ALICE, declare(), consume(1));
      publish(driver, 4);
      driver.run(ALICE, writeRelease1, again);
      while (driver.machine.continuationWanted) {
        driver.lead(writeContinue);
        driver.restore();
      }
      const { ready, ignoredSettlements } = driver.machine.overview().messages;
      expect([name, ready, ignoredSettlements]).toEqual([name, 4, name === 'release' ? 0 : 1]);
      driver.machine.checkInvariants();
    }
  });

  it('hands out nothing more to a getter that is being released', () => {
    const driver = new ShardDriver({ ...STEP_SHARES, settlements: 1 });
    driver.run(ALICE, declare());
    publish(driver, 4);
    driver.run(ALICE, get(1), get(1), get(1));
    const { answers } = driver.run(ALICE, writeRelease1, get(1));
    expect(answers[0]!.outcomes).toMatchObject([{ outcome: { kind: 'consumer-exists' } }]);
    finish(driver);
    expect(driver.machine.overview().messages).toMatchObject({ ready: 4, checkedOut: 0 });
  });

  it('keeps no more than a page for one delivery that is never settled', () => {
    const driver = heldByAlice(20_000);
    driver.run(ALICE, settle(Settlement.settle, 1, 2, 10_000));
    driver.run(ALICE, settle(Settlement.settle, 1, 10_001, 20_000));
    finish(driver);
    const unsettledPages = dump(driver.machine, driver.index).filter(page => page.key.kind === 18);
    expect(unsettledPages.length).toBeLessThanOrEqual(2);
  });
});

describe('handing out', () => {
  it('stops at the bound of one entry and goes on with the next', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare());
    publish(driver, 25_000);
    const effects = driver.run(ALICE, consume(1));
    expect(effects.deliveries.length).toBe(10_000);
    expect(effects.continuationWanted).toBe(true);
    expect(driver.lead(writeContinue).deliveries.length).toBe(10_000);
    const last = driver.lead(writeContinue);
    expect(last.deliveries.length).toBe(5_000);
    expect(last.continuationWanted).toBe(false);
  });
});
