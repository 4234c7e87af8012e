import { assert, unreachable } from '../lib/assert.ts';
import { ByteReader } from '../lib/bytes.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import type { Page } from '../raft/checkpoint.ts';
import { PageKind } from './checkpoint-pages.ts';
import { appendToRing } from './consumer-rings.ts';
import { Consumer, type DecodedConsumer, decodeConsumer } from './consumers.ts';
import { readQueueConfig } from './entry-codec.ts';
import { type DecodedPendingWork, type DecodedReturnWork, decodePendingWork, type ReturnWork } from './pending-work.ts';
import { noteDeadline } from './queue-deadline.ts';
import { QueueState } from './queue-state.ts';
import { ReferenceChunk, ReferenceState } from './reference-chunks.ts';
import { ShardState } from './shard-state.ts';
import { joinLine } from './single-active.ts';
import { UnsettledPage } from './unsettled.ts';

/** Builds the state whose pages these are. A key or a byte that is not this build's is a broken invariant: pages carry checksums. */
export function restoreState(pages: Iterable<Page>): ShardState {
  const restorer = new Restorer();
  for (const page of pages) if (page.bytes) restorer.add(page);
  return restorer.finish();
}

interface DecodedQueue {
  readonly queue: QueueState;
  readonly consumers: readonly DecodedConsumer[];
  /** Serial; 0 if there is none. */
  readonly singleActive: number;
  readonly ring: readonly number[];
}

/** Decodes pages as they come, and joins them when all are there. */
class Restorer {
  readonly #state = new ShardState();
  readonly #queues: DecodedQueue[] = [];
  readonly #chunks: ReferenceChunk[] = [];
  readonly #unsettled: UnsettledPage[] = [];
  readonly #largePages: { readonly number: number; readonly bytes: Uint8Array }[] = [];
  #withoutQueue: readonly DecodedConsumer[] = [];
  #pending: DecodedPendingWork = { returns: [], drops: [], touched: [] };

  add({ key, bytes }: Page): void {
    const state = this.#state;
    const from = new ByteReader(bytes!);
    switch (key.kind) {
      case PageKind.shard:
        state.decode(from);
        break;
      case PageKind.sessions:
        this.#withoutQueue = state.sessions.decode(from);
        break;
      case PageKind.pending:
        this.#pending = decodePendingWork(from);
        break;
      case PageKind.tombstones:
        state.tombstones.decode(from);
        break;
      case PageKind.largeMessages:
        this.#largePages.push({ number: key.number, bytes: bytes! });
        return;
      case PageKind.queue:
        this.#queues.push(decodeQueue(from));
        break;
      case PageKind.references:
        this.#chunks.push(ReferenceChunk.decode(from, state.pool));
        break;
      case PageKind.unsettled:
        this.#unsettled.push(UnsettledPage.decode(from, key));
        break;
      default:
        assert(false, () => `page of kind ${key.kind}`);
    }
    assert(from.remaining === 0, () => `page of kind ${key.kind} is ${from.remaining} bytes too long`);
  }

  finish(): ShardState {
    const state = this.#state;
    for (const page of [state, state.sessions, state.tombstones, state.pending]) state.tracker.restored(page);
    this.#largePages.sort((a, b) => a.number - b.number);
    for (const { number, bytes } of this.#largePages) state.large.restore(state.tracker, number, new ByteReader(bytes));
    for (const { queue } of this.#queues) {
      state.queues.set(queue.id, queue);
      state.tracker.restored(queue);
    }
    const bySerial = this.#restoreConsumers();
    this.#restoreUnsettled(bySerial);
    this.#restoreChunks(this.#deletedQueues());
    this.#restorePending(bySerial);
    for (const queue of state.queues.values()) noteDeadline(state, queue);
    return state;
  }

  #restoreConsumers(): Map<number, Consumer> {
    const decoded = [...this.#withoutQueue, ...this.#queues.flatMap(({ consumers }) => consumers)];
    decoded.sort((a, b) => a.serial - b.serial);
    const bySerial = new Map<number, Consumer>();
    for (const options of decoded) bySerial.set(options.serial, this.#restoreConsumer(options));
    for (const { queue, singleActive, ring } of this.#queues) {
      for (const serial of ring) appendToRing(queue, bySerial.get(serial)!);
      queue.singleActive = bySerial.get(singleActive);
    }
    return bySerial;
  }

  #restoreConsumer(options: DecodedConsumer): Consumer {
    const { sessions, queues } = this.#state;
    const { address, serial } = options;
    const session = sessions.find(address.node, address.incarnation);
    assert(session !== undefined, () => `consumer ${serial} has no session`);
    const queue = options.state === 'queue-deleted' ? undefined : queues.get(address.queue);
    const consumer = new Consumer(options, session, queue);
    consumer.lastDelivery = options.lastDelivery;
    consumer.bytesDelivered = options.bytesDelivered;
    session.consumers.set(address.consumer, consumer);
    if (!queue) return consumer;
    queue.consumers ??= new Map();
    queue.consumers.set(serial, consumer);
    if (!consumer.isConsuming) return consumer;
    queue.consumerCount++;
    if (consumer.state === 'waiting') joinLine(queue, consumer);
    if (consumer.isExclusive) queue.exclusiveConsumer = consumer;
    return consumer;
  }

  #restoreUnsettled(bySerial: ReadonlyMap<number, Consumer>): void {
    this.#unsettled.sort((a, b) => a.index - b.index);
    for (const page of this.#unsettled) {
      const consumer = bySerial.get(page.serial);
      assert(consumer !== undefined, () => `unsettled deliveries of unknown consumer ${page.serial}`);
      consumer.unsettled.restore(page);
      this.#state.tracker.restored(page);
    }
  }

