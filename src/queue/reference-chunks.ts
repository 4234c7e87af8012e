import { assert } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, StatePage } from './checkpoint-pages.ts';
import { NEVER } from './deadlines.ts';
import { CHUNK_REFERENCES, CHUNK_STORAGES_KEPT } from './limits.ts';

/**
 * Where a referenced message is: gone from the queue, waiting in it, or with a consumer. In a stream it is ready while the stream
 * keeps it, whoever holds it, and then with its readers.
 */
export const ReferenceState = { gone: 0, ready: 1, checkedOut: 2 } as const;

/** Beside the state of a reference on its page: its time follows. */
const TIMED = 0x80;

/** `shares` of a reference to a large message: its `positions` hold the id in the table of large messages. */
export const LARGE = 0;

const CAPACITIES = [16, 64, 256, 1_024, CHUNK_REFERENCES] as const;

/** Columns of a chunk: 21 bytes per reference (R15), and 8 more where messages expire, and in streams. */
export class ChunkStorage {
  readonly capacity: number;
  readonly entries: Float64Array;
  readonly positions: Uint32Array;
  readonly lengths: Uint32Array;
  /** How often the message came back; in a stream, how many readers hold it. */
  readonly counts: Uint16Array;
  /** Queues that the message entered with one command; each reference accounts for its part of the bytes. */
  readonly shares: Uint16Array;
  readonly states: Uint8Array;
  /** Shard time at which messages expire, or `NEVER`; in a stream, at which they came. Absent until one of them has one. */
  times: Float64Array | undefined = undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.entries = new Float64Array(capacity);
    this.positions = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.counts = new Uint16Array(capacity);
    this.shares = new Uint16Array(capacity);
    this.states = new Uint8Array(capacity);
  }

  copyFrom(other: ChunkStorage): void {
    this.entries.set(other.entries);
    this.positions.set(other.positions);
    this.lengths.set(other.lengths);
    this.counts.set(other.counts);
    this.shares.set(other.shares);
    this.states.set(other.states);
    if (other.times !== undefined) this.timeColumn().set(other.times);
  }

  timeColumn(): Float64Array {
    this.times ??= new Float64Array(this.capacity).fill(NEVER);
    return this.times;
  }
}

/** Keeps storages of freed chunks: a queue that is filled and emptied all the time must not allocate each time. */
export class ChunkPool {
  readonly #free: ChunkStorage[][] = CAPACITIES.map(() => []);

  take(capacityMin: number): ChunkStorage {
    const size = CAPACITIES.findIndex(capacity => capacity >= capacityMin);
    assert(size >= 0, () => `a chunk of ${capacityMin} references`);
    return this.#free[size]!.pop() ?? new ChunkStorage(CAPACITIES[size]!);
  }

  give(storage: ChunkStorage): void {
    storage.times = undefined;
    const free = this.#free[CAPACITIES.indexOf(storage.capacity as (typeof CAPACITIES)[number])]!;
    if (free.length < CHUNK_STORAGES_KEPT) free.push(storage);
  }
}

/** Bytes that one reference stands for in the journal's live accounting. */
export const accountedBytes = (length: number, shares: number): number =>
  shares <= 1 ? length : Math.ceil(length / shares);

/**
 * The references of a queue's positions `[number * CHUNK_REFERENCES, (number + 1) * CHUNK_REFERENCES)`. Positions are
 * appended in order, so entries ascend. Storage begins at `origin`: what lies before was gone when the chunk ran empty.
 */
export class ReferenceChunk extends StatePage {
  readonly queue: QueueId;
  readonly number: number;
  /** Below the queue's generation: what is ready here was purged and only waits to be dropped. */
  generation: number;
  /** Queue position of the storage's first reference. */
  origin: number;
  count = 0;
  /** References that are not gone. */
  alive = 0;
  storage: ChunkStorage | undefined = undefined;

  constructor(queue: QueueId, number: number, generation: number) {
    super();
    this.queue = queue;
    this.number = number;
    this.generation = generation;
    this.origin = number * CHUNK_REFERENCES;
  }

  get pageKey(): PageKey {
    return { space: this.queue, kind: PageKind.references, number: this.number % 0x1_0000_0000 };
  }

  get isFull(): boolean {
    return this.origin + this.count === (this.number + 1) * CHUNK_REFERENCES;
  }

  append(pool: ChunkPool, entry: number, position: number, length: number, shares: number): void {
    const i = this.count++;
    const storage = i < (this.storage?.capacity ?? 0) ? this.storage! : this.#grow(pool);
    storage.entries[i] = entry;
    storage.positions[i] = position;
    storage.lengths[i] = length;
    storage.counts[i] = 0;
    storage.shares[i] = shares;
    storage.states[i] = ReferenceState.ready;
    this.alive++;
  }

  /** Of the message that was appended last. */
  timeLast(timeMs: number): void {
    this.storage!.timeColumn()[this.count - 1] = timeMs;
  }

  /** Frees the storage of a chunk in which all is gone. */
  empty(pool: ChunkPool): void {
    assert(this.alive === 0, 'a chunk with live references is emptied');
    if (this.storage) pool.give(this.storage);
    this.storage = undefined;
    this.origin += this.count;
    this.count = 0;
  }

  #grow(pool: ChunkPool): ChunkStorage {
    const old = this.storage;
    const grown = pool.take(this.count);
    if (old) {
      grown.copyFrom(old);
      pool.give(old);
    }
    this.storage = grown;
    return grown;
  }

  encode(out: ByteWriter): void {
    out.u48(this.queue);
    out.u48(this.number);
    out.u32(this.generation);
    out.u16(this.origin - this.number * CHUNK_REFERENCES);
    out.u16(this.count);
    const storage = this.storage;
    if (!storage) return;
    for (let i = 0; i < this.count; i++) {
      const state = storage.states[i]!;
      const timeMs = storage.times?.[i] ?? NEVER;
      const isTimed = state !== ReferenceState.gone && timeMs !== NEVER;
      out.u8(isTimed ? state | TIMED : state);
      if (state === ReferenceState.gone) continue;
      if (isTimed) out.f64(timeMs);
      out.u48(storage.entries[i]!);
      out.u32(storage.positions[i]!);
      out.u32(storage.lengths[i]!);
      out.u16(storage.counts[i]!);
      out.u16(storage.shares[i]!);
    }
  }

  static decode(from: ByteReader, pool: ChunkPool): ReferenceChunk {
    const chunk = new ReferenceChunk(queueId(from.u48()), from.u48(), from.u32());
    chunk.origin += from.u16();
    chunk.count = from.u16();
    if (chunk.count === 0) return chunk;
    const storage = pool.take(chunk.count);
    chunk.storage = storage;
    for (let i = 0; i < chunk.count; i++) {
      const flagged = from.u8();
      const state = flagged & ~TIMED;
      storage.states[i] = state;
      if (state === ReferenceState.gone) {
        // Neighbours bound the entry: columns stay ascending for the search of live references.
        storage.entries[i] = i > 0 ? storage.entries[i - 1]! : 0;
        continue;
      }
      chunk.alive++;
      if (flagged !== state) storage.timeColumn()[i] = from.f64();
      storage.entries[i] = from.u48();
      storage.positions[i] = from.u32();
      storage.lengths[i] = from.u32();
      storage.counts[i] = from.u16();
      storage.shares[i] = from.u16();
    }
    return chunk;
  }
}
