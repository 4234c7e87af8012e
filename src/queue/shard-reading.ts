import type { ConsumerId, LogIndex, QueueId } from '../lib/ids.ts';
import type { Consumer, ConsumerState } from './consumers.ts';
import { listDelivery } from './delivery.ts';
import { DeliveryList } from './effects.ts';
import { UNSETTLED_PER_PAGE } from './limits.ts';
import type { QueueState } from './queue-state.ts';
import { accountedBytes, LARGE, type ReferenceChunk, ReferenceState } from './reference-chunks.ts';
import type { Session } from './sessions.ts';
import type { MessageCounters, ShardState } from './shard-state.ts';

export interface ConsumerView {
  readonly consumer: ConsumerId;
  readonly queue: QueueId;
  readonly tag: string;
  readonly state: ConsumerState;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  readonly deliverThrough: number;
  readonly bytesThrough: number;
  readonly lastDelivery: number;
  readonly bytesDelivered: number;
  readonly unsettled: number;
  /** The next offset that it reads of a stream; undefined for other queues. */
  readonly cursor: number | undefined;
}

export interface MessageCounts {
  readonly ready: number;
  readonly unacked: number;
}

export interface QueueCounts extends MessageCounts {
  readonly consumers: number;
  /** Of ready and unsettled messages. */
  readonly bytes: number;
}

export interface QueueOverview extends QueueCounts {
  readonly id: QueueId;
  readonly vhost: string;
  readonly name: string;
}

export interface ShardOverview {
  /** Ascending by id. */
  readonly queues: readonly QueueOverview[];
  readonly messages: Readonly<MessageCounters>;
  readonly timeMs: number;
  readonly version: number;
  readonly sessions: number;
  readonly tombstones: number;
}

/** Bodies that are in use, as columns. A message that entered several queues is listed once for each reference. */
export interface LiveReferences {
  readonly entries: readonly LogIndex[];
  readonly positions: readonly number[];
  readonly lengths: readonly number[];
  /** What the reference counts for, as in `BodyAccount`. */
  readonly accounted: readonly number[];
}

export function consumersOf(session: Session): ConsumerView[] {
  return [...session.consumers.values()].map(viewOf).sort((a, b) => a.consumer - b.consumer);
}

function viewOf(consumer: Consumer): ConsumerView {
  const { address, tag, state, isExclusive, priority, prefetch, deliverThrough, bytesThrough } = consumer;
  return {
    consumer: address.consumer,
    queue: address.queue,
    tag,
    state,
    isExclusive,
    priority,
    prefetch,
    deliverThrough,
    bytesThrough,
    lastDelivery: consumer.lastDelivery,
    bytesDelivered: consumer.bytesDelivered,
    unsettled: consumer.unsettled.count,
    cursor: consumer.isReader ? consumer.cursor : undefined,
  };
}

export function unsettledAfter(state: ShardState, consumer: Consumer, number: number): DeliveryList {
  const list = new DeliveryList();
  const { queue } = consumer;
  if (!queue) return list;
  for (const page of consumer.unsettled.pages()) {
    if ((page.index + 1) * UNSETTLED_PER_PAGE <= number) continue;
    for (let slot = 0; slot < page.positions.length; slot++) {
      const delivery = page.index * UNSETTLED_PER_PAGE + slot + 1;
      const position = page.positions[slot]! - 1;
      if (position < 0 || delivery <= number) continue;
      const chunk = queue.chunkOfHeld(position);
      listDelivery(state, chunk, position - chunk.origin, consumer, delivery, list);
    }
  }
  return list;
}

export const queueCounts = (queue: QueueState): QueueCounts => ({
  ready: queue.ready,
  unacked: queue.unacked,
  consumers: queue.consumerCount,
  bytes: queue.readyBytes + queue.unackedBytes,
});

export function overview(state: ShardState): ShardOverview {
  const queues = [...state.queues.values()]
    .map(queue => ({
      id: queue.id,
      vhost: queue.config.vhost,
      name: queue.config.name,
      ...queueCounts(queue),
    }))
    .sort((a, b) => a.id - b.id);
  return {
    queues,
    messages: { ...state.counters },
    timeMs: state.timeMs,
    version: state.version,
    sessions: state.sessions.all().length,
    tombstones: state.tombstones.size,
  };
}

class LiveReferenceList implements LiveReferences {
  readonly entries: LogIndex[] = [];
  readonly positions: number[] = [];
  readonly lengths: number[] = [];
  readonly accounted: number[] = [];

  add(entry: LogIndex, position: number, length: number, accounted: number): void {
    this.entries.push(entry);
    this.positions.push(position);
    this.lengths.push(length);
    this.accounted.push(accounted);
  }
}

export function* liveReferences(
  state: ShardState,
  fromIndex: LogIndex,
  toIndex: LogIndex,
): IterableIterator<LiveReferences> {
  const isWanted = (entry: LogIndex): boolean => entry >= fromIndex && entry <= toIndex;
  for (const queue of [...state.queues.values(), ...state.pending.deletedQueues()]) {
    if (!queue.chunks) continue;
    for (const chunk of queue.chunks.values()) {
      const list = liveInChunk(chunk, fromIndex, toIndex);
      if (list.entries.length > 0) yield list;
    }
  }
  const parts = new LiveReferenceList();
  const uploads = state.sessions.all().flatMap(session => [...session.uploads.values()]);
  for (const message of [...uploads, ...state.large.all()]) {
    for (const { entry, position, length } of message.parts) {
      if (isWanted(entry)) parts.add(entry, position, length, length);
    }
  }
  if (parts.entries.length > 0) yield parts;
}

/** Entries ascend within a chunk, so most chunks are passed over by their ends. */
function liveInChunk(chunk: ReferenceChunk, fromIndex: LogIndex, toIndex: LogIndex): LiveReferenceList {
  const list = new LiveReferenceList();
  const { storage, count } = chunk;
  if (!storage || storage.entries[0]! > toIndex || storage.entries[count - 1]! < fromIndex) return list;
  for (let i = 0; i < count; i++) {
    const entry = storage.entries[i]!;
    const shares = storage.shares[i]!;
    if (entry > toIndex) break;
    if (entry < fromIndex || storage.states[i] === ReferenceState.gone || shares === LARGE) continue;
    const length = storage.lengths[i]!;
    list.add(entry, storage.positions[i]!, length, accountedBytes(length, shares));
  }
  return list;
}
