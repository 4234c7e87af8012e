import type { QueueId } from '../../../src/lib/ids.ts';

/** Deleted queues: first their names wait for group 0, then they are kept until every session knows of the removal (R3). */
export class ModelTombstones {
  readonly named = new Set<QueueId>();
  #removed: { readonly queue: QueueId; readonly topologyIndex: number }[] = [];
  prunedThrough = 0;

  get size(): number {
    return this.named.size + this.#removed.length;
  }

  has(queue: QueueId): boolean {
    return this.named.has(queue) || this.#removed.some(removed => removed.queue === queue);
  }

  add(queue: QueueId): void {
    this.named.add(queue);
  }

  nameRemoved(queue: QueueId, topologyIndex: number): void {
    if (this.named.delete(queue)) this.#removed.push({ queue, topologyIndex });
  }

  prune(topologyIndexMin: number): void {
    const kept = this.#removed.findIndex(({ topologyIndex }) => topologyIndex > topologyIndexMin);
    const pruned = this.#removed.slice(0, kept === -1 ? this.#removed.length : kept);
    this.#removed = this.#removed.slice(pruned.length);
    for (const { topologyIndex } of pruned) this.prunedThrough = Math.max(this.prunedThrough, topologyIndex);
  }
}
