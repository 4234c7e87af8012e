import type { SimClock } from './sim-clock.ts';
import type { World } from './world.ts';

/** One process after the other of a node: they start and stop, and may stand still; nothing of one life reaches the next. */
export abstract class SimProcess {
  readonly clock: SimClock;
  readonly #world: World;
  #isUp = false;
  #life = 0;
  #pausedUntilMs = 0;
  /** Inputs that wait for the end of a pause. */
  #waiting: (() => void)[] = [];

  constructor(world: World, clock: SimClock) {
    this.#world = world;
    this.clock = clock;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Counts starts and stops: what was begun in one life has no effect in the next. */
  get life(): number {
    return this.#life;
  }

  protected beginLife(): void {
    this.#isUp = true;
    this.#life++;
    this.#pausedUntilMs = 0;
    this.#waiting = [];
  }

  protected endLife(): void {
    this.#isUp = false;
    this.#life++;
    this.#waiting = [];
  }

  pause(durationMs: number): void {
    const life = this.#life;
    this.#pausedUntilMs = this.#world.nowMs + durationMs;
    this.#world.after(durationMs, () => {
      if (this.#life === life && this.#pausedUntilMs <= this.#world.nowMs) this.#resume();
    });
  }

  protected endPause(): void {
    if (this.#pausedUntilMs > this.#world.nowMs) this.#resume();
  }

  #resume(): void {
    this.#pausedUntilMs = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    const life = this.#life;
    for (const input of waiting) if (this.#life === life) input();
  }

  /** Every input of the process passes here: none arrives while it is paused, all of them afterwards. */
  enter(input: () => void): void {
    if (!this.#isUp) return;
    if (this.#pausedUntilMs > this.#world.nowMs) this.#waiting.push(input);
    else input();
  }

  /** The same for what was asked for in this life and arrives later. */
  entry(input: () => void): () => void {
    const life = this.#life;
    return () => {
      if (this.#life === life) this.enter(input);
    };
  }

  /** A timer of this life, by this node's clock. Returned is what cancels it. */
  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const fire = (): void => {
      if (!isCancelled) callback();
    };
    this.#world.after(delayMs / this.clock.rate, this.entry(fire));
    return () => {
      isCancelled = true;
    };
  }

  /** Resolves after so long, in this life. */
  pauseFor(delayMs: number): Promise<void> {
    this.#world.promisesGoOn();
    return new Promise(resolve => {
      this.#world.after(
        delayMs,
        this.entry(() => {
          resolve();
          this.#world.promisesGoOn();
        }),
      );
    });
  }
}
