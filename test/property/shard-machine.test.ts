import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Settlement, writeContinue, writeFence } from '../../src/queue/commands.ts';
import { checkBatch } from '../../src/queue/entry-codec.ts';
import { STEP_SHARES, type StepShares } from '../../src/queue/limits.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import { nodeOf, Slots, type Step, stepArb, writeOf } from '../support/shard-actions.ts';
import {
  consume,
  declare,
  dump,
  enqueue,
  expectEqualPages,
  PageStore,
  pagesOf,
  QUEUE,
  ShardDriver,
  settle,
} from '../support/shard-driver.ts';
import { ShardRunner } from '../support/shard-runner.ts';

/** So little in one step that much is left over; undefined: what a node does. */
const sharesArb: fc.Arbitrary<StepShares | undefined> = fc
  .constantFrom(undefined, 1, 3, 10)
  .map(share => share && { ...STEP_SHARES, settlements: share, drops: share, deliveries: share });
const historyArb = fc.array(stepArb, { minLength: 1, maxLength: 30, size: 'max' });

describe('a shard under any history of commands', () => {
  it('does what a naive model does, and conserves messages after every command', () => {
    fc.assert(
      fc.property(historyArb, history => {
        runAll(history);
      }),
      { numRuns: 300 },
    );
  });

  it('does the same in small steps', () => {
    fc.assert(
      fc.property(historyArb, sharesArb, (history, shares) => {
        runAll(history, shares);
      }),
      { numRuns: 300 },
    );
  });

  it('gives equal bytes on two replicas', () => {
    fc.assert(
      fc.property(historyArb, sharesArb, (history, shares) => {
        const { driver } = runAll(history, shares);
        const other = new ShardMachine(undefined, shares);
        for (const [index, payload] of driver.log) other.apply({ index, term: 1 }, payload);
        expectEqualPages(dump(other, driver.index), dump(driver.machine, driver.index));
      }),
      { numRuns: 60 },
    );
  });

  it('continues from a checkpoint at any entry as if it had never stopped', () => {
    fc.assert(
      fc.property(historyArb, sharesArb, (history, shares) => {
        const { driver } = runAll(history, shares);
        const straight = new ShardMachine(undefined, shares);
        const restored: ShardMachine[] = [new ShardMachine(undefined, shares)];
        for (const [index, payload] of driver.log) {
          straight.apply({ index, term: 1 }, payload);
          for (const machine of restored) machine.apply({ index, term: 1 }, payload);
          restored.push(ShardMachine.restore(dump(straight, index), { term: 1, index }, shares));
        }
        const expected = dump(straight, driver.index);
        for (const machine of restored) {
          expectEqualPages(dump(machine, driver.index), expected);
          machine.checkInvariants();
        }
      }),
      { numRuns: 25 },
    );
  });

  it('keeps incremental checkpoints equal to the state at their cut, however slowly they are written', () => {
    const pacesArb = fc.array(fc.record({ pages: fc.nat({ max: 3 }), isAbandoned: fc.nat({ max: 4 }) }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(historyArb, pacesArb, (history, paces) => {
        const { driver } = runAll(history);
        const machine = new ShardMachine();
        const store = new PageStore();
        let cut = machine.cut('changes', { term: 1, index: 0 });
        let expected = dump(machine, 0);
        let written: Page[] = [];
        for (const [index, payload] of driver.log) {
          const pace = paces[index % paces.length]!;
          for (let i = 0; i < pace.pages; i++) written.push(...cut.nextPages(1));
          machine.apply({ index, term: 1 }, payload);
          if (pace.pages > 0) continue;
          if (pace.isAbandoned === 1) {
            cut.abandoned();
          } else {
            written.push(...pagesOf(cut));
            cut.completed();
            store.write(written);
            expectEqualPages(store.sorted(), expected);
          }
          cut = machine.cut('changes', { term: 1, index });
          expected = dump(machine, index);
          written = [];
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('work in steps', () => {
  it('is found again by a replica that restarts in the midst of it', () => {
    const endingArb = fc.constantFrom('release', 'fence', 'purge', 'delete', 'settle', 'return', 'double purge');
    fc.assert(
      fc.property(endingArb, fc.integer({ min: 17_000, max: 25_000 }), (ending, count) => {
        const driver = new ShardDriver();
        fill(driver, count, ending);
        const copies: ShardMachine[] = [];
        let turns = 0;
        while (driver.machine.continuationWanted) {
          const at = { term: 1, index: driver.index };
          copies.push(ShardMachine.restore(dump(driver.machine, driver.index), at));
          driver.lead(writeContinue);
          const payload = driver.log.get(driver.index)!;
          for (const copy of copies) copy.apply({ index: driver.index, term: 1 }, payload);
          driver.machine.checkInvariants();
          expect(++turns).toBeLessThan(100);
        }
        expect(turns).toBeGreaterThan(0);
        for (const copy of copies) expectEqualPages(dump(copy, driver.index), dump(driver.machine, driver.index));
      }),
      { numRuns: 12 },
    );
  });
});

describe('bytes from another node', () => {
  it('are refused as a value, or are a batch that the machine executes soundly', () => {
    const damageArb = fc.array(fc.record({ at: fc.nat(), value: fc.nat({ max: 255 }) }), { maxLength: 4 });
    fc.assert(
      fc.property(historyArb, damageArb, fc.nat({ max: 20 }), (history, damage, cutOff) => {
        const { driver } = runAll(history);
        const batch = driver.batch(nodeOf({ node: 0 }), [declare(), enqueue('a'), consume(9), settle(0, 9, 1, 1)]);
        const bytes = batch.slice(0, batch.length - (cutOff < 5 ? cutOff : 0));
        for (const { at, value } of damage) bytes[at % bytes.length] = value;
        const check = checkBatch(bytes);
        if (!check.ok) return;
        driver.apply(bytes);
        driver.machine.checkInvariants();
      }),
      { numRuns: 60 },
    );
  });

  it('that are arbitrary never throw at the gateway', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(typeof checkBatch(bytes).ok).toBe('boolean');
      }),
    );
  });
});

function runAll(history: readonly Step[], shares?: StepShares): ShardRunner {
  const runner = new ShardRunner(shares);
  for (const step of history) runner.run(step);
  return runner;
}

/** A queue of `count` messages, then something that concerns all of them. */
function fill(driver: ShardDriver, count: number, ending: string): void {
  const isHeld = ending !== 'purge' && ending !== 'delete';
  driver.run(nodeOf({ node: 0 }), declare(), ...(isHeld ? [consume(1)] : []));
  for (let sent = 0; sent < count; sent += 1_000) {
    driver.run(nodeOf({ node: 0 }), ...Array.from({ length: 1_000 }, (_, i) => enqueue(`${sent + i}`)));
  }
  const alice = nodeOf({ node: 0 });
  switch (ending) {
    case 'release':
      driver.run(alice, writeOf({ do: 'release', consumer: 0 }, new Slots(), 0));
      return;
    case 'fence':
      driver.lead(out => writeFence(out, alice, driver.sender(alice).incarnation));
      return;
    case 'settle':
      driver.run(alice, settle(Settlement.settle, 1, 1, count));
      return;
    case 'return':
      driver.run(alice, settle(Settlement.return, 1, 2, count));
      return;
    case 'double purge':
      driver.run(alice, writeOf({ do: 'release', consumer: 0 }, new Slots(), 0));
      driver.run(alice, purgeOf(), enqueue('between'), purgeOf());
      return;
    case 'delete':
      driver.run(alice, deleteOf());
      return;
    default:
      driver.run(alice, purgeOf());
  }
}

const slotsOfQueue = new (class extends Slots {
  override id() {
    return QUEUE;
  }
})();
const purgeOf = () => writeOf({ do: 'purge', slot: 0 }, slotsOfQueue, 0);
const deleteOf = () => writeOf({ do: 'delete', slot: 0, ifUnused: false, ifEmpty: false }, slotsOfQueue, 0);
