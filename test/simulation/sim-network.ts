import type { NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { NetworkSwarm } from './swarm.ts';
import type { World } from './world.ts';

const CALM_DELAY_MS_MAX = 20;

interface Link {
  readonly random: Random;
  /** Arrival of the latest packet that kept its place: streams are ordered unless the network reorders. */
  latestArrivalMs: number;
  /** Nothing arrives before this time; then everything does. */
  cloggedUntilMs: number;
  cut: boolean;
}

/** What the network asks of its users. `life` tells one start of a node from the next. */
export interface NetworkPort<Packet> {
  lifeOf(node: NodeId): number;
  deliver(to: NodeId, packet: Packet): void;
}

/**
 * Directed links between nodes. Weaker than the streams it stands for: it loses, repeats and reorders, because a stream that is
 * broken and opened again does. What is in flight to a node is lost when it restarts; what is in flight from
 * it is not, unless its machine lost power.
 */
export class SimNetwork<Packet> {
  readonly #world: World;
  readonly #port: NetworkPort<Packet>;
  readonly #links = new Map<number, Link>();
  #faults: NetworkSwarm;
  /** When a node last lost its power. */
  readonly #powerLosses = new Map<NodeId, number>();
  sent = 0;
  lost = 0;

  constructor(world: World, faults: NetworkSwarm, port: NetworkPort<Packet>) {
    this.#world = world;
    this.#faults = faults;
    this.#port = port;
  }

  send(from: NodeId, to: NodeId, packet: Packet): void {
    const link = this.#link(from, to);
    this.sent++;
    if (link.cut || happens(link.random, this.#faults.loss)) {
      this.lost++;
      return;
    }
    this.#schedule(link, from, to, packet);
    if (happens(link.random, this.#faults.duplicate)) this.#schedule(link, from, to, packet);
  }

  powerLost(node: NodeId): void {
    this.#powerLosses.set(node, this.#world.nowMs);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#link(from, to).cut = true;
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#link(from, to).cut;
  }

  clog(from: NodeId, to: NodeId, durationMs: number): void {
    this.#link(from, to).cloggedUntilMs = this.#world.nowMs + durationMs;
  }

  /** How long one more packet on this link takes; for what is sent in order. */
  delayMs(from: NodeId, to: NodeId): number {
    return this.#draw(this.#link(from, to));
  }

  /** Joins what was cut; a clog ends by itself. */
  heal(): void {
    for (const link of this.#links.values()) link.cut = false;
  }

  /** From now on the network only delays, and not for long. */
  endFaults(): void {
    this.heal();
    const { min, max } = this.#faults.delayMs;
    this.#faults = { delayMs: { min: Math.min(min, CALM_DELAY_MS_MAX), max: Math.min(max, CALM_DELAY_MS_MAX) } };
  }

  #schedule(link: Link, from: NodeId, to: NodeId, packet: Packet): void {
    let arrivalMs = this.#world.nowMs + this.#draw(link);
    if (!happens(link.random, this.#faults.reorder)) {
      arrivalMs = Math.max(arrivalMs, link.latestArrivalMs);
      link.latestArrivalMs = arrivalMs;
    }
    const life = this.#port.lifeOf(to);
    const sentMs = this.#world.nowMs;
    this.#world.after(arrivalMs - sentMs, () => {
      if (link.cut || this.#port.lifeOf(to) !== life || this.#diedWithSender(link, from, sentMs)) {
        this.lost++;
        return;
      }
      this.#port.deliver(to, packet);
    });
  }

  /** Half of what was on its way when the sender lost its power never left the machine. */
  #diedWithSender(link: Link, from: NodeId, sentMs: number): boolean {
    return (this.#powerLosses.get(from) ?? -1) >= sentMs && link.random.next() < 0.5;
  }

  #draw(link: Link): number {
    const { delayMs, slow } = this.#faults;
    let delay = delayMs.min + (delayMs.max - delayMs.min) * link.random.next() ** 2;
    if (happens(link.random, slow)) delay *= link.random.integer(5, 50);
    return Math.max(delay, link.cloggedUntilMs - this.#world.nowMs);
  }

  #link(from: NodeId, to: NodeId): Link {
    const key = from * 1000 + to;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = { random: this.#world.random(`link:${from}>${to}`), latestArrivalMs: 0, cloggedUntilMs: 0, cut: false };
      this.#links.set(key, link);
    }
    return link;
  }
}

/** Draws only where there is a rate, so that switching one fault off leaves the draws of the others as they were. */
function happens(random: Random, rate: number | undefined): boolean {
  return rate !== undefined && rate > 0 && random.next() < rate;
}
