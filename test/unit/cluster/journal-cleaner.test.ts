import { describe, expect, it } from 'vitest';
import { type CleanableGroup, JournalCleaner } from '../../../src/cluster/group/journal-cleaner.ts';
import { StragglerSweep } from '../../../src/cluster/group/straggler-sweep.ts';
import { BodyReader } from '../../../src/cluster/shard/body-reader.ts';
import type { LogIndex } from '../../../src/lib/ids.ts';
import { Settlement } from '../../../src/queue/commands.ts';
import { CleaningDisk } from '../../support/cleaning-store.ts';
import { A } from '../../support/journal-fixture.ts';
import { ALICE, consume, declare, enqueue, ShardDriver, settle } from '../../support/shard-driver.ts';

const LOGGER = { info: () => {}, warn: () => {}, error: () => {} };
/** Messages of this size, so that a segment of the fixture holds a handful. */
const BODY_BYTES = 600;

/** One replica with its store, its machine and its cleaner, in which time stands still. */
class CleanedShard implements CleanableGroup {
  readonly group = A;
  readonly store = new CleaningDisk();
  readonly driver = new ShardDriver();
  readonly demands: { readonly through: LogIndex; readonly isUrgent: boolean }[] = [];
  readonly cleaner: JournalCleaner;
  readonly sweep: StragglerSweep;
  covered = 0;
  nowMs = 0;
  pausedMs = 0;
  #hosted: CleanableGroup = this;

  constructor() {
    const deps = {
      store: this.store,
      group: () => this.#hosted,
      pause: async (delayMs: number) => {
        this.pausedMs += delayMs;
        await new Promise<void>(resolve => setImmediate(resolve));
      },
      monotonicMs: () => this.nowMs++,
      logger: LOGGER,
    };
    this.cleaner = new JournalCleaner({ periodMs: 0, batchBytes: 1000, sliceMs: 1 }, deps);
    this.sweep = new StragglerSweep({ periodMs: 0, pieceCount: 3, deadMax: 4, sliceMs: 1 }, deps);
    this.run(declare(), consume(1));
  }

  get applied(): LogIndex {
    return this.driver.machine.applied;
  }
  liveReferences(first: LogIndex, last: LogIndex): ReturnType<CleanableGroup['liveReferences']> {
    return this.driver.machine.liveReferences(first, last);
  }
  makeRoom(through: LogIndex, isUrgent: boolean): void {
    this.demands.push({ through, isUrgent });
  }

  run(...writes: Parameters<ShardDriver['run']> extends [unknown, ...infer Rest] ? Rest : never): void {
    const effects = this.driver.run(ALICE, ...writes);
    this.store.applied(A, this.driver.index, this.driver.log.get(this.driver.index)!, effects);
  }

  /** One entry for each message; delivery numbers are those of the messages. */
  publish(count: number): void {
    for (let i = 0; i < count; i++) {
      this.run(enqueue(`${this.driver.index}`.padEnd(BODY_BYTES, '.')));
    }
  }

  settle(first: number, last: number): void {
    this.run(settle(Settlement.settle, 1, first, last));
  }

  /** The replica was closed and opened again. */
  beginAnew(): void {
    const hosted: CleanableGroup = Object.create(this);
    this.#hosted = hosted;
  }

  checkpoint(): void {
    this.covered = this.applied;
    this.store.checkpointed(A, this.applied);
  }

  async clean(): Promise<void> {
    for (let i = 0; i < 200; i++) {
      this.cleaner.tick();
      await new Promise<void>(resolve => setImmediate(resolve));
    }
  }

  async sweepOut(): Promise<void> {
    for (let i = 0; i < 50; i++) {
      this.sweep.tick();
      await new Promise<void>(resolve => setImmediate(resolve));
    }
  }

  stragglers(): Promise<readonly { entry: LogIndex; position: number }[]> {
    return this.store.listStragglers(A, { entry: 0, position: 0 }, 1000);
  }

  isInJournal(entry: LogIndex): boolean {
    return this.store.journal.locate(A, entry) !== undefined;
  }

  /** What a consumer gets to see of a living message. */
  async body(number: number): Promise<string> {
    const reader = new BodyReader(
      { cacheBytesMax: 1 << 20 },
      {
        inMemory: () => undefined,
        fromJournal: (entry, done) => this.store.readPayload(A, entry, done),
        fromStragglers: (part, done) => this.store.readStraggler(A, part, done),
        lost: ({ entry }) => expect.fail(`the body of entry ${entry} is nowhere`),
      },
    );
    const held = this.driver.machine.unsettledAfter(ALICE, this.driver.sender(ALICE).incarnation, 1 as never, 0)!;
    const part = held.bodyAt(held.numbers.indexOf(number));
    await new Promise<void>(resolve => reader.load(part, () => resolve()));
    return new TextDecoder()
      .decode(reader.find(part.entry, part.position, part.length))
      .replace(/^.*?(\d+)\.+$/s, '$1');
  }
}

