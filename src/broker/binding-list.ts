import { assert } from '../lib/assert.ts';
import type { BindingRecord } from './topology-records.ts';

/** Bindings in the order in which they were made, which is the same on every node. */
export class BindingList {
  readonly #bindings: BindingRecord[] = [];

  get length(): number {
    return this.#bindings.length;
  }

  at(index: number): BindingRecord {
    return this.#bindings[index]!;
  }

  [Symbol.iterator](): IterableIterator<BindingRecord> {
    return this.#bindings[Symbol.iterator]();
  }

  add(binding: BindingRecord): void {
    const last = this.#bindings.at(-1);
    assert(last === undefined || last.id < binding.id, () => `binding ${binding.id} after ${last?.id}`);
    this.#bindings.push(binding);
  }

  remove(binding: BindingRecord): void {
    const index = this.#indexOf(binding.id);
    if (this.#bindings[index]?.id === binding.id) this.#bindings.splice(index, 1);
  }

  /** Of the first binding with this id or a higher one. */
  #indexOf(id: number): number {
    let low = 0;
    let high = this.#bindings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bindings[middle]!.id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
