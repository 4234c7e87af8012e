import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SpillFile, VolatileLog } from '../../../src/cluster/shard/volatile-log.ts';
import { BodyAccount } from '../../../src/queue/effects.ts';

/** A file as an array; remembers how much it ever held at once. */
class MemorySpill implements SpillFile {
  #bytes: number[] = [];
  written = 0;

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
  get size(): number {
    return this.#bytes.length;
  }
}

const account = (...changes: readonly (readonly [entry: number, bytes: number])[]): BodyAccount => {
  const list = new BodyAccount();
  for (const [entry, bytes] of changes) list.add(entry, bytes);
  return list;
};

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
