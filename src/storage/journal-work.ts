/** What the journal asks of the disk, one after the other. Files are named relative to the journal's directory. */
export type FileOperation =
  /** Writes the buffers behind each other, over whatever is there. */
  | { readonly do: 'write'; readonly file: string; readonly position: number; readonly buffers: readonly Uint8Array[] }
  /** Writes zeros. */
  | { readonly do: 'fill'; readonly file: string; readonly position: number; readonly bytes: number }
  /** Everything written to the file before is durable afterwards. */
  | { readonly do: 'sync'; readonly file: string }
  /** The file is there and empty. */
  | { readonly do: 'create'; readonly file: string }
  /** Nothing to do if `from` is gone and `to` is there: then it was done before a failure. */
  | { readonly do: 'rename'; readonly from: string; readonly to: string }
  /** Nothing to do if the file is gone. */
  | { readonly do: 'delete'; readonly file: string }
  /** Creations, renames and deletions before are durable afterwards. */
  | { readonly do: 'sync-directory' };

/**
 * One piece of disk work. Works are done one at a time, in the order of their numbers. One that found no room is done again from
 * behind its last sync.
 */
export interface JournalWork {
  readonly number: number;
  readonly operations: readonly FileOperation[];
}

/**
 * `full`: there was no room for the operation at this place, and those behind it were not tried. `failed`: nothing is known of the
 * disk any more, the node stops (R18).
 */
export type WorkOutcome =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'full'; readonly at: number }
  | { readonly outcome: 'failed'; readonly reason: string };

/**
 * How many operations of a work without room are not to be done again: a file that was synced may be what a later one relies on,
 * and creating it anew would take it away. What was written since is written again, for a sync without room may have dropped it.
 */
export function durableOperations(operations: readonly FileOperation[], at: number): number {
  const last = operations.slice(0, at).findLastIndex(one => one.do === 'sync' || one.do === 'sync-directory');
  return last + 1;
}

/**
 * What is asked of a thread that does file operations for the node's main thread, in the order in which they are asked
 * for. The journal has one for its writes and one for its reads, so that neither waits for libuv's pool, nor for the
 * other (R19).
 */
export type DiskRequest =
  | { readonly do: 'work'; readonly number: number; readonly operations: readonly FileOperation[] }
  | {
      readonly do: 'read';
      readonly number: number;
      readonly pieces: readonly { readonly file: string; readonly position: number; readonly length: number }[];
    }
  /** The files are gone under these names: what is held open of them goes, so that their blocks can. */
  | { readonly do: 'forget'; readonly files: readonly string[] };

export type DiskReply =
  | ({ readonly did: 'work'; readonly number: number } & WorkOutcome)
  /** A piece that could not be read whole is undefined. */
  | { readonly did: 'read'; readonly number: number; readonly pieces: readonly (Uint8Array | undefined)[] };

const SEGMENT_NAME = /^(\d{12})\.(segment|spare)$/;

export const segmentFile = (number: number): string => `${String(number).padStart(12, '0')}.segment`;
export const spareFile = (number: number): string => `${String(number).padStart(12, '0')}.spare`;
/** A spare that is not complete yet. */
export const PARTIAL_FILE = 'partial.spare';

export function parseFileName(name: string): { readonly number: number; readonly isSpare: boolean } | undefined {
  const match = SEGMENT_NAME.exec(name);
  return match === null ? undefined : { number: Number(match[1]), isSpare: match[2] === 'spare' };
}

export interface JournalOptions {
  /** A segment is sealed when it has grown to about this size. */
  readonly segmentBytesMax: number;
  /** Spare segments kept when older ones die; at least one of them is the room for hard states when the disk is full (R18). */
  readonly sparesMax: number;
  /** Spares that are written with zeros while there is nothing else to do; 0 for none. */
  readonly sparesMin: number;
  /** What the journal may take beyond twice the bytes that are alive (R13). */
  readonly deadBytesReserve: number;
}

export const JOURNAL_DEFAULTS: JournalOptions = {
  segmentBytesMax: 64 * 1024 * 1024,
  sparesMax: 2,
  sparesMin: 1,
  deadBytesReserve: 256 * 1024 * 1024,
};
