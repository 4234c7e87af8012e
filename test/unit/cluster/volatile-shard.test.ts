import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SpillFile, VolatileLog } from '../../../src/cluster/shard/volatile-log.ts';
import { VolatileShard } from '../../../src/cluster/shard/volatile-shard.ts';
import { incarnation } from '../../../src/lib/ids.ts';
import { BodyAccount } from '../../../src/queue/effects.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ALICE, declare, enqueue, ShardDriver } from '../../support/shard-driver.ts';

const SILENT_LINK = {
  isCongested: false,
  attached: () => {},
  answered: () => {},
  deliver: () => {},
  consumerCancelled: () => {},
  refused: () => {},
  detached: () => {},
};

/** A file as an array; remembers how much it ever held at once. */
class MemorySpill implements SpillFile {
  #bytes: number[] = [];
  written = 0;
  isClosed = false;

  write(bytes: Uint8Array): number {
    const position = this.#bytes.length;
    this.#bytes.push(...bytes);
    this.written += bytes.length;
    return position;
  }
  read(position: number, length: number): Uint8Array {
    expect(position + length).toBeLessThanOrEqual(this.#bytes.length);
    return Uint8Array.from(this.#bytes.slice(position, position + length));
  }
  reset(): void {
    this.#bytes = [];
  }
  close(): void {
    this.isClosed = true;
  }
  get size(): number {
    return this.#bytes.length;
  }
}

const account = (...changes: readonly (readonly [entry: number, bytes: number])[]): BodyAccount => {
  const list = new BodyAccount();
  for (const [entry, bytes] of changes) list.add(entry, bytes);
  return list;
};

describe('a volatile home', () => {
  it('applies what waits in slices, so that the event loop goes on in between', () => {
    let nowMs = 0;
    let wakes = 0;
    const shard = new VolatileShard(
      { entryBytesMax: 1_000, waitingBytesMax: 1_000_000, memoryBytesMax: 1_000_000, sliceMs: 8 },
      {
        spill: new MemorySpill(),
        fenced: () => [],
        removeName: () => new Promise(() => {}),
        // Every look at the clock finds that half a millisecond has passed.
        clock: {
          monotonicMs: () => {
            nowMs += 0.5;
            return nowMs;
          },
          wallMs: () => 0,
          after: () => () => {},
        },
        wake: () => wakes++,
      },
    );
    const attach = { node: ALICE, incarnation: incarnation(1), attach: 1, answeredThrough: 0, consumers: [] };
    shard.leader.attach(attach, SILENT_LINK);
    const sender = new ShardDriver();
    for (let i = 0; i < 100; i++)
      shard.leader.batch(ALICE, sender.batch(ALICE, [i === 0 ? declare() : enqueue('x'.repeat(900))]));
    wakes = 0;
    let turns = 0;
    do {
      shard.process();
      turns++;
    } while (wakes === turns);
    expect(turns).toBeGreaterThan(5);
    expect(shard.machine.overview().messages.enqueued).toBe(99);
  });
});

describe('the log of a volatile home', () => {
  it('forgets an entry with its last living message, and one in which nothing lives at once', () => {
    const log = new VolatileLog({ memoryBytesMax: 100 }, new MemorySpill());
    const entry = log.append(new Uint8Array(30));
    log.account(entry, account([entry, 10], [entry, 15]), account());
    const settling = log.append(new Uint8Array(8));
    log.account(settling, account(), account([entry, 10]));
    expect([log.payload(entry)?.length, log.payload(settling)]).toEqual([30, undefined]);
    const last = log.append(new Uint8Array(8));
    log.account(last, account(), account([entry, 15]));
    expect(log.payload(entry)).toBeUndefined();
    expect(log.memoryBytes).toBe(0);
  });

  it('gives its file back when it ends', () => {
    const spill = new MemorySpill();
    const log = new VolatileLog({ memoryBytesMax: 10 }, spill);
    const entry = log.append(new Uint8Array(30));
    log.account(entry, account([entry, 30]), account());
    expect(spill.size).toBe(30);
    log.close();
    expect(spill.isClosed).toBe(true);
    expect(log.payload(entry)).toBeUndefined();
  });

  it('gives every living body back as it was, within its memory bound, and empties its file with the last one in it', () => {
    const step = fc.record({ size: fc.integer({ min: 1, max: 60 }), drop: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const spill = new MemorySpill();
        const log = new VolatileLog({ memoryBytesMax: 100 }, spill);
        const alive: { entry: number; bytes: Uint8Array }[] = [];
        for (const [i, { size, drop }] of steps.entries()) {
          const bytes = new Uint8Array(size).fill(i);
          const entry = log.append(bytes);
          const dropped = alive.splice(0, drop);
          log.account(
            entry,
            account([entry, size]),
            account(...dropped.map(old => [old.entry, old.bytes.length] as const)),
          );
          alive.push({ entry, bytes });
          for (const one of alive) expect(log.payload(one.entry)).toEqual(one.bytes);
          for (const one of dropped) expect(log.payload(one.entry)).toBeUndefined();
          expect(log.memoryBytes).toBeLessThanOrEqual(100);
        }
        const end = log.append(new Uint8Array(1));
        log.account(end, account(), account(...alive.map(one => [one.entry, one.bytes.length] as const)));
        expect([log.memoryBytes, spill.size]).toEqual([0, 0]);
      }),
    );
  });
});

describe('the end of a volatile home', () => {
  it('ends with its incarnation: its file goes, and what is still asked of it comes to nothing', () => {
    const spill = new MemorySpill();
    let isWoken = false;
    const shard = new VolatileShard(
      { entryBytesMax: 4_096, waitingBytesMax: 65_536, memoryBytesMax: 1_024, sliceMs: 8 },
      {
        spill,
        fenced: () => [],
        removeName: () => new Promise(() => {}),
        clock: new ManualClock(),
        wake: () => {
          isWoken = true;
        },
      },
    );
    shard.close();
    expect(spill.isClosed).toBe(true);
    expect(shard.leader.isServing).toBe(false);
    shard.leader.review();
    shard.process();
    expect([isWoken, shard.machine.applied]).toEqual([false, 0]);
  });
});
