import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShardTime } from '../../../src/cluster/shard/shard-time.ts';

const HOUR_MS = 3_600_000;

describe("a shard's time", () => {
  it('goes with the monotonic clock while no majority of wall clocks is known', () => {
    const time = new ShardTime(1_000, 0);
    expect(time.now(500, [HOUR_MS], 3)).toBe(1_500);
    expect(time.now(700, [], 3)).toBe(1_700);
  });

  it('believes a majority that is far ahead, and not a single clock', () => {
    const time = new ShardTime(0, 0);
    expect(time.now(10, [HOUR_MS, 0], 3)).toBeLessThan(100);
    expect(time.now(20, [HOUR_MS, HOUR_MS, 0], 3)).toBe(HOUR_MS);
  });

  it('does not take most of those that it knows for most of those that vote', () => {
    const time = new ShardTime(0, 0);
    expect(time.now(10, [HOUR_MS, HOUR_MS, 0], 5)).toBeLessThan(100);
    expect(time.now(20, [HOUR_MS, HOUR_MS, HOUR_MS], 5)).toBe(HOUR_MS);
  });

  it('goes on from where another leader was, at the pace of its own monotonic clock', () => {
    const time = new ShardTime(1_000, 0);
    // The other leader's wall clocks were set back: its time is ahead of them.
    time.follow(HOUR_MS, 50);
    expect(time.now(60, [20_000, 20_000, 20_000], 3)).toBe(HOUR_MS + 9);
    time.follow(2 * HOUR_MS, 100);
    expect(time.now(1_100, [], 3)).toBe(2 * HOUR_MS + 1_000);
  });

  it('never goes back, nor more than a tenth faster or slower than the monotonic clock, towards clocks that are near', () => {
    const step = fc.record({
      elapsedMs: fc.integer({ min: 0, max: 1_000 }),
      errorMs: fc.integer({ min: -9_000, max: 4_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), steps => {
        const time = new ShardTime(100_000, 0);
        let monotonicMs = 0;
        let last = 100_000;
        for (const { elapsedMs, errorMs } of steps) {
          monotonicMs += elapsedMs;
          const wall = last + errorMs;
          const now = time.now(monotonicMs, [wall, wall, wall], 3);
          expect(now).toBeGreaterThanOrEqual(last);
          expect(now - last).toBeGreaterThanOrEqual(elapsedMs * 0.9 - 1e-6);
          expect(now - last).toBeLessThanOrEqual(elapsedMs * 1.1 + 1e-6);
          last = now;
        }
      }),
    );
  });
});
