import { Level } from 'level';
import { syncDirectory } from './durable-file.ts';
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
  /** Told once, before `failed`, when what is stored cannot be read: it must not be opened again (R16). */
  readonly unreadable: (reason: string) => void;
  /** Resolves when a write will find room on the disk; writes wait for it. `isRetry`: one before did not, whatever was said. */
  readonly room: (isRetry: boolean) => Promise<void>;
}

const ITERATED_AT_ONCE = 1_000;

/**
 * The key-value store over LevelDB. It works in libuv's pool: nothing that a confirm waits for goes through it (R19).
 * LevelDB takes no write any more once one found no room; it is then opened again when there is some, and the batch
 * that failed is written once more. That it is there twice does no harm. What cannot be read is never answered: the node
 * stops.
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
    // LevelDB syncs what it read from its log, but not the name under which it will find that (R14).
    syncDirectory(options.directory);
    return new LevelStore(level, deps);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const value = await this.#read(() => this.#level.get(key));
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
    const iterator = await this.#read(async () => this.#level.iterator({ gte: range.from, lt: range.to }));
    try {
      for (;;) {
        const found = await this.#read(() => iterator.nextv(ITERATED_AT_ONCE));
        if (found.length === 0) return;
        for (const [key, value] of found) yield [plain(key), plain(value)];
      }
    } finally {
      await iterator.close();
    }
  }

  async keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]> {
    const keys = await this.#read(() => this.#level.keys({ gte: range.from, lt: range.to, limit: countMax }).all());
    return keys.map(plain);
  }

  /** Goes over a range once. A sentence if LevelDB cannot read it; whether the values are what was written it does not tell. */
  async findDamage(range: KeyRange): Promise<string | undefined> {
    const iterator = this.#level.iterator({ gte: range.from, lt: range.to });
    try {
      while ((await iterator.nextv(ITERATED_AT_ONCE)).length > 0);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opened;
    await this.#level.close();
  }

  async #read<Result>(read: () => Promise<Result>): Promise<Result> {
    while (this.#isReopening) await this.#opened;
    try {
      return await read();
    } catch (error) {
      if (this.#isClosed) throw error;
      this.#stop(error as Error, true);
      return new Promise(() => {});
    }
  }

  /** A write fails also when LevelDB, which merges tables in between, finds one that it cannot read. */
  #failed(error: Error): Error {
    this.#stop(error, isUnreadable(error));
    return error;
  }

  #stop(error: Error, cannotBeRead: boolean): void {
    const isFirst = this.#poison === undefined && !this.#isClosed;
    this.#poison ??= error;
    if (!isFirst) return;
    if (cannotBeRead) this.#deps.unreadable(error.message);
    this.#deps.failed(`the key-value store could not be ${cannotBeRead ? 'read' : 'written'}: ${error.message}`);
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

/**
 * Whether LevelDB stumbled over what is stored: it says so, or a file of it is missing or too short. The cause of a failed
 * opening is one level down.
 */
export function isUnreadable(error: Error): boolean {
  const { code, message } = (error.cause ?? error) as { code?: string; message?: string };
  if (code === 'LEVEL_CORRUPTION') return true;
  return code === 'LEVEL_IO_ERROR' && /(ldb|MANIFEST-\d+): (no such file|invalid argument|input)/i.test(message ?? '');
}

/** LevelDB says it in words only. The cause of a failed opening is one level down. */
function isDiskFull(error: Error): boolean {
  const cause = error.cause instanceof Error ? error.cause.message : '';
  return /no space left on device|disk quota exceeded/i.test(`${error.message} ${cause}`);
}

/** LevelDB's binding gives Buffers, whose `slice` is a view where that of a Uint8Array is a copy. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
