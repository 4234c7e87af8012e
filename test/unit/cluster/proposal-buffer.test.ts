import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProposalBuffer } from '../../../src/cluster/group/proposal-buffer.ts';

const buffer = (waitingBytesMax = 1_000) =>
  new ProposalBuffer(
    { entryBytesMax: 50, waitingBytesMax, headBytes: 2 },
    {
      allocate: bytes => new Uint8Array(bytes),
      writeHead: (payload, timeMs) => payload.set([255, timeMs]),
    },
  );

describe('ProposalBuffer', () => {
  it('makes one entry of all batches that fit, behind the head', () => {
    const waiting = buffer();
    for (const byte of [1, 2, 3]) waiting.add(new Uint8Array(10).fill(byte));
    expect([...waiting.takeEntry(7)]).toEqual([255, 7, ...[1, 2, 3].flatMap(byte => Array(10).fill(byte))]);
    expect(waiting.isEmpty).toBe(true);
  });

  it('keeps the order and loses nothing, in entries that are never too long', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 48 }), { maxLength: 50 }), lengths => {
        const waiting = buffer(10_000);
        const all = lengths.map((length, i) => new Uint8Array(length).fill(i));
        for (const batch of all) expect(waiting.add(batch)).toBe(true);
        const taken: number[] = [];
        while (!waiting.isEmpty) {
          const entry = waiting.takeEntry(0);
          expect(entry.length).toBeLessThanOrEqual(50);
          expect(entry.length).toBeGreaterThan(2);
          taken.push(...entry.subarray(2));
        }
        expect(taken).toEqual(all.flatMap(batch => [...batch]));
      }),
    );
  });

  it('refuses what is above its bound, takes it when there is room, and has all its room after it was cleared', () => {
    const waiting = buffer(60);
    expect([1, 2].map(() => waiting.add(new Uint8Array(30)))).toEqual([true, true]);
    expect(waiting.add(new Uint8Array(1))).toBe(false);
    waiting.takeEntry(0);
    expect(waiting.add(new Uint8Array(30))).toBe(true);
    waiting.clear();
    expect(waiting.isEmpty).toBe(true);
    expect([1, 2].map(() => waiting.add(new Uint8Array(30)))).toEqual([true, true]);
  });
});
