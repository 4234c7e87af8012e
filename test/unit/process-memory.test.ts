import { expect, it } from 'vitest';
import { ProcessMemory, usableBytes } from '../../src/process-memory.ts';

const MIB = 1024 * 1024;

it('compares what the process holds with what it may use', () => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const bytes = heapUsed + arrayBuffers;
  expect(new ProcessMemory(bytes * 4).shareInUse()).toBeCloseTo(0.25, 1);
  expect(new ProcessMemory(bytes / 2).shareInUse()).toBeGreaterThan(1);
  expect(new ProcessMemory(0).shareInUse()).toBeGreaterThanOrEqual(bytes / 2 / usableBytes());
  expect(new ProcessMemory(0).shareInUse()).toBeLessThan(1);
});

it('has garbage collected by V8 when it presses, in a process that does nothing else', async () => {
  const fill = (): number => Array.from({ length: 2_000 }, () => new Uint8Array(100_000)).length;
  expect(fill()).toBe(2_000);
  const memory = new ProcessMemory(0);
  await expect
    .poll(
      () => {
        memory.press();
        return process.memoryUsage().arrayBuffers;
      },
      { interval: 100 },
    )
    .toBeLessThan(150 * MIB);
});
