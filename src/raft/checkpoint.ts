import type { EntryId } from './messages.ts';

/**
 * The machine's state is cut into pages; a page is the unit of an incremental checkpoint (R14) and of a snapshot
 * transfer (R17). `space` groups the pages that are counted and hashed together: a queue id, or 0 for the shard itself.
 */
export interface PageKey {
  /** Below 2^48. */
  readonly space: number;
  /** What the page holds; the machine's own numbering, below 256. */
  readonly kind: number;
  /** Below 2^32. */
  readonly number: number;
}

/** `bytes` undefined: the page is gone since the previous checkpoint. */
export interface Page {
  readonly key: PageKey;
  readonly bytes: Uint8Array | undefined;
}

/** `changes`: pages that differ from the previous completed checkpoint. `all`: every page, for a snapshot transfer. */
export type CheckpointScope = 'changes' | 'all';

/**
 * A cut through the machine's state at one applied index. While it is open the machine goes on applying: a page that is
 * about to change is encoded first. One cut of each scope may be open at a time.
 */
export interface CheckpointCut {
  /** The entry after which the state was cut. */
  readonly at: EntryId;
  /** Encodes about `bytesMax` more bytes of pages; an empty list says that the cut is complete. */
  nextPages(bytesMax: number): readonly Page[];
  /** The pages are durable: later cuts of scope `changes` start from here. */
  completed(): void;
  /** Gives the cut up; its pages count as changed again. */
  abandoned(): void;
}

export interface Checkpointable {
  cut(scope: CheckpointScope, at: EntryId): CheckpointCut;
}
