import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { BodyPart } from '../queue/effects.ts';
import type { Page } from '../raft/checkpoint.ts';
import type { RecoveredGroup } from '../raft/log-store.ts';
import type { EntryId } from '../raft/messages.ts';
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
}

export interface Straggler extends BodyPart {
  readonly group: GroupId;
  readonly bytes: Uint8Array;
}

/** The disk of this node, as the cluster layer needs it (DESIGN section 5). Implemented in `src/storage`. */
export interface NodeStore {
  /** Random, made at the first start (R9). */
  readonly directoryId: string;
  /** What was saved when the cluster was formed; undefined in an empty directory. */
  readonly formation: Uint8Array | undefined;
  saveFormation(bytes: Uint8Array): Promise<void>;

  readonly journal: GroupJournal;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  /** One write and one sync for what was appended since the last call. */
  flush(): void;
  /** Reads the payload of an entry, also of one below the log's base; undefined if its segment was cleaned. */
  readPayload(group: GroupId, index: LogIndex, done: (payload: Uint8Array | undefined) => void): void;

  loadCheckpoint(group: GroupId, generation: number): Promise<LoadedCheckpoint | 'none' | 'damaged'>;
  /** Pages of one cut, given in pieces; durable as a whole when `finish` resolves. */
  beginCheckpoint(group: GroupId, generation: number, at: EntryId): CheckpointWriter;

  cleaningCandidate(): CleaningCandidate | undefined;
  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void;
  /** The segment goes once these are durable. */
  cleaned(segment: number, stragglers: readonly Straggler[]): Promise<void>;

  /** Free bytes are below the limit, or the last write found no room: publishes must wait (R18). */
  readonly isShortOfSpace: boolean;
  close(): Promise<void>;
}

export interface CheckpointWriter {
  add(pages: readonly Page[]): Promise<void>;
  finish(): Promise<void>;
}
