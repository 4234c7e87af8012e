import { assert } from '../../src/lib/assert.ts';
import type { Random } from '../../src/lib/random.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { Trace } from './trace.ts';

interface Occurrence {
  readonly timeMs: number;
  /** Breaks ties: what was scheduled first happens first. */
  readonly sequence: number;
  readonly happen: () => void;
}

/**
 * Virtual time and the one queue of everything that will happen. Nothing in a run waits for real time: the world goes from one
 * occurrence to the next, so idle time is free.
 */
export class World {
  readonly trace: Trace;
  readonly #random: Random;
  readonly #heap: Occurrence[] = [];
  #nowMs = 0;
  #sequence = 0;
  #occurred = 0;
  #arePromisesDue = false;
  readonly #failures: unknown[] = [];

  constructor(seed: number, options: { readonly keepTrace: boolean }) {
    this.#random = new SeededRandom(seed);
    this.trace = new Trace({ keepAll: options.keepTrace });
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many things happened so far: the size of a run. */
  get occurred(): number {
    return this.#occurred;
  }

  /** A stream of its own for each named purpose: removing one action does not reshuffle the randomness of the others. */
  random(name: string): Random {
    return this.#random.fork(name);
  }

  log(template: string, ...values: (number | string | boolean | undefined)[]): void {
    this.trace.add(this.#nowMs, template, ...values);
  }

  after(delayMs: number, happen: () => void): void {
    assert(delayMs >= 0, () => `delay of ${delayMs} ms`);
    this.#push({ timeMs: this.#nowMs + delayMs, sequence: this.#sequence++, happen });
  }

  /** Something happened that promises wait for: they go on before anything else happens. */
  promisesGoOn(): void {
    this.#arePromisesDue = true;
  }

  /** An error in a promise that nobody waits for. */
  failed(error: unknown): void {
    this.#failures.push(error);
  }

  /** Lets everything happen that is due within the next `durationMs`; `afterEach` sees the world between two occurrences. */
  async advance(durationMs: number, afterEach: () => void): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    while (this.#heap.length > 0 && this.#heap[0]!.timeMs <= untilMs) {
      const next = this.#pop();
      this.#nowMs = next.timeMs;
      this.#occurred++;
      next.happen();
      if (this.#arePromisesDue) await this.#settle();
      afterEach();
    }
    this.#nowMs = untilMs;
  }

  async #settle(): Promise<void> {
    this.#arePromisesDue = false;
    await new Promise<void>(resolve => setImmediate(resolve));
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  #push(occurrence: Occurrence): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(occurrence);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(occurrence, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = occurrence;
  }

  #pop(): Occurrence {
    const heap = this.#heap;
    const first = heap[0]!;
    const moved = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, moved)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
    return first;
  }
}

const isBefore = (a: Occurrence, b: Occurrence): boolean =>
  a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
