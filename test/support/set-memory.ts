import type { MemoryGauge } from '../../src/memory-room.ts';

/** Memory of which a test says how much is in use. */
export class SetMemory implements MemoryGauge {
  share = 0;
  pressCount = 0;

  shareInUse(): number {
    return this.share;
  }

  press(): void {
    this.pressCount++;
  }
}
