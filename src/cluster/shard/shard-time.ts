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

  /** Another leader's entry was applied: its time goes on here, should this replica lead one day. */
  follow(timeMs: number, monotonicMs: number): void {
    this.#timeMs = timeMs;
    this.#monotonicMs = monotonicMs;
  }

  /** `wallClocksMs`: what each voter's wall clock says now, as far as known; `voters`: how many there are. */
  now(monotonicMs: number, wallClocksMs: readonly number[], voters: number): number {
    const elapsed = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs = monotonicMs;
    const unsteered = this.#timeMs + elapsed;
    const majority = (voters >> 1) + 1;
    if (wallClocksMs.length < majority) {
      this.#timeMs = unsteered;
      return unsteered;
    }
    // The latest time that the clocks of a majority have reached: the median, if all of them are known.
    const reached = [...wallClocksMs].sort((a, b) => a - b)[wallClocksMs.length - majority]!;
    const behind = reached - unsteered;
    if (behind > JUMP_MS) this.#timeMs = reached;
    else this.#timeMs = unsteered + Math.max(-elapsed * STEERING, Math.min(elapsed * STEERING, behind));
    return this.#timeMs;
  }
}
