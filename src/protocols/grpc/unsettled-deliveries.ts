import { assert } from '../../lib/assert.ts';

/** Deliveries of one consumer that its client has not settled, so that the broker is only told what is outstanding. */
export class UnsettledDeliveries {
  /** Ascending: numbers come in order, and a set keeps it. */
  readonly #numbers = new Set<number>();
  #last = 0;

  get count(): number {
    return this.#numbers.size;
  }

  delivered(number: number): void {
    assert(number > this.#last, () => `delivery ${number} after ${this.#last}`);
    this.#last = number;
    this.#numbers.add(number);
  }

  clear(): void {
    this.#numbers.clear();
  }

  /**
   * Takes deliveries out and returns them as ranges. With `first` 0: whatever is unsettled up to `last`. Otherwise all of
   * `first` to `last`; undefined, and nothing is taken, unless each of them is unsettled.
   */
  take(first: number, last: number): readonly (readonly [first: number, last: number])[] | undefined {
    if (last > this.#last || last < first) return undefined;
    if (first === 0) return this.#takeUpTo(last);
    if (last - first >= this.#numbers.size) return undefined;
    for (let number = first; number <= last; number++) if (!this.#numbers.has(number)) return undefined;
    for (let number = first; number <= last; number++) this.#numbers.delete(number);
    return [[first, last]];
  }

  #takeUpTo(last: number): (readonly [number, number])[] {
    const ranges: [number, number][] = [];
    for (const number of this.#numbers) {
      if (number > last) break;
      this.#numbers.delete(number);
      const range = ranges.at(-1);
      if (range !== undefined && range[1] === number - 1) range[1] = number;
      else ranges.push([number, number]);
    }
    return ranges;
  }
}
