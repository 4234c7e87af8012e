import type { GroupId, LogIndex } from '../../lib/ids.ts';
import type { BodyPart } from '../../queue/effects.ts';
import type { Page } from '../../raft/checkpoint.ts';
import type { RecoveredGroup } from '../../raft/log-store.ts';
import type { Entry, EntryId } from '../../raft/messages.ts';
import type { TermRun } from '../../raft/ready.ts';
import type { GroupJournal } from './group-journal.ts';

/** What a checkpoint's load found. */
export interface LoadedCheckpoint {
  readonly at: EntryId;
  readonly pages: readonly Page[];
}

/** Messages of one segment that still live while most of it is dead (R13). */
export interface CleaningCandidate {
  readonly segment: number;
  readonly ranges: readonly { readonly group: GroupId; readonly first: LogIndex; readonly last: LogIndex }[];
  /** Of which account the living messages are: see `resetLive`. */
  readonly account: number;
}

/** What has to happen so that the journal stays within its bound (R13). */
export interface SpaceWanted {
  /** How near the journal is to its bound; above 1 it is beyond. The pace follows it. */
  readonly pressure: number;
  /** A checkpoint of the group has to cover this entry, and its log to begin behind it. */
  readonly groups: readonly { readonly group: GroupId; readonly through: LogIndex }[];
  readonly candidate: CleaningCandidate | undefined;
}

/** Where a message lay in its group's log before it was moved. */
export interface StragglerId {
  readonly entry: LogIndex;
  readonly position: number;
}

export interface Straggler extends BodyPart {
  readonly group: GroupId;
  readonly bytes: Uint8Array;
}

/** How the journal is kept within its bound (R13). */
export interface CleaningStore {
  /** Reads the payload of an entry, also of one below the log's base; undefined if its segment was cleaned. */
  readPayload(group: GroupId, index: LogIndex, done: (payload: Uint8Array | undefined) => void): void;
  /** Durable when it resolves. */
  putStragglers(stragglers: readonly Straggler[]): Promise<void>;
  /** Undefined as long as the journal is well within its bound. */
  spaceWanted(): SpaceWanted | undefined;
  /** All that lived in the segment is a straggler now: it goes when a checkpoint knows what had left it before. */
  cleaned(candidate: CleaningCandidate): void;
  /** It cannot be read whole: it stays as it is. */
  setAside(segment: number): void;
  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void;
  /** Groups of whose stragglers many are dead. */
  sweepsWanted(): readonly GroupId[];
  /** What dies from now on is for the next sweep. */
  sweepBegins(group: GroupId): void;
  /** Ascending, from one on, at most `countMax`. */
  listStragglers(group: GroupId, from: StragglerId, countMax: number): Promise<readonly StragglerId[]>;
  /** They must be dead in a durable checkpoint. */
  deleteStragglers(group: GroupId, stragglers: readonly StragglerId[]): Promise<void>;
}

/** Segments that a snapshot transfer reads: none of them goes before `release` (R17). */
export interface SnapshotPin {
  /** Bytes in them that nobody needs any more, apart from this pin. */
  deadBytes(): number;
  release(): void;
}

/** What a replica does with its disk to fill another one, and to be filled (R16, R17). */
export interface SnapshotStore {
  /** Counts installed snapshots: pages and bodies of other generations are not part of the replica. */
  generationOf(group: GroupId): number;
  /** The highest that was ever tried, as far as the journal still tells. */
  lastGenerationOf(group: GroupId): number;
  /** The group's hard state and base as they were last written; undefined if it has none. */
  writtenState(group: GroupId): Pick<RecoveredGroup, 'hardState' | 'base'> | undefined;
  pin(group: GroupId): SnapshotPin;
  /** Whether there is a record of the entry, be it of the log or below its base. */
  hasRecord(group: GroupId, index: LogIndex): boolean;
  /** Records at or below `through`. */
  heldRecords(group: GroupId, through: LogIndex): TermRun[];
  /** Reads records; undefined what is not there or damaged. */
  readRecords(group: GroupId, indexes: readonly LogIndex[]): Promise<(Entry | undefined)[]>;
  /**
   * Stores a record beside those of the log; ascending within a generation. It counts from a base of this generation on,
   * and takes the place of older records of its index. An empty payload says that only stragglers are left of the entry.
   */
  appendBody(group: GroupId, generation: number, entry: Entry, durable: () => void): void;
  abandonBodies(group: GroupId, generation: number): void;
  /** Durable when it resolves. */
  putStragglers(stragglers: readonly Straggler[]): Promise<void>;
  /** Starts the account of living bodies anew; `accounted` ends it. */
  resetLive(group: GroupId): void;
  /** Forgets the checkpoints of all generations of a group but this one; of all if it is undefined. Durable when it resolves. */
  keepGeneration(group: GroupId, generation: number | undefined): Promise<void>;
  /** Remembers over restarts that a group lost something it had acknowledged, or that it is whole again; one that lost something in this life is not. */
  setDamaged(group: GroupId, damaged: boolean): Promise<void>;
  /** The entries behind the answer, up to `last`, take at most about `bytesMax`. Not below the log's base. */
  floorWithin(group: GroupId, last: LogIndex, bytesMax: number): LogIndex;
}

/** The disk of this node, as the cluster layer needs it (DESIGN section 5). Implemented in `src/storage`. */
export interface NodeStore extends SnapshotStore, CleaningStore {
  /** Random, made at the first start (R9). */
  readonly directoryId: string;
  /** What was saved when the cluster was formed; undefined in an empty directory. */
  readonly formation: Uint8Array | undefined;
  saveFormation(bytes: Uint8Array): Promise<void>;

  readonly journal: GroupJournal;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  /** One write and one sync for what was appended since the last call. */
  flush(): void;

  loadCheckpoint(group: GroupId, generation: number): Promise<LoadedCheckpoint | 'none' | 'damaged'>;
  /** Pages of one cut, given in pieces; durable as a whole when `finish` resolves. */
  beginCheckpoint(group: GroupId, generation: number, at: EntryId): CheckpointWriter;

  /**
   * Something that the replica had acknowledged cannot be read back: it remembers that over restarts, and the node stops. A
   * leader fills it at the next start (R16).
   */
  lost(group: GroupId, what: string): void;

  /** Free bytes are below the limit, or the last write found no room: publishes must wait (R18). */
  readonly isShortOfSpace: boolean;
  close(): Promise<void>;
}

export interface CheckpointWriter {
  add(pages: readonly Page[]): Promise<void>;
  finish(): Promise<void>;
}
