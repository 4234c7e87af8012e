/** Time as the shells see it. The only file that reads the system's clocks or sets its timers. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. Leases, elections and timeouts use this one. */
  monotonicMs(): number;
  /** Milliseconds since 1970. Only for timestamps that people read and for steering shard time (R28). */
  wallMs(): number;
  /** Runs `callback` once after `delayMs` (at most a day, R28); the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
  /** Runs `callback` every `periodMs` until the returned function is called. */
  every(periodMs: number, callback: () => void): () => void;
}

export const DELAY_MAX_MS = 86_400_000;

export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = setTimeout(callback, Math.min(delayMs, DELAY_MAX_MS));
    return () => clearTimeout(timer);
  }

  every(periodMs: number, callback: () => void): () => void {
    const timer = setInterval(callback, Math.min(periodMs, DELAY_MAX_MS));
    return () => clearInterval(timer);
  }
}
