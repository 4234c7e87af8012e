import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, StatePage } from './checkpoint-pages.ts';
import type { NamedQueue } from './effects.ts';

interface RemovedName {
  readonly queue: QueueId;
  readonly topologyIndex: number;
}

/**
 * Deleted queues that a late command may still name (R3). First a queue's name waits to be removed from group 0; then the
 * tombstone stays until every session has seen that removal; after that only the highest such index is remembered, and
 * senders that are behind it cannot create queues.
 */
export class Tombstones extends StatePage {
  readonly pageKey: PageKey = { space: 0, kind: PageKind.tombstones, number: 0 };
  readonly #named = new Map<QueueId, NamedQueue>();
  /** In the order in which the removals were reported. */
  #removed: RemovedName[] = [];
  readonly #removedIds = new Set<QueueId>();
  /** Senders whose topology is older may know queues that are deleted and forgotten here. */
  prunedThrough = 0;

  get size(): number {
    return this.#named.size + this.#removed.length;
  }

  has(queue: QueueId): boolean {
    return this.#named.has(queue) || this.#removedIds.has(queue);
  }

  isNamed(queue: QueueId): boolean {
    return this.#named.has(queue);
  }

  named(): IterableIterator<NamedQueue> {
    return this.#named.values();
  }

  add(queue: NamedQueue): void {
    this.#named.set(queue.id, queue);
  }

  nameRemoved(queue: QueueId, topologyIndex: number): void {
    if (!this.#named.delete(queue)) return;
    this.#removed.push({ queue, topologyIndex });
    this.#removedIds.add(queue);
  }

  /** Queues whose names are still to be removed from group 0, ascending by id. */
  pendingNameRemovals(): NamedQueue[] {
    return [...this.#named.values()].sort((a, b) => a.id - b.id);
  }

  canPrune(topologyIndexMin: number): boolean {
    const first = this.#removed[0];
    return first !== undefined && first.topologyIndex <= topologyIndexMin;
  }

  /** Every session has applied group 0 up to `topologyIndexMin`. */
  prune(topologyIndexMin: number): void {
    reached('shard.tombstones-pruned');
    let count = 0;
    for (; count < this.#removed.length; count++) {
      const { queue, topologyIndex } = this.#removed[count]!;
      if (topologyIndex > topologyIndexMin) break;
      this.#removedIds.delete(queue);
      this.prunedThrough = Math.max(this.prunedThrough, topologyIndex);
    }
    if (count > 0) this.#removed = this.#removed.slice(count);
  }

  encode(out: ByteWriter): void {
    out.u48(this.prunedThrough);
    const named = this.pendingNameRemovals();
    out.u32(named.length);
    for (const { id, vhost, name } of named) {
      out.u48(id);
      out.string(vhost);
      out.string(name);
    }
    out.u32(this.#removed.length);
    for (const { queue, topologyIndex } of this.#removed) {
      out.u48(queue);
      out.u48(topologyIndex);
    }
  }

  decode(from: ByteReader): void {
    this.prunedThrough = from.u48();
    for (let count = from.u32(); count > 0; count--) {
      this.add({ id: queueId(from.u48()), vhost: from.string(), name: from.string() });
    }
    for (let count = from.u32(); count > 0; count--) {
      const removed = { queue: queueId(from.u48()), topologyIndex: from.u48() };
      this.#removed.push(removed);
      this.#removedIds.add(removed.queue);
    }
  }
}
