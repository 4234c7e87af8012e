import { assert } from '../lib/assert.ts';
import type { ByteWriter } from '../lib/bytes.ts';
import type { QueueId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, type PageTracker, StatePage } from './checkpoint-pages.ts';
import { type QueueConfig, type Retention, writeQueueConfig } from './commands.ts';
import { type ConsumerRings, consumersInOrder } from './consumer-rings.ts';
import type { Consumer } from './consumers.ts';
import { Deadline, NEVER } from './deadlines.ts';
import { CHUNK_REFERENCES } from './limits.ts';
import { ReturnedPositions } from './ready-list.ts';
import { type ChunkPool, ReferenceChunk } from './reference-chunks.ts';

const chunkNumberOf = (position: number): number => Math.floor(position / CHUNK_REFERENCES);

/**
 * One queue. Messages have positions, counted from 0 in the order in which they came. Those from `head` on are ready and
 * were never handed out; before it they are returned (ready again), checked out, or gone. In a stream all are ready from
 * `head` on, and each consumer has a cursor there. What a queue does not use yet is not allocated: tens of thousands of
 * idle queues are normal.
 */
export class QueueState extends StatePage implements ConsumerRings {
  readonly id: QueueId;
  readonly config: QueueConfig;
  /** `NEVER`: the queue sets its messages no limit. */
  readonly messageTtlMs: number;
  /** Undefined: the queue is no stream. */
  readonly stream: Retention | undefined;
  /** Undefined: nothing here ends by itself. */
  deadline: Deadline | undefined = undefined;
  /** Shard time of the last use that consumers, gets and declarations made of it. Kept for a queue that expires unused. */
  usedMs = 0;
  /** Ascending by number. */
  chunks: Map<number, ReferenceChunk> | undefined = undefined;
  head = 0;
  tail = 0;
  returned: ReturnedPositions | undefined = undefined;
  /** Counts purges. A chunk of an older generation still holds purged references (R21). */
  generation = 0;

  ready = 0;
  readyBytes = 0;
  unacked = 0;
  unackedBytes = 0;

  /** By serial: also getters, and cancelled consumers with unsettled deliveries. */
  consumers: Map<number, Consumer> | undefined = undefined;
  /** Those that their clients have not cancelled. */
  consumerCount = 0;
  exclusiveConsumer: Consumer | undefined = undefined;
  /** Next to be served among the consumers that had credit when they were last looked at. */
  ringFront: Consumer | undefined = undefined;
  lowerFronts: Consumer[] | undefined = undefined;
  /**
   * Of a queue with a single active consumer: the active one, also after it has stopped, until what it gives back is back.
   * While there is one the others wait.
   */
  singleActive: Consumer | undefined = undefined;
  waiting: ConsumerRings | undefined = undefined;

  /** In the list of queues that may have something to hand out. */
  isTouched = false;
  isDeleted = false;
  unsettledPages = 0;

  #headChunk: ReferenceChunk | undefined = undefined;
  #tailChunk: ReferenceChunk | undefined = undefined;
  #lastChunk: ReferenceChunk | undefined = undefined;

  constructor(id: QueueId, config: QueueConfig) {
    super();
    this.id = id;
    this.config = config;
    this.messageTtlMs = config.messageTtlMs ?? NEVER;
    this.stream = config.stream;
    const { maxAgeMs, maxBytes } = config.stream ?? {};
    const limits = [config.messageTtlMs, config.expiresMs, maxAgeMs, maxBytes];
    if (limits.some(limit => limit !== undefined)) this.deadline = new Deadline(this);
  }

  get pageKey(): PageKey {
    return { space: this.id, kind: PageKind.queue, number: 0 };
  }

  /** `timeMs`: when the message expires, or `NEVER`; in a stream, when it came. */
  append(
    tracker: PageTracker,
    pool: ChunkPool,
    entry: number,
    position: number,
    length: number,
    shares: number,
    timeMs: number,
  ): void {
    const chunk = this.#tailChunk?.isFull === false ? this.#tailChunk : this.#addChunk();
    tracker.touch(chunk);
    chunk.append(pool, entry, position, length, shares);
    if (timeMs !== NEVER) {
      chunk.timeLast(timeMs);
      if (this.stream === undefined) this.deadline ??= new Deadline(this);
    }
    this.tail++;
    this.ready++;
    this.readyBytes += length;
  }

  /** Position of the first ready message. Only when `ready` is above 0. */
  get firstReady(): number {
    return this.returned === undefined ? this.head : this.returned.lowest;
  }

