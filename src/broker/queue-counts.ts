import type { QueueId } from '../lib/ids.ts';

/** A set of queues in which one may stand several times, because it is bound several times. */
export class QueueCounts {
  readonly #counts = new Map<QueueId, number>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  add(queue: QueueId): void {
    this.#counts.set(queue, (this.#counts.get(queue) ?? 0) + 1);
  }

  remove(queue: QueueId): void {
    const count = this.#counts.get(queue) ?? 0;
    if (count > 1) this.#counts.set(queue, count - 1);
    else this.#counts.delete(queue);
  }

  addTo(queues: Set<QueueId>): void {
    for (const queue of this.#counts.keys()) queues.add(queue);
  }
}
