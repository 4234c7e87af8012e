import type { Random } from '../../src/lib/random.ts';
import type { Cluster } from './cluster.ts';
import type { SimNode } from './sim-node.ts';
import type { Range, WeatherSwarm } from './swarm.ts';

/** What a partition separates: a set of nodes from the rest, one node, or the leader of some group. */
export type Separation = 'some' | 'one' | 'leader';

export interface PartitionOptions {
  /** Only what leaves the inside is lost. */
  readonly oneWay: boolean;
  readonly durationMs: number;
}

/** No state of the network is shorter than this, cut or healed, or elections would never come to an end. */
const STATE_MS_MIN = 100;

/** Partitions of the network: those that a plan asks for, and the weather, which cuts and heals by itself. */
export class SimWeather {
  readonly #cluster: Cluster;
  readonly #random: Random;
  /** Before this time no cut begins: the network was healed just now. */
  #healthyUntilMs = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#random = cluster.world.random('weather');
    const { weather } = cluster.swarm.network;
    if (weather !== undefined) this.#change(weather);
  }

  /** Nodes inside cannot talk to nodes outside. */
  partition(isInside: (node: SimNode) => boolean, { oneWay, durationMs }: PartitionOptions): void {
    const { world, network, statistics, nodes } = this.#cluster;
    if (world.nowMs < this.#healthyUntilMs) return;
    const present = nodes.filter(node => !node.isGone);
    const inside = present.filter(isInside);
    const outside = present.filter(node => !isInside(node));
    if (inside.length === 0 || outside.length === 0) return;
    const outwards = inside.flatMap(from => outside.map(to => [from.id, to.id] as const));
    const inwards = oneWay ? [] : outwards.map(([from, to]) => [to, from] as const);
    const cut = network.cut([...outwards, ...inwards]);
    statistics.partitions++;
    world.log('partition of n{} from the others, one-way={}', inside.map(node => node.id).join(), oneWay);
    world.after(Math.max(durationMs, STATE_MS_MIN), () => {
      if (cut.isHealed) return;
      network.heal(cut);
      this.#healthyUntilMs = world.nowMs + STATE_MS_MIN;
      world.log('partition of n{} is over', inside.map(node => node.id).join());
    });
  }

  /** The same partition comes and goes. */
  flap(
    isInside: (node: SimNode) => boolean,
    options: PartitionOptions & { readonly healedMs: number; readonly times: number },
  ): void {
    if (options.times === 0 || this.#cluster.isCalm) return;
    this.partition(isInside, options);
    const periodMs = Math.max(options.durationMs, STATE_MS_MIN) + Math.max(options.healedMs, STATE_MS_MIN);
    this.#cluster.world.after(periodMs, () => this.flap(isInside, { ...options, times: options.times - 1 }));
  }

  heal(): void {
    this.#cluster.network.healAll();
    this.#healthyUntilMs = this.#cluster.world.nowMs + STATE_MS_MIN;
  }

  /** Who stands on one side. */
  side(separation: Separation, number: number): (node: SimNode) => boolean {
    const present = this.#cluster.nodes.filter(node => !node.isGone);
    if (separation === 'some') return node => (number & (1 << (present.indexOf(node) % 5))) !== 0;
    const leader = this.#cluster.leaderOf(this.#cluster.group(number))?.node;
    const alone = separation === 'leader' && leader !== undefined ? leader : present[number % present.length]!;
    return node => node === alone;
  }

  #change(weather: WeatherSwarm): void {
    const { world } = this.#cluster;
    const cutMs = this.#draw(weather.cutMs);
    const healedMs = this.#draw(weather.healedMs);
    world.after(healedMs, () => {
      if (this.#cluster.isCalm) return;
      const isInside = this.side(weather.separates, this.#random.integer(1, 30));
      this.partition(isInside, { oneWay: this.#random.next() < weather.oneWay, durationMs: cutMs });
      world.after(Math.max(cutMs, STATE_MS_MIN), () => this.#change(weather));
    });
  }

  #draw({ min, max }: Range): number {
    return min + (max - min) * this.#random.next() ** 2;
  }
}
