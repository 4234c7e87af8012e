import type { LogIndex, NodeId } from '../lib/ids.ts';
import type { Core } from './core.ts';
import type { EntryId, Membership } from './messages.ts';
import type { ProgressState } from './progress.ts';
import type { SoftState } from './ready.ts';

/** A leader's view of one peer. */
export interface PeerStatus {
  readonly peer: NodeId;
  readonly state: ProgressState;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly recentlyActive: boolean;
}

/** One replica at a glance, for people, metrics and tests. */
export interface RaftStatus extends SoftState {
  readonly id: NodeId;
  readonly vote: NodeId | undefined;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly durable: LogIndex;
  readonly base: EntryId;
  readonly last: EntryId;
  readonly membership: Membership;
  readonly damaged: boolean;
  /** Ascending by id; empty unless this replica leads. */
  readonly peers: readonly PeerStatus[];
}

export function statusOf(core: Core): RaftStatus {
  const { id, role, term, vote, leader, damaged, log, memberships } = core;
  const peers: PeerStatus[] = [];
  for (const [peer, { state, match, next, recentlyActive }] of core.leadership?.peers ?? []) {
    peers.push({ peer, state, match, next, recentlyActive });
  }
  return {
    id,
    role,
    term,
    vote,
    leader,
    commit: log.commit,
    applied: log.applied,
    durable: log.durable,
    base: log.base,
    last: log.lastId,
    membership: memberships.current,
    damaged,
    peers,
  };
}
