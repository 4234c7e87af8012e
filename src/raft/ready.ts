import type { LogIndex, NodeId, Term } from '../lib/ids.ts';
import type { Entry, EntryId, HardState, Membership, RaftMessage, SnapshotMeta } from './messages.ts';

/**
 * What the core wants done, taken with `takeReady()`. The contract with the driver:
 *
 * 1. Send `messages` at once, in order. They promise nothing about this replica's disk.
 * 2. Hand `write` to the journal. Writes of a group complete in the order they were taken; several may be under way.
 *    When one is durable, call `writeCompleted(write.number)`, then send `write.release`. A driver cannot send these
 *    too early, because it learns of them with the write (R6, etcd's MsgStorageAppend).
 * 3. Apply entries up to `commit` in order and report `appliedTo(index)`. Only what is committed is applied; on a leader
 *    an entry may be committed before its own disk has it, a majority of others suffices.
 * 4. Serve `fetches` from the journal and answer each with `entriesFetched`.
 */
export interface Ready {
  readonly messages: readonly RaftMessage[];
  readonly write: Write | undefined;
  readonly commit: LogIndex;
  readonly role: SoftState;
  /** Read rounds confirmed since the last ready: the machine may answer each once it has applied `index`. */
  readonly reads: readonly ReadState[];
  readonly fetches: readonly Fetch[];
  /** Peers that can only go on with a snapshot at or above this replica's first index. Answered with `snapshotStarted`. */
  readonly snapshotsWanted: readonly NodeId[];
  /** A snapshot whose installation the leader asked for: the driver pulls it and calls `snapshotInstalled` or `snapshotFailed`. */
  readonly install: SnapshotInstall | undefined;
}

/** Durable part of a ready. One record batch in the journal; one sync may serve many writes of many groups (R7). */
export interface Write {
  /** 1, 2, 3 ... within one life of the core. */
  readonly number: number;
  readonly hardState: HardState | undefined;
  /** Entries to append. If the first index is not behind the journal's last one, everything from it on is replaced. */
  readonly entries: readonly Entry[];
  /**
   * Messages that say "it is on my disk": votes, append responses, and the vote requests of a candidate, which voted for
   * itself. To be sent when the write is durable. A write without entries and hard state only waits for those before it.
   */
  readonly release: readonly RaftMessage[];
}

export interface SoftState {
  readonly role: 'follower' | 'pre-candidate' | 'candidate' | 'leader';
  readonly term: Term;
  readonly leader: NodeId | undefined;
}

export interface ReadState {
  readonly context: number;
  readonly index: LogIndex;
}

/** Entries `from` to `to`, both included, that a slow peer needs and that are no longer in memory; at least one, then up to `bytesMax`. */
export interface Fetch {
  readonly peer: NodeId;
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly bytesMax: number;
}

export interface SnapshotInstall {
  readonly from: NodeId;
  readonly snapshot: SnapshotMeta;
}

/** What recovery found in the journal and the checkpoint; the core starts from it. */
export interface RecoveredState {
  readonly hardState: HardState;
  /** Last entry that is covered by a checkpoint and no longer in the log; `{term: 0, index: 0}` for a new replica. */
  readonly base: EntryId;
  /** Membership as of `base`; later changes stand in the log. */
  readonly membership: Membership;
  /** Ids of all entries behind `base`, without payload: runs of equal term. */
  readonly log: readonly TermRun[];
  /** Configuration entries behind `base`, ascending. */
  readonly configurations: readonly { readonly index: LogIndex; readonly membership: Membership }[];
  readonly applied: LogIndex;
  /**
   * This replica lost something it had acknowledged (R16): until a leader elected without it has filled it up to that
   * leader's commit index it does not vote, campaign, acknowledge or serve.
   */
  readonly damaged: boolean;
}

/** Entries `first` up to the next run's `first - 1` (or `last`) have this term. */
export interface TermRun {
  readonly term: Term;
  readonly first: LogIndex;
  readonly last: LogIndex;
}

/** Certainly not proposed. A proposal that was taken is later either applied at its id or replaced: then its outcome is known too. */
export type ProposeResult =
  | { readonly proposed: true; readonly id: EntryId }
  | { readonly proposed: false; readonly leader: NodeId | undefined };
