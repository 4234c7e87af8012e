import type { NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Cluster } from './cluster.ts';

/** What wall clocks show when a run begins, more or less. */
const WALL_START_MS = 1_700_000_000_000;

/**
 * The clocks of one machine. The monotonic one runs at its own rate and never jumps; the wall clock runs with it, is off by some
 * amount, and is set forward and back while the processes run. They go on while the node is down.
 */
export class SimClock {
  readonly #cluster: Cluster;
  readonly #node: NodeId;
  readonly #random: Random;
  /** Of this clock, in one of the world. */
  readonly rate: number;
  #offsetMs: number;
  /** The highest that the offset ever was. */
  #offsetMsMax: number;

  constructor(cluster: Cluster, node: NodeId) {
    const { clockSkew, clocks } = cluster.swarm;
    this.#cluster = cluster;
    this.#node = node;
    this.#random = cluster.world.random(`clock:${node}`);
    this.rate = 1 + (clockSkew ?? 0) * (2 * this.#random.next() - 1);
    this.#offsetMs = (clocks.offsetMs ?? 0) * (2 * this.#random.next() - 1);
    this.#offsetMsMax = this.#offsetMs;
    if (clockSkew !== undefined || clocks.offsetMs !== undefined) cluster.statistics.skewedClocks++;
    if (clocks.jumps !== undefined) this.#jumpAgain(clocks.jumps);
  }

  get monotonicMs(): number {
    return this.#cluster.world.nowMs * this.rate;
  }

  get wallMs(): number {
    return WALL_START_MS + this.monotonicMs + this.#offsetMs;
  }

  /** What the wall clock would show now if it had only ever been set forward. */
  get wallMsMax(): number {
    return WALL_START_MS + this.monotonicMs + this.#offsetMsMax;
  }

  /** Somebody sets the wall clock. */
  jump(byMs: number): void {
    this.#cluster.statistics.clockJumps++;
    this.#cluster.world.log('n{} has its clock set by {} ms', this.#node, byMs);
    this.#offsetMs += byMs;
    this.#offsetMsMax = Math.max(this.#offsetMsMax, this.#offsetMs);
  }

  #jumpAgain(jumps: { readonly everyMs: number; readonly byMs: number }): void {
    this.#cluster.world.after(jumps.everyMs * 2 * this.#random.next(), () => {
      if (this.#cluster.isCalm) return;
      this.jump(Math.round(jumps.byMs * (2 * this.#random.next() - 1)));
      this.#jumpAgain(jumps);
    });
  }
}
