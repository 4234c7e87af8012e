import { Level } from 'level';
import type { KeyRange, KeyValueOperation, KeyValueStore } from './key-value-store.ts';

export interface LevelStoreOptions {
  readonly directory: string;
  /** Memory for writes that are not in a table file yet. */
  readonly writeBufferBytes: number;
  readonly cacheBytes: number;
}

/** The key-value store over LevelDB. It works in libuv's pool: nothing that a confirm waits for goes through it (R19). */
export class LevelStore implements KeyValueStore {
  readonly #level: Level<Uint8Array, Uint8Array>;
  readonly #failed: (reason: string) => void;
  #poison: Error | undefined;

  private constructor(level: Level<Uint8Array, Uint8Array>, failed: (reason: string) => void) {
    this.#level = level;
    this.#failed = failed;
  }

  /** `failed` is told once, when a write fails: the node must stop (R18). */
  static async open(options: LevelStoreOptions, failed: (reason: string) => void): Promise<LevelStore> {
    const level = new Level<Uint8Array, Uint8Array>(options.directory, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false,
      writeBufferSize: options.writeBufferBytes,
      cacheSize: options.cacheBytes,
    });
    await level.open();
    return new LevelStore(level, failed);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#level.get(key);
  }

  async batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (this.#poison !== undefined) throw this.#poison;
    try {
      await this.#level.batch([...operations], options);
    } catch (error) {
      this.#poison = error as Error;
      this.#failed(`the key-value store could not be written: ${this.#poison.message}`);
      throw error;
    }
  }

  async *iterate(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    yield* this.#level.iterator({ gte: range.from, lt: range.to });
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}
