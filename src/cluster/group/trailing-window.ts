import type { LogIndex } from '../../lib/ids.ts';

/** What a leader knows of a peer that answers. */
export interface FollowerPosition {
  readonly match: LogIndex;
  readonly recentlyActive: boolean;
}

export interface TrailingWindow {
  /** The log may not begin behind this: a durable checkpoint covers it. */
  readonly checkpointed: LogIndex;
  /** The journal needs the room up to there; `isUrgent`: whoever still needs it gets a snapshot. */
  readonly wanted: { readonly through: LogIndex; readonly isUrgent: boolean };
  /** Entries that stay for followers that restart. */
  readonly entries: number;
  /** The entries behind this one up to `checkpointed` are within the bytes that stay for followers that restart. */
  readonly restartFloor: LogIndex;
  /** The same for the bytes that stay while a follower that answers still needs them. */
  readonly catchUpFloor: LogIndex;
  readonly followers: readonly FollowerPosition[];
  /** A snapshot that is on its way to a follower, which will go on behind it. */
  readonly offered: LogIndex | undefined;
}

/**
 * Where the log may begin (R13). Dead entries behind it are bounded in number and bytes: by a small bound for followers
 * that are away, by a larger one as long as a follower that answers has not got them.
 */
export function baseOf(window: TrailingWindow): LogIndex {
  const { checkpointed, wanted, entries, restartFloor, catchUpFloor, followers, offered } = window;
  const room = Math.min(wanted.through, checkpointed);
  const usual = Math.max(checkpointed - entries, restartFloor, room, 0);
  let needed = offered ?? usual;
  for (const { match, recentlyActive } of followers) {
    // One that matches nothing is a stranger so far: it may need a snapshot anyhow.
    if (!wanted.isUrgent && recentlyActive && match > 0) needed = Math.min(needed, match);
  }
  return Math.min(usual, Math.max(needed, catchUpFloor));
}
