import { Level } from 'level';
import type { KeyRange, KeyValueOperation, KeyValueStore } from './key-value-store.ts';

export interface LevelStoreOptions {
  readonly directory: string;
  /** Memory for writes that are not in a table file yet. */
  readonly writeBufferBytes: number;
  readonly cacheBytes: number;
}

export interface LevelStoreDependencies {
  /** Told once, when a write fails: the node must stop (R18). */
  readonly failed: (reason: string) => void;
  /** Resolves when a write will find room on the disk; writes wait for it. `isRetry`: one before did not, whatever was said. */
  readonly room: (isRetry: boolean) => Promise<void>;
}

/**
 * The key-value store over LevelDB. It works in libuv's pool: nothing that a confirm waits for goes through it (R19).
 * LevelDB takes no write any more once one found no room; it is then opened again when there is some, and the batch
 * that failed is written once more. That it is there twice does no harm.
 */
export class LevelStore implements KeyValueStore {
  readonly #level: Level<Uint8Array, Uint8Array>;
  readonly #deps: LevelStoreDependencies;
  #poison: Error | undefined;
  #isClosed = false;
  /** Pending while the store is opened again. */
  #opened: Promise<void> = Promise.resolve();
  #isReopening = false;

  private constructor(level: Level<Uint8Array, Uint8Array>, deps: LevelStoreDependencies) {
    this.#level = level;
    this.#deps = deps;
  }

  static async open(options: LevelStoreOptions, deps: LevelStoreDependencies): Promise<LevelStore> {
    const level = new Level<Uint8Array, Uint8Array>(options.directory, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false,
      writeBufferSize: options.writeBufferBytes,
      cacheSize: options.cacheBytes,
    });
    await level.open();
    return new LevelStore(level, deps);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    while (this.#isReopening) await this.#opened;
    const value = await this.#level.get(key);
    return value === undefined ? undefined : plain(value);
  }

  async batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void> {
    for (;;) {
      await this.#deps.room(false);
      while (this.#isReopening) await this.#opened;
      if (this.#poison !== undefined) throw this.#poison;
      try {
        await this.#level.batch([...operations], options);
        return;
      } catch (error) {
        if (!isDiskFull(error as Error) || this.#isClosed) throw this.#failed(error as Error);
        this.#reopen();
      }
    }
  }

  async *iterate(range: KeyRange): AsyncGenerator<readonly [key: Uint8Array, value: Uint8Array]> {
    while (this.#isReopening) await this.#opened;
    for await (const [key, value] of this.#level.iterator({ gte: range.from, lt: range.to })) {
      yield [plain(key), plain(value)];
    }
  }

  async keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]> {
    while (this.#isReopening) await this.#opened;
    const keys = await this.#level.keys({ gte: range.from, lt: range.to, limit: countMax }).all();
    return keys.map(plain);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opened;
    await this.#level.close();
  }

  #failed(error: Error): Error {
    const isFirst = this.#poison === undefined && !this.#isClosed;
    this.#poison ??= error;
    if (isFirst) this.#deps.failed(`the key-value store could not be written: ${error.message}`);
    return error;
  }

  /** Reads and writes wait meanwhile. Whatever was acknowledged is there again, as after a crash. */
  #reopen(): void {
    if (this.#isReopening) return;
    this.#isReopening = true;
    const reopen = async (): Promise<void> => {
      await this.#level.close();
      while (!this.#isClosed) {
        await this.#deps.room(true);
        try {
          await this.#level.open();
          return;
        } catch (error) {
          if (isDiskFull(error as Error)) continue;
          this.#failed(error as Error);
          return;
        }
      }
    };
    this.#opened = reopen().finally(() => {
      this.#isReopening = false;
    });
  }
}

/** LevelDB says it in words only. The cause of a failed opening is one level down. */
function isDiskFull(error: Error): boolean {
  const cause = error.cause instanceof Error ? error.cause.message : '';
  return /no space left on device|disk quota exceeded/i.test(`${error.message} ${cause}`);
}

/** LevelDB's binding gives Buffers, whose `slice` is a view where that of a Uint8Array is a copy. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
