import type { Clock } from '../../src/lib/clock.ts';

/** Time that passes only in `advance`. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ dueMs: number; readonly periodMs: number | undefined; readonly callback: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, undefined, callback);
  }

  every(periodMs: number, callback: () => void): () => void {
    return this.#add(periodMs, periodMs, callback);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Runs what falls due, in order of time. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#nowMs = due.dueMs;
      if (due.periodMs === undefined) this.#timers.delete(due);
      else due.dueMs += due.periodMs;
      due.callback();
    }
    this.#nowMs = endMs;
  }

  #add(delayMs: number, periodMs: number | undefined, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, periodMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
