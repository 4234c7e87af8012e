/** At most so much faster or slower than the monotonic clock while shard time is steered (R28). */
const STEERING = 0.1;
/** A majority's median this far ahead is believed at once: the cluster was stopped, or shard time never ran. */
const JUMP_MS = 5_000;

/**
 * The time that a shard's leader writes into its entries (R28). It never goes back, moves with the leader's monotonic
 * clock, is steered towards the median of the voters' wall clocks, and jumps forward only if a majority says so.
 */
export class ShardTime {
  #timeMs: number;
  #monotonicMs: number;

  /** `timeMs`: the shard's time as of the last applied entry. */
  constructor(timeMs: number, monotonicMs: number) {
    this.#timeMs = timeMs;
    this.#monotonicMs = monotonicMs;
  }

  /** `wallClocksMs`: what each voter's wall clock says now, as far as known; `voters`: how many there are. */
  now(monotonicMs: number, wallClocksMs: readonly number[], voters: number): number {
    const elapsed = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs = monotonicMs;
    const unsteered = this.#timeMs + elapsed;
    if (wallClocksMs.length * 2 <= voters) {
      this.#timeMs = unsteered;
      return unsteered;
    }
    const sorted = [...wallClocksMs].sort((a, b) => a - b);
    const median = sorted[(sorted.length - 1) >> 1]!;
    const behind = median - unsteered;
    if (behind > JUMP_MS) this.#timeMs = median;
    else this.#timeMs = unsteered + Math.max(-elapsed * STEERING, Math.min(elapsed * STEERING, behind));
    return this.#timeMs;
  }
}
