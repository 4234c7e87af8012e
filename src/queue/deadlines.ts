import type { QueueState } from './queue-state.ts';

export const NEVER = Number.POSITIVE_INFINITY;

/** When a queue has to be looked at: its first message expires, or nobody has used it for too long. */
export class Deadline {
  readonly queue: QueueState;
  /** Shard time. */
  atMs = NEVER;
  /** Place in the heap; -1 outside of it. */
  slot = -1;

  constructor(queue: QueueState) {
    this.queue = queue;
  }
}

/**
 * The deadlines of a shard, the earliest first, by queue id among equals: so every replica meets them in the same order, also
 * one that was restored. A binary heap in which each deadline knows its place. Not part of a checkpoint: queues tell theirs.
 */
export class Deadlines {
  readonly #heap: Deadline[] = [];

  get first(): Deadline | undefined {
    return this.#heap[0];
  }

  /** For a recount. */
  all(): readonly Deadline[] {
    return this.#heap;
  }

  /** With `NEVER` the deadline leaves the heap. */
  set(deadline: Deadline, atMs: number): void {
    if (atMs === deadline.atMs) return;
    deadline.atMs = atMs;
    if (atMs === NEVER) this.#remove(deadline);
    else {
      if (deadline.slot < 0) {
        deadline.slot = this.#heap.length;
        this.#heap.push(deadline);
      }
      this.#settle(deadline);
    }
  }

  #remove(deadline: Deadline): void {
    const last = this.#heap.pop()!;
    if (last !== deadline) {
      this.#place(last, deadline.slot);
      this.#settle(last);
    }
    deadline.slot = -1;
  }

  /** Up or down, until its neighbours are in order. */
  #settle(deadline: Deadline): void {
    const heap = this.#heap;
    while (deadline.slot > 0) {
      const parent = heap[(deadline.slot - 1) >> 1]!;
      if (!isBefore(deadline, parent)) break;
      this.#swap(deadline, parent);
    }
    for (;;) {
      const left = heap[deadline.slot * 2 + 1];
      const right = heap[deadline.slot * 2 + 2];
      const child = right !== undefined && isBefore(right, left!) ? right : left;
      if (child === undefined || !isBefore(child, deadline)) return;
      this.#swap(deadline, child);
    }
  }

  #swap(one: Deadline, other: Deadline): void {
    const { slot } = one;
    this.#place(one, other.slot);
    this.#place(other, slot);
  }

  #place(deadline: Deadline, slot: number): void {
    deadline.slot = slot;
    this.#heap[slot] = deadline;
  }
}

export const isBefore = (one: Deadline, other: Deadline): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.queue.id < other.queue.id);