/** Forty messages of which only these are left; the first of them lies in entry 2. */
function mostlyDead(...alive: number[]): CleanedShard {
  const shard = new CleanedShard();
  shard.publish(40);
  for (let number = 1; number <= 40; number++) if (!alive.includes(number)) shard.settle(number, number);
  return shard;
}

describe('a journal with many dead bytes', () => {
  it('has its group checkpoint and move on before anything is copied', async () => {
    const shard = mostlyDead(2, 20);
    await shard.clean();
    expect(shard.demands.length).toBeGreaterThan(0);
    expect(Math.max(...shard.demands.map(({ through }) => through))).toBeGreaterThan(2);
    expect(await shard.stragglers()).toEqual([]);
    expect(shard.isInJournal(3)).toBe(true);
  });

  it('loses the segments of living messages when these were copied, and they are read from there', async () => {
    const shard = mostlyDead(2, 20);
    shard.checkpoint();
    await shard.clean();
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([3, 21]);
    expect(shard.isInJournal(3)).toBe(false);
    expect(shard.isInJournal(21)).toBe(false);
    expect(await shard.body(2)).toBe('2');
    expect(await shard.body(20)).toBe('20');
  });

  it('keeps a cleaned segment until a checkpoint knows which of its messages had left', async () => {
    const shard = mostlyDead(2, 3);
    shard.checkpoint();
    shard.settle(3, 3);
    await shard.clean();
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([3]);
    expect(shard.isInJournal(3)).toBe(true);
    shard.checkpoint();
    expect(shard.isInJournal(3)).toBe(false);
  });

  it('is cleaned with pauses while there is no hurry, and without any from the bound on', async () => {
    const pausedMs = async (pressure: number): Promise<number> => {
      const shard = mostlyDead(...Array.from({ length: 10 }, (_, i) => 4 * i + 1));
      shard.store.pressure = pressure;
      shard.checkpoint();
      await shard.clean();
      expect(await shard.stragglers()).not.toEqual([]);
      return shard.pausedMs;
    };
    expect(await pausedMs(0.8)).toBeGreaterThan(await pausedMs(0.95));
    expect(await pausedMs(1)).toBe(0);
  });

  it('is left alone where most is alive', async () => {
    const shard = new CleanedShard();
    shard.publish(40);
    shard.checkpoint();
    await shard.clean();
    expect(shard.demands).toEqual([]);
    expect(await shard.stragglers()).toEqual([]);
  });

  it('keeps a segment in which a living message is damaged', async () => {
    const shard = mostlyDead(2, 20);
    shard.checkpoint();
    const location = shard.store.journal.locate(A, 3)!;
    shard.store.files.flipBit(`${String(location.segment).padStart(12, '0')}.segment`, location.position + 300, 1);
    await shard.clean();
    expect(shard.store.setAsides).toEqual([location.segment]);
    expect(shard.isInJournal(3)).toBe(true);
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([21]);
  });

  it('keeps nothing dead when the disk is short', async () => {
    const shard = new CleanedShard();
    shard.publish(12);
    shard.settle(1, 12);
    shard.store.isDiskShort = true;
    await shard.clean();
    expect(shard.demands.length).toBeGreaterThan(0);
  });
});

describe('dead stragglers', () => {
  async function withStragglers(): Promise<CleanedShard> {
    const shard = mostlyDead(2, 10, 20, 30);
    shard.checkpoint();
    await shard.clean();
    expect(await shard.stragglers()).toHaveLength(4);
    shard.store.journal.space.stragglers.reset(A);
    return shard;
  }

  it('go when a checkpoint covers their death, and living ones stay', async () => {
    const shard = await withStragglers();
    shard.settle(2, 10);
    await shard.sweepOut();
    expect(await shard.stragglers()).toHaveLength(4);
    shard.checkpoint();
    await shard.sweepOut();
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([21, 31]);
    expect(await shard.body(20)).toBe('20');
  });

  it('are left alone by a sweep whose replica has begun anew meanwhile, and found by the next one', async () => {
    const shard = await withStragglers();
    shard.settle(2, 10);
    await shard.sweepOut();
    shard.beginAnew();
    await shard.sweepOut();
    expect(await shard.stragglers()).toHaveLength(4);
    shard.store.journal.space.stragglers.reset(A);
    shard.checkpoint();
    await shard.sweepOut();
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([21, 31]);
  });

  it('are not looked for among entries that are not applied yet: a snapshot is being received', async () => {
    const shard = await withStragglers();
    const part = { entry: shard.applied + 5, position: 9, length: 4 };
    await shard.store.putStragglers([{ group: A, ...part, bytes: new Uint8Array(4) }]);
    await shard.sweepOut();
    expect(await shard.stragglers()).toHaveLength(5);
  });
});

describe('a message in several queues', () => {
  it('is copied once', async () => {
    const shard = new CleanedShard();
    shard.run(declare(8 as never));
    const shared = shard.driver.index + 1;
    shard.run(enqueue('x'.repeat(BODY_BYTES), 7 as never, 8 as never));
    shard.publish(40);
    shard.settle(2, 41);
    shard.checkpoint();
    await shard.clean();
    expect((await shard.stragglers()).map(({ entry }) => entry)).toEqual([shared]);
  });
});
