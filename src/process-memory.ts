import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { MemoryGauge } from './memory-room.ts';

/** Pages that are never touched: no memory, but enough for V8 to begin a collection. */
const PRESSURE_BYTES = 64 * 1024 * 1024;

export const usableBytes = (): number => Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);

/**
 * What V8 holds for this process: its heap, and array buffers outside of it. Not the resident memory: what the collector
 * has freed stays with the allocator and is used again, so that one never falls and an alarm by it would never end.
 */
export class ProcessMemory implements MemoryGauge {
  readonly #heapBytesMax = getHeapStatistics().heap_size_limit;
  readonly #bytesMax: number;

  /** `bytesMax` 0: what the machine has, or the process's cgroup. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax > 0 ? bytesMax : usableBytes();
  }

  shareInUse(): number {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return Math.max(heapUsed / this.#heapBytesMax, (heapUsed + arrayBuffers) / this.#bytesMax);
  }

  press(): void {
    try {
      new ArrayBuffer(PRESSURE_BYTES);
    } catch {
      // Not to be had: V8 has collected everything in the attempt.
    }
  }
}
