export type KeyValueOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

/** Keys in [from, to), compared as bytes. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/**
 * An ordered map of bytes to bytes on disk. What it promises (and `test/contract` checks):
 *
 * - A batch is visible entirely or not at all, also after a crash.
 * - When a batch with `sync` resolves it survives a loss of power. Earlier batches without `sync` need not.
 * - After a failed write every later write fails too (R18).
 * - It may return damaged values: whoever stores something checks it (R16).
 */
export interface KeyValueStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void>;
  /** Ascending by key, as of the moment of the first step. */
  iterate(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  /** The first `countMax` keys of the range, ascending. */
  keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}