  /** Queues of which only references are left. */
  #deletedQueues(): Map<QueueId, QueueState> {
    const deleted = new Map<QueueId, QueueState>();
    for (const { kind, queue: id } of this.#pending.drops) {
      if (kind !== 'delete') continue;
      const queue = new QueueState(id, {
        vhost: '',
        name: '',
        autoDelete: false,
        exclusive: false,
        singleActive: false,
      });
      queue.isDeleted = true;
      deleted.set(id, queue);
    }
    return deleted;
  }

  #restoreChunks(deleted: ReadonlyMap<QueueId, QueueState>): void {
    const state = this.#state;
    this.#chunks.sort((a, b) => a.number - b.number);
    for (const chunk of this.#chunks) {
      const queue = state.queues.get(chunk.queue) ?? deleted.get(chunk.queue);
      assert(queue !== undefined, () => `references of unknown queue ${chunk.queue}`);
      queue.restoreChunk(chunk);
      state.tracker.restored(chunk);
      if (!queue.isDeleted && chunk.generation === queue.generation) restoreReturned(queue, chunk);
    }
    for (const { kind, queue: id } of this.#pending.drops) {
      const queue = kind === 'delete' ? deleted.get(id) : state.queues.get(id);
      assert(queue !== undefined, () => `pending work of unknown queue ${id}`);
      state.pending.drops.push({ kind, queue });
    }
  }

  #restorePending(bySerial: ReadonlyMap<number, Consumer>): void {
    const { pending, queues } = this.#state;
    for (const work of this.#pending.returns) pending.returns.push(this.#returnWork(work, bySerial));
    for (const id of this.#pending.touched) pending.touch(queues.get(id)!);
  }

  #returnWork(work: DecodedReturnWork, bySerial: ReadonlyMap<number, Consumer>): ReturnWork {
    if (work.kind === 'fence') {
      const session = this.#state.sessions.find(work.node, work.incarnation);
      assert(session !== undefined, 'pending work of an unknown session');
      return { kind: 'fence', session };
    }
    const consumer = bySerial.get(work.serial);
    assert(consumer !== undefined, () => `pending work of unknown consumer ${work.serial}`);
    consumer.pendingWork++;
    switch (work.kind) {
      case 'settle':
        return { kind: 'settle', consumer, how: work.how, next: work.next, last: work.last };
      case 'release':
        consumer.isLeaving = true;
        return { kind: 'release', consumer };
      default:
        return unreachable(work);
    }
  }
}

/** What is ready before the head came back. */
function restoreReturned(queue: QueueState, chunk: ReferenceChunk): void {
  const states = chunk.storage?.states;
  const end = Math.min(chunk.count, queue.head - chunk.origin);
  for (let i = 0; i < end; i++) if (states![i] === ReferenceState.ready) queue.restoreReturned(chunk.origin + i);
}

function decodeQueue(from: ByteReader): DecodedQueue {
  const queue = new QueueState(queueId(from.u48()), readQueueConfig(from));
  queue.head = from.u48();
  queue.tail = from.u48();
  queue.generation = from.u32();
  queue.ready = from.u48();
  queue.readyBytes = from.u48();
  queue.unacked = from.u48();
  queue.unackedBytes = from.u48();
  queue.unsettledPages = from.u32();
  if (queue.config.expiresMs !== undefined) queue.usedMs = from.f64();
  const consumers = Array.from({ length: from.u32() }, () => decodeConsumer(from));
  const singleActive = from.u48();
  const ring = Array.from({ length: from.u32() }, () => from.u48());
  return { queue, consumers, singleActive, ring };
}
