import type { Clock } from '../../src/lib/clock.ts';

/** One life of one process: what it scheduled does not happen once it has ended, and waits while it is paused. */
export class Life {
  isOver = false;
  isPaused = false;
  /** What fell due while the process was paused, in order. */
  readonly held: (() => void)[] = [];
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly life: Life | undefined;
  readonly callback: () => void;
}

/** More at one moment, and somebody wakes himself for ever. */
const EVENTS_AT_ONCE_MAX = 20_000;

/**
 * Time and everything that happens in it, one event after the other. Between two events all promises that can go on have
 * gone on, so a run depends on its events alone.
 */
export class World {
  #nowMs = 0;
  #order = 0;
  #hash = 0x811c9dc5;
  /** Events since time went on. */
  #eventsNow = 0;
  /** Ascending by time, then by order. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Of all that happened so far, in its order: equal for equal seeds, in every process. */
  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  note(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193) >>> 0;
  }

  schedule(delayMs: number, callback: () => void, life?: Life): void {
    const event = { atMs: this.#nowMs + delayMs, order: this.#order++, life, callback };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.atMs <= event.atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  pause(life: Life): void {
    life.isPaused = true;
  }

  resume(life: Life): void {
    life.isPaused = false;
    for (const callback of life.held.splice(0)) this.schedule(0, callback, life);
  }

  async run(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    while (this.#events.length > 0 && this.#events[0]!.atMs <= endMs) await this.#step();
    this.#nowMs = endMs;
  }

  /** Runs until `holds`. Fails with `what` if that takes longer than `limitMs` of the world's time. */
  async until(what: string, holds: () => boolean, limitMs = 60_000): Promise<void> {
    const endMs = this.#nowMs + limitMs;
    while (!holds()) {
      if (this.#events.length === 0 || this.#events[0]!.atMs > endMs) throw new Error(`never happened: ${what}`);
      await this.#step();
    }
  }

  /** The promise's value, with the world going on meanwhile. */
  async answer<Value>(what: string, promise: Promise<Value>, limitMs = 60_000): Promise<Value> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await new Promise<void>(resolve => setImmediate(resolve));
    await this.until(what, () => isSettled, limitMs);
    return promise;
  }

  async #step(): Promise<void> {
    const { atMs, life, callback } = this.#events.shift()!;
    this.#eventsNow = atMs > this.#nowMs ? 0 : this.#eventsNow + 1;
    if (this.#eventsNow > EVENTS_AT_ONCE_MAX) throw new Error(`time stands still at ${atMs}: ${callback}`);
    this.#nowMs = atMs;
    this.note(atMs * 1_000);
    if (life?.isOver) return;
    if (life?.isPaused) {
      life.held.push(callback);
      return;
    }
    callback();
    await new Promise<void>(resolve => setImmediate(resolve));
  }
}

/** The clock of one life of a process. It goes on while the process is paused. */
export class WorldClock implements Clock {
  readonly #world: World;
  readonly #life: Life;
  readonly #aheadMs: number;
  /** How far the wall clock is from the world's time; somebody sets it now and then. */
  wallAheadMs = 0;

  constructor(world: World, life: Life, aheadMs: number) {
    this.#world = world;
    this.#life = life;
    this.#aheadMs = aheadMs;
  }

  monotonicMs(): number {
    return this.#world.nowMs + this.#aheadMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#world.nowMs + this.wallAheadMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    this.#world.schedule(delayMs, () => !isCancelled && callback(), this.#life);
    return () => {
      isCancelled = true;
    };
  }

  every(periodMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const again = (): void => {
      if (isCancelled) return;
      this.#world.schedule(periodMs, again, this.#life);
      callback();
    };
    this.#world.schedule(periodMs, again, this.#life);
    return () => {
      isCancelled = true;
    };
  }
}
