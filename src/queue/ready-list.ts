const INITIAL_CAPACITY = 16;

/**
 * Queue positions of returned messages, the lowest first: they go back to where they were, before everything that was
 * not handed out yet. A binary heap; freed when it runs empty.
 */
export class ReturnedPositions {
  #heap = new Float64Array(INITIAL_CAPACITY);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Only when `size` is above 0. */
  get lowest(): number {
    return this.#heap[0]!;
  }

  push(position: number): void {
    if (this.#size === this.#heap.length) {
      const grown = new Float64Array(this.#heap.length * 2);
      grown.set(this.#heap);
      this.#heap = grown;
    }
    const heap = this.#heap;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= position) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = position;
  }

  /** Only when `size` is above 0. */
  pop(): number {
    const heap = this.#heap;
    const lowest = heap[0]!;
    const moved = heap[--this.#size]!;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= moved) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
    return lowest;
  }
}
