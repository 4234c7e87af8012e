import type { Clock } from './lib/clock.ts';

/** How much memory the process holds, and a way to have garbage taken out of it. */
export interface MemoryGauge {
  /** Of what the process may use, 0 to 1. Counts garbage that nobody has collected yet. */
  shareInUse(): number;
  /** Has the garbage collector run before long, without holding the event loop for it. */
  press(): void;
}

export interface MemoryRoomOptions {
  /** Share in use from which on memory is short. */
  readonly highWatermark: number;
  readonly checkMs: number;
}

/** What is in use whatever the collector does: the least of so many looks in a row. */
const LOOKS = 5;
/** Memory is short until so much less than the watermark is in use: the end of an alarm must not be the cause of the next. */
const RELIEF = 0.9;

/**
 * Whether this node's memory is short (R18, R30). A garbage-collected heap says little at any one moment: it grows until
 * somebody collects it. So the collector is pressed when the watermark is reached, and what counts is what it leaves. Who
 * is half way from the watermark to the limit has no time to wait for that.
 */
export class MemoryRoom {
  readonly #options: MemoryRoomOptions;
  readonly #gauge: MemoryGauge;
  readonly #cancel: () => void;
  /** Since the state changed, at most `LOOKS`. */
  #shares: number[] = [];
  #looksSincePressed = LOOKS;
  #isShort = false;

  constructor(options: MemoryRoomOptions, deps: { readonly clock: Clock; readonly gauge: MemoryGauge }) {
    this.#options = options;
    this.#gauge = deps.gauge;
    this.#cancel = deps.clock.every(options.checkMs, () => this.#look());
  }

  get isShort(): boolean {
    return this.#isShort;
  }

  close(): void {
    this.#cancel();
  }

  #look(): void {
    const { highWatermark } = this.#options;
    const share = this.#gauge.shareInUse();
    const limit = this.#isShort ? highWatermark * RELIEF : highWatermark;
    this.#looksSincePressed++;
    if (share >= limit && this.#looksSincePressed > LOOKS) {
      this.#looksSincePressed = 0;
      this.#gauge.press();
    }
    this.#shares.push(share);
    if (this.#shares.length > LOOKS) this.#shares.shift();
    const isKnown = this.#shares.length === LOOKS;
    const leastIsShort = Math.min(...this.#shares) >= limit;
    if (this.#isShort ? isKnown && !leastIsShort : (isKnown && leastIsShort) || share >= (1 + highWatermark) / 2) {
      this.#isShort = !this.#isShort;
      this.#shares = [];
    }
  }
}
