import type { LogIndex, NodeId, Term } from '../lib/ids.ts';

/** What an entry is for. `empty` is the entry a new leader appends in its term (Raft 5.4.2, 8). */
export const EntryKind = { empty: 0, command: 1, configuration: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export interface EntryId {
  readonly term: Term;
  readonly index: LogIndex;
}

/** One position of the log. The payload is opaque to Raft; for `configuration` it is an encoded `Membership`. */
export interface Entry extends EntryId {
  readonly kind: EntryKind;
  readonly payload: Uint8Array;
}

/** What a replica must remember over restarts (Raft 5.1, figure 2). The commit index is a hint that shortens recovery. */
export interface HardState {
  readonly term: Term;
  /** Undefined: no vote was given in this term. */
  readonly vote: NodeId | undefined;
  readonly commit: LogIndex;
}

/**
 * Who takes part (Raft 6, joint consensus). `outgoing` is the old voter set while two majorities are needed; empty otherwise.
 * Learners receive the log and do not count. All lists ascending, without repeats; a learner is not a voter.
 */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term, except in pre-votes, where it is the term that the sender would campaign in. */
  readonly term: Term;
}

export interface VoteRequest extends Envelope {
  readonly type: 'vote-request' | 'pre-vote-request';
  readonly last: EntryId;
  /**
   * The campaigner has reason to override a follower's recent contact with its leader (Raft 4.2.3): a leadership
   * transfer, or the leader's process is known to be gone.
   */
  readonly force: boolean;
}

export interface VoteResponse extends Envelope {
  readonly type: 'vote-response' | 'pre-vote-response';
  readonly granted: boolean;
}

/** Entries follow `previous`. An empty list is a probe or carries a new commit index. */
export interface AppendRequest extends Envelope {
  readonly type: 'append-request';
  readonly previous: EntryId;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

/** Sent only when everything up to `match` is durable at the sender (DESIGN section 4). */
export interface AppendResponse extends Envelope {
  readonly type: 'append-response';
  readonly accepted: boolean;
  /** Accepted: the last index known to equal the leader's log. Rejected: the `previous.index` that did not fit. */
  readonly match: LogIndex;
  /** Rejected: where the leader may try next, the sender's last entry at or below the conflict (Raft 5.3, last paragraph). */
  readonly hint: EntryId;
}

/** Says that the leader is there, and how far the peer may commit. Coalesced over groups by the transport (R8). */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat';
  readonly commit: LogIndex;
  /** The latest read-index round that this heartbeat serves; 0 if none. */
  readonly readRound: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly type: 'heartbeat-response';
  readonly readRound: number;
  /** The peer's last index. A leader that believes otherwise learns here that appends were lost. */
  readonly lastIndex: LogIndex;
}

/** The peer's next entries are gone from the leader's log: it must be filled by a snapshot transfer (R17). */
export interface SnapshotOffer extends Envelope {
  readonly type: 'snapshot-offer';
  readonly snapshot: SnapshotMeta;
}

/** The transfer is over. The chunks in between are the drivers' business; the core only knows of its two ends. */
export interface SnapshotResponse extends Envelope {
  readonly type: 'snapshot-response';
  readonly installed: boolean;
  /** The peer's last index afterwards. */
  readonly match: LogIndex;
}

/** Asks the receiver to campaign at once, without waiting for a timeout (Raft 3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeout-now';
}

export type RaftMessage =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | SnapshotOffer
  | SnapshotResponse
  | TimeoutNow;

/** A state of the machine at one index, and who took part there. */
export interface SnapshotMeta {
  readonly last: EntryId;
  readonly membership: Membership;
}
