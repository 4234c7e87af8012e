import { expect } from 'vitest';
import { incarnation, type NodeId } from '../../src/lib/ids.ts';
import { writeContinue, writeFence, writeNameRemoved } from '../../src/queue/commands.ts';
import type { ShardEffects } from '../../src/queue/effects.ts';
import type { StepShares } from '../../src/queue/limits.ts';
import { compareEffects, compareState } from '../simulation/model/compare.ts';
import type { ModelListener } from '../simulation/model/model-state.ts';
import { ShardModel } from '../simulation/model/shard-model.ts';
import { type BatchStep, nodeOf, Slots, type Step, writeOf } from './shard-actions.ts';
import { enqueue, ShardDriver } from './shard-driver.ts';

const NOBODY_LISTENS: ModelListener = {
  entered: () => {},
  handedOut: () => {},
  returned: () => {},
  letGo: () => {},
  departed: () => {},
  executed: () => {},
  queueDeleted: () => {},
};

/** Runs steps on a driver; after each one everything that can be asked is what a naive model says. */
export class ShardRunner {
  readonly driver: ShardDriver;
  readonly model: ShardModel;
  readonly #slots = new Slots();
  readonly #lastBatch = new Map<NodeId, Uint8Array>();
  /** A batch of an incarnation that was fenced, on its way since then. */
  readonly #lateBatch = new Map<NodeId, Uint8Array>();
  /** Live bytes by entry, as the journal counts them. */
  readonly #live = new Map<number, number>();
  #bodies = 0;

  constructor(shares?: StepShares) {
    this.driver = new ShardDriver(shares);
    const fail = (message: string): never => {
      throw new Error(message);
    };
    this.model = new ShardModel(NOBODY_LISTENS, fail, shares);
  }

  run(step: Step): void {
    const { driver } = this;
    if (step.do === 'restore') {
      driver.restore();
      this.#checkState();
      return;
    }
    const effects = this.#apply(step);
    const expected = this.model.follow(driver.index, driver.log.get(driver.index)!, effects);
    expect(compareEffects(expected, effects)).toBeUndefined();
    this.#account(effects);
    this.#checkState();
  }

  #apply(step: Exclude<Step, { do: 'restore' }>): ShardEffects {
    const { driver } = this;
    switch (step.do) {
      case 'entry':
        return driver.apply(...step.batches.map(batch => this.#batch(batch)));
      case 'continue':
        return driver.lead(writeContinue);
      case 'wait':
        driver.waitedMs += step.ms;
        return driver.lead(writeContinue);
      case 'name-removed': {
        const [queue] = driver.machine.pendingNameRemovals();
        if (queue === undefined) return driver.lead(writeContinue);
        return driver.lead(out => writeNameRemoved(out, queue.id, step.topologyIndex));
      }
      case 'fence': {
        const node = nodeOf(step);
        const { incarnation: ended } = driver.sender(node);
        this.#lateBatch.set(node, driver.batchAt(node, 1, [enqueue('late', this.#slots.id(0))]));
        driver.restart(node);
        // It may take a while until the shard hears of it: a fence that comes later is one of an earlier incarnation.
        return this.#bodies % 3 === 0 ? driver.lead(writeContinue) : driver.lead(out => writeFence(out, node, ended));
      }
      case 'late-fence': {
        const node = nodeOf(step);
        const earlier = incarnation(driver.sender(node).incarnation - 1);
        return earlier === 0 ? driver.lead(writeContinue) : driver.lead(out => writeFence(out, node, earlier));
      }
      case 'repeat':
        return driver.apply(...[...this.#lastBatch.values()].slice(0, 1 + step.node));
      case 'late':
        return driver.apply(...[...this.#lateBatch.values()].slice(0, 1 + step.node));
      case 'skip': {
        const node = nodeOf(step);
        return driver.apply(driver.batchAt(node, driver.sender(node).nextSequence + 1, [enqueue('lost')]));
      }
    }
  }

  #batch(step: BatchStep): Uint8Array {
    const { driver, model } = this;
    const node = nodeOf(step);
    const sender = driver.sender(node);
    if (step.hasSeen) sender.seenThrough = sender.nextSequence - 1;
    sender.topologyIndex += step.topology;
    const writes = step.actions.map((action, i) => {
      const isRedeclared = action.do === 'declare' && i % 2 === 0;
      if (isRedeclared && model.tombstones.has(this.#slots.id(action.slot))) this.#slots.renew(action.slot);
      return writeOf(action, this.#slots, this.#bodies++);
    });
    const batch = driver.batch(node, writes);
    this.#lastBatch.set(node, batch);
    return batch;
  }

  #checkState(): void {
    const { driver, model } = this;
    driver.machine.checkInvariants();
    expect(compareState(model, driver.machine)).toBeUndefined();
    expect(this.#counted()).toEqual([...this.#live].sort(([a], [b]) => a - b));
  }

  #account(effects: ShardEffects): void {
    const { bodiesAdded, bodiesReleased } = effects;
    for (const [i, entry] of bodiesAdded.entries.entries()) this.#add(entry, bodiesAdded.bytes[i]!);
    for (const [i, entry] of bodiesReleased.entries.entries()) this.#add(entry, -bodiesReleased.bytes[i]!);
  }

  #add(entry: number, bytes: number): void {
    const sum = (this.#live.get(entry) ?? 0) + bytes;
    expect(sum).toBeGreaterThanOrEqual(0);
    if (sum === 0) this.#live.delete(entry);
    else this.#live.set(entry, sum);
  }

  #counted(): [number, number][] {
    const counted = new Map<number, number>();
    for (const { entries, accounted } of this.driver.machine.liveReferences(0, Number.MAX_SAFE_INTEGER)) {
      for (const [i, entry] of entries.entries()) counted.set(entry, (counted.get(entry) ?? 0) + accounted[i]!);
    }
    return [...counted].sort(([a], [b]) => a - b);
  }
}
