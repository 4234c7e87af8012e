import type { LogIndex, Term } from '../lib/ids.ts';

/** Everything outside its own state that `apply` may look at (R21). */
export interface ApplyMeta {
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * A replicated state machine. `apply` is deterministic: the same entries in the same order give the same state and the
 * same effects on every replica; only the leader's driver performs the effects.
 */
export interface StateMachine<Effects> {
  apply(meta: ApplyMeta, payload: Uint8Array): Effects;
  /** Index of the last entry applied. */
  readonly applied: LogIndex;
}
