import { DELAY_MAX_MS } from '../../lib/clock.ts';
import { reached } from '../../lib/reached.ts';
import { NEVER } from '../../queue/deadlines.ts';

/** An entry could not be proposed: it is tried again after this. */
const RETRY_MS = 50;
/** Shard time may run slower than the timer's clock: the rest is waited for in steps of at least this. */
const DELAY_MIN_MS = 1;

export interface DeadlineWatchDependencies {
  /** Shard time at which something ends by itself; `NEVER`: nothing does. */
  readonly deadlineMs: () => number;
  /** Shard time as the leader has it now. */
  readonly timeMs: () => number;
  readonly after: (delayMs: number, callback: () => void) => () => void;
  /** An entry by which the machine learns what time it is. False: not now. */
  readonly propose: () => boolean;
}

/**
 * Tells a leader's machine the time when something in it comes to its end, however quiet the shard is. One timer, for the
 * earliest end; a later one does not move it: it is looked for when the timer fires.
 */
export class DeadlineWatch {
  readonly #deps: DeadlineWatchDependencies;
  /** What the timer is set for; `NEVER`: it is not set. */
  #timerMs = NEVER;
  /** The end that an entry under way will meet. */
  #proposedMs = NEVER;
  #cancel: () => void = () => {};

  constructor(deps: DeadlineWatchDependencies) {
    this.#deps = deps;
  }

  /** To be called when the end may be another one. Cheap when it is not an earlier one. */
  look(): void {
    const atMs = this.#deps.deadlineMs();
    if (atMs >= this.#timerMs || atMs === this.#proposedMs) return;
    const leftMs = atMs - this.#deps.timeMs();
    if (leftMs > 0) this.#set(atMs, leftMs);
    else if (this.#deps.propose()) this.#proposedMs = atMs;
    else {
      reached('leader.expiry-not-proposed');
      this.#set(atMs, RETRY_MS);
    }
  }

  /** Forgets everything: the leader is none any more. */
  stop(): void {
    this.#cancel();
    this.#timerMs = NEVER;
    this.#proposedMs = NEVER;
  }

  #set(atMs: number, delayMs: number): void {
    this.#cancel();
    this.#timerMs = atMs;
    this.#cancel = this.#deps.after(Math.min(Math.max(delayMs, DELAY_MIN_MS), DELAY_MAX_MS), () => {
      this.#timerMs = NEVER;
      this.look();
    });
  }
}
