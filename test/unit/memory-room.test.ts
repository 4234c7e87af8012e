import { beforeEach, expect, it } from 'vitest';
import { MemoryRoom } from '../../src/memory-room.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SetMemory } from '../support/set-memory.ts';

let clock: ManualClock;
let memory: SetMemory;
let room: MemoryRoom;

beforeEach(() => {
  clock = new ManualClock();
  memory = new SetMemory();
  room = new MemoryRoom({ highWatermark: 0.6, checkMs: 1_000 }, { clock, gauge: memory });
});

/** One look for each share; whether memory was short after each. */
function looks(...shares: readonly number[]): boolean[] {
  return shares.map(share => {
    memory.share = share;
    clock.advance(1_000);
    return room.isShort;
  });
}

it('is short when the watermark was passed five times in a row', () => {
  expect(looks(0.59, 0.6, 0.61, 0.7, 0.65, 0.6)).toEqual([false, false, false, false, false, true]);
});

it('is not short when the collector keeps the heap below the watermark, however often it grows above', () => {
  const sawtooth = Array.from({ length: 100 }, (_, i) => 0.4 + (i % 5) * 0.09);
  expect(looks(...sawtooth)).not.toContain(true);
  expect(memory.pressCount).toBeGreaterThan(0);
});

it('has garbage collected when the watermark is reached, before it is taken for an alarm, and now and then during one', () => {
  looks(0.5);
  expect(memory.pressCount).toBe(0);
  looks(0.6);
  expect(memory.pressCount).toBe(1);
  looks(0.6, 0.6, 0.6, 0.6);
  expect([room.isShort, memory.pressCount]).toEqual([true, 1]);
  looks(...new Array<number>(10).fill(0.6));
  expect(memory.pressCount).toBe(3);
});

it('is short at once half way from the watermark to the limit', () => {
  expect(looks(0.5, 0.8)).toEqual([false, true]);
});

it('stays short until a tenth below the watermark', () => {
  looks(0.6, 0.6, 0.6, 0.6, 0.6);
  expect(looks(0.59, 0.55, 0.56, 0.59, 0.6, 0.55)).not.toContain(false);
  expect(looks(0.53)).toEqual([false]);
  expect(looks(0.6, 0.6, 0.6, 0.6, 0.6)).toEqual([false, false, false, false, true]);
});

it('does not take what was before an alarm for its end', () => {
  expect(looks(0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9)).toEqual([false, false, false, true, true, true, true, true]);
});

it('looks no more once it is closed', () => {
  room.close();
  expect(clock.timerCount).toBe(0);
});
