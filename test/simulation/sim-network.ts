import { assert } from '../../src/lib/assert.ts';
import type { NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Statistics } from './statistics.ts';
import type { NetworkSwarm } from './swarm.ts';
import type { World } from './world.ts';

const CALM_DELAY_MS_MAX = 20;

interface Link {
  readonly random: Random;
  /** By how much this direction of this pair is slower than the fastest. */
  readonly slowness: number;
  /** Arrival of the latest packet that kept its place: streams are ordered unless the network reorders. */
  latestArrivalMs: number;
  /** Nothing arrives before this time; then everything does. */
  cloggedUntilMs: number;
  /** How many partitions lie across this link. */
  cuts: number;
  /** Packets on their way. */
  inflight: number;
}

/** What the network asks of its users. `life` tells one start of a node from the next. */
export interface NetworkPort<Packet> {
  lifeOf(node: NodeId): number;
  deliver(to: NodeId, packet: Packet): void;
}

/** Directed pairs of nodes that do not reach each other, until it is healed. */
export interface Cut {
  readonly pairs: readonly (readonly [from: NodeId, to: NodeId])[];
  isHealed: boolean;
}

/**
 * Directed links between nodes. Weaker than the streams it stands for: it loses, repeats and reorders, because a stream that is
 * broken and opened again does. What is in flight to a node is lost when it restarts; what is in flight from
 * it is not, unless its machine lost power.
 */
export class SimNetwork<Packet> {
  readonly #world: World;
  readonly #port: NetworkPort<Packet>;
  readonly #statistics: Statistics;
  readonly #links = new Map<number, Link>();
  #cuts: Cut[] = [];
  #faults: NetworkSwarm;
  /** When a node last lost its power. */
  readonly #powerLosses = new Map<NodeId, number>();

  constructor(world: World, faults: NetworkSwarm, statistics: Statistics, port: NetworkPort<Packet>) {
    this.#world = world;
    this.#faults = faults;
    this.#statistics = statistics;
    this.#port = port;
  }

  send(from: NodeId, to: NodeId, packet: Packet): void {
    const link = this.#link(from, to);
    const { loss, duplicate, capacity } = this.#faults;
    this.#statistics.packetsSent++;
    const isFull = capacity !== undefined && link.inflight >= capacity;
    if (link.cuts > 0 || isFull || happens(link.random, loss)) {
      this.#statistics.packetsLost++;
      return;
    }
    this.#schedule(link, from, to, packet);
    if (!happens(link.random, duplicate)) return;
    this.#statistics.packetsDuplicated++;
    this.#schedule(link, from, to, packet);
  }

  powerLost(node: NodeId): void {
    this.#powerLosses.set(node, this.#world.nowMs);
  }

  /** Cuts lie over each other: a link works again when all of its cuts are healed. */
  cut(pairs: Cut['pairs']): Cut {
    const cut: Cut = { pairs, isHealed: false };
    this.#cuts.push(cut);
    for (const [from, to] of pairs) this.#link(from, to).cuts++;
    return cut;
  }

  heal(cut: Cut): void {
    if (cut.isHealed) return;
    cut.isHealed = true;
    this.#cuts = this.#cuts.filter(one => one !== cut);
    for (const [from, to] of cut.pairs) {
      const link = this.#link(from, to);
      assert(link.cuts > 0, 'healed a link that was not cut');
      link.cuts--;
    }
  }

  /** Joins what was cut; a clog ends by itself. */
  healAll(): void {
    for (const cut of [...this.#cuts]) this.heal(cut);
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#link(from, to).cuts > 0;
  }

  /** Nothing that is on its way, or sent meanwhile, arrives during this time. */
  clog(from: NodeId, to: NodeId, durationMs: number): void {
    const link = this.#link(from, to);
    link.cloggedUntilMs = Math.max(link.cloggedUntilMs, this.#world.nowMs + durationMs);
  }

  cloggedUntilMs(from: NodeId, to: NodeId): number {
    return this.#link(from, to).cloggedUntilMs;
  }

  /** How long one more packet on this link takes; for what is sent in order. */
  delayMs(from: NodeId, to: NodeId): number {
    return this.#draw(this.#link(from, to));
  }

  /** From now on the network only delays, and not for long. */
  endFaults(): void {
    this.healAll();
    const { min, max } = this.#faults.delayMs;
    this.#faults = { delayMs: { min: Math.min(min, CALM_DELAY_MS_MAX), max: Math.min(max, CALM_DELAY_MS_MAX) } };
  }

  #schedule(link: Link, from: NodeId, to: NodeId, packet: Packet): void {
    let arrivalMs = this.#world.nowMs + this.#draw(link);
    if (happens(link.random, this.#faults.reorder)) {
      this.#statistics.packetsReordered++;
    } else {
      arrivalMs = Math.max(arrivalMs, link.latestArrivalMs);
      link.latestArrivalMs = arrivalMs;
    }
    const life = this.#port.lifeOf(to);
    const sentMs = this.#world.nowMs;
    link.inflight++;
    const arrive = (): void => {
      if (link.cloggedUntilMs > this.#world.nowMs) {
        this.#world.after(link.cloggedUntilMs - this.#world.nowMs, arrive);
        return;
      }
      link.inflight--;
      if (link.cuts > 0 || this.#port.lifeOf(to) !== life || this.#diedWithSender(link, from, sentMs)) {
        this.#statistics.packetsLost++;
        return;
      }
      this.#port.deliver(to, packet);
    };
    this.#world.after(arrivalMs - sentMs, arrive);
  }

  /** Half of what was on its way when the sender lost its power never left the machine. */
  #diedWithSender(link: Link, from: NodeId, sentMs: number): boolean {
    return (this.#powerLosses.get(from) ?? -1) >= sentMs && link.random.next() < 0.5;
  }

  #draw(link: Link): number {
    const { delayMs, slow, asymmetry } = this.#faults;
    let delay = delayMs.min + (delayMs.max - delayMs.min) * link.random.next() ** 2;
    if (asymmetry !== undefined) delay *= link.slowness;
    if (happens(link.random, slow)) {
      this.#statistics.packetsSlow++;
      delay *= link.random.integer(5, 50);
    }
    return delay;
  }

  #link(from: NodeId, to: NodeId): Link {
    const key = from * 1000 + to;
    let link = this.#links.get(key);
    if (link === undefined) {
      const random = this.#world.random(`link:${from}>${to}`);
      const slowness = 1 + ((this.#faults.asymmetry ?? 1) - 1) * this.#world.random(`slowness:${from}>${to}`).next();
      link = { random, slowness, latestArrivalMs: 0, cloggedUntilMs: 0, cuts: 0, inflight: 0 };
      this.#links.set(key, link);
    }
    return link;
  }
}

/** Draws only where there is a rate, so that switching one fault off leaves the draws of the others as they were. */
function happens(random: Random, rate: number | undefined): boolean {
  return rate !== undefined && rate > 0 && random.next() < rate;
}