  /** Removes the first ready message from the ready ones and returns its position. Only when `ready` is above 0. */
  takeReady(): number {
    this.ready--;
    if (this.returned !== undefined) {
      const position = this.returned.pop();
      if (this.returned.size === 0) this.returned = undefined;
      return position;
    }
    assert(this.head < this.tail, () => `queue ${this.id} counts more ready messages than it has`);
    return this.head++;
  }

  /** The chunk of a position that was just taken from the head or the returned ones. */
  chunkOfTaken(position: number): ReferenceChunk {
    const cached = this.#headChunk;
    if (cached !== undefined && isWithin(cached, position)) return cached;
    const chunk = this.#chunkAt(position);
    this.#headChunk = chunk;
    return chunk;
  }

  /** The chunk of a position that a consumer holds, or reads next in a stream. */
  chunkOfHeld(position: number): ReferenceChunk {
    const cached = this.#lastChunk;
    if (cached !== undefined && isWithin(cached, position)) return cached;
    const chunk = this.#chunkAt(position);
    this.#lastChunk = chunk;
    return chunk;
  }

  putBack(position: number): void {
    this.restoreReturned(position);
    this.ready++;
  }

  /** The position is counted as ready already. */
  restoreReturned(position: number): void {
    this.returned ??= new ReturnedPositions();
    this.returned.push(position);
  }

  /** All references of the chunk are gone: its memory goes, and unless it is the tail that is appended to, the chunk. */
  chunkEmptied(tracker: PageTracker, pool: ChunkPool, chunk: ReferenceChunk): void {
    tracker.touch(chunk);
    chunk.empty(pool);
    if (!chunk.isFull) return;
    tracker.remove(chunk);
    this.chunks!.delete(chunk.number);
    if (this.#headChunk === chunk) this.#headChunk = undefined;
    if (this.#tailChunk === chunk) this.#tailChunk = undefined;
    if (this.#lastChunk === chunk) this.#lastChunk = undefined;
    if (this.chunks!.size === 0) this.chunks = undefined;
  }

  /** Empties the queue of ready messages in constant time; the caller counts them and drops the references in steps. */
  startGeneration(): void {
    this.generation++;
    this.head = this.tail;
    this.returned = undefined;
    this.ready = 0;
    this.readyBytes = 0;
  }

  get tailChunk(): ReferenceChunk | undefined {
    return this.#tailChunk;
  }

  nextUnsettledPage(): number {
    const number = this.unsettledPages;
    this.unsettledPages = (number + 1) % 0x1_0000_0000;
    return number;
  }

  /** Chunks must come in ascending order. */
  restoreChunk(chunk: ReferenceChunk): void {
    this.chunks ??= new Map();
    this.chunks.set(chunk.number, chunk);
    this.#tailChunk = chunk;
    if (chunk.storage?.times !== undefined && this.stream === undefined) this.deadline ??= new Deadline(this);
  }

  encode(out: ByteWriter): void {
    out.u48(this.id);
    writeQueueConfig(out, this.config);
    out.u48(this.head);
    out.u48(this.tail);
    out.u32(this.generation);
    out.u48(this.ready);
    out.u48(this.readyBytes);
    out.u48(this.unacked);
    out.u48(this.unackedBytes);
    out.u32(this.unsettledPages);
    if (this.config.expiresMs !== undefined) out.f64(this.usedMs);
    out.u32(this.consumers?.size ?? 0);
    if (this.consumers) for (const consumer of this.consumers.values()) consumer.encode(out);
    out.u48(this.singleActive?.serial ?? 0);
    const ring = consumersInOrder(this);
    out.u32(ring.length);
    for (const consumer of ring) out.u48(consumer.serial);
  }

  #addChunk(): ReferenceChunk {
    const chunk = new ReferenceChunk(this.id, chunkNumberOf(this.tail), this.generation);
    this.chunks ??= new Map();
    this.chunks.set(chunk.number, chunk);
    this.#tailChunk = chunk;
    return chunk;
  }

  #chunkAt(position: number): ReferenceChunk {
    const chunk = this.chunks?.get(chunkNumberOf(position));
    assert(chunk !== undefined, () => `queue ${this.id} has no chunk for position ${position}`);
    return chunk;
  }
}

const isWithin = (chunk: ReferenceChunk, position: number): boolean =>
  position >= chunk.origin && position < chunk.origin + chunk.count;
