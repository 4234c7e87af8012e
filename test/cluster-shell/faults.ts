import type { Random } from '../../src/lib/random.ts';
import type { ShellCluster } from './shell-cluster.ts';
import type { ShellNode } from './shell-node.ts';
import type { Slots } from './workload/slots.ts';
import { pick } from './workload/worker.ts';

/** What can go wrong, drawn one after the other; how often, differs from run to run. */
export class Faults {
  readonly #cluster: ShellCluster;
  readonly #slots: Slots;
  readonly #random: Random;
  readonly #kinds: (() => void)[];
  readonly counts = new Map<string, number>();

  constructor(cluster: ShellCluster, slots: Slots, random: Random) {
    this.#cluster = cluster;
    this.#slots = slots;
    this.#random = random;
    const all: readonly (readonly [name: string, weight: number, fault: () => void])[] = [
      ['crash', 3, () => this.#crash()],
      ['restart', 5, () => this.#restart()],
      ['restart at once', 3, () => this.#restartAtOnce()],
      ['pause', 3, () => this.#pause()],
      ['partition', 3, () => this.#partition()],
      ['one-way partition', 3, () => this.#oneWay()],
      ['isolation', 2, () => this.#isolate()],
      ['heal', 6, () => this.heal()],
      ['reset', 3, () => cluster.network.reset(...this.#pair())],
      ['slow network', 2, () => this.#slowNetwork()],
      ['slow disk', 2, () => this.#slowDisk()],
      ['hung disk', 2, () => this.#hungDisk()],
      ['full disk', 1, () => this.#fullDisk()],
      ['clock jump', 2, () => this.#clockJump()],
    ];
    this.#kinds = all.flatMap(([name, weight, fault]) => {
      const counted = (): void => {
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        fault();
      };
      return Array.from({ length: random.integer(0, weight * 2) }, () => counted);
    });
    if (this.#kinds.length === 0) this.#kinds.push(() => this.#crash());
  }

  next(): void {
    pick(this.#random, this.#kinds)();
  }

  /** Links and delays are as they should be. */
  heal(): void {
    this.#cluster.network.delayMsMax = 1;
    this.#cluster.healAll();
    const linked = this.#cluster.running().filter(({ life }) => !life.isPaused);
    this.#slots.calm(linked.map(({ name }) => name));
  }

  /** Nothing is wrong any more, but for a node that stays dead if it is given. */
  end(dead: string | undefined): void {
    const { world, names } = this.#cluster;
    if (dead !== undefined && !this.#cluster.node(dead).life.isOver) this.#kill(dead);
    for (const name of names) {
      const node = this.#cluster.node(name);
      if (node.life.isPaused) world.resume(node.life);
      node.diskMsMax = 2;
      node.store.isShortOfSpace = false;
      node.clock.wallAheadMs = 0;
      if (node.life.isOver && name !== dead) this.#cluster.start(name);
    }
    this.heal();
  }

  #node(): ShellNode {
    return this.#cluster.node(pick(this.#random, this.#cluster.names));
  }

  #pair(): [string, string] {
    const { names } = this.#cluster;
    const a = this.#random.integer(0, names.length - 1);
    return [names[a]!, names[(a + this.#random.integer(1, names.length - 1)) % names.length]!];
  }

  #crash(): void {
    const { name, life } = this.#node();
    if (!life.isOver && this.#cluster.running().length === this.#cluster.names.length) this.#kill(name);
  }

  #kill(name: string): void {
    this.#slots.trouble([name]);
    this.#cluster.kill(name, this.#random.next() < 0.5 ? 'process' : 'power');
  }

  #restart(): void {
    const { name, life } = this.#node();
    if (life.isOver) this.#cluster.start(name);
  }

  /** The new incarnation is there before everybody has heard that the last one ended: one node hears of it late. */
  #restartAtOnce(): void {
    const cluster = this.#cluster;
    if (cluster.running().length < cluster.names.length) return;
    const { name } = this.#node();
    const teller = cluster.leaderOf()?.name;
    const late = cluster.names.find(other => other !== name && other !== teller);
    this.#kill(name);
    cluster.start(name);
    if (teller === undefined || teller === name || late === undefined) return;
    this.#slots.trouble([teller, late]);
    cluster.network.cutOneWay(teller, late, 8_000);
    cluster.world.schedule(this.#random.integer(500, 4_000), () => cluster.network.heal(teller, late));
  }

  #pause(): void {
    const { world } = this.#cluster;
    const { name, life } = this.#node();
    if (life.isOver || life.isPaused) return;
    this.#slots.trouble([name]);
    world.pause(life);
    world.schedule(this.#random.integer(50, 14_000), () => world.resume(life));
  }

  #partition(): void {
    const pair = this.#pair();
    this.#slots.trouble(pair);
    this.#cluster.network.cut(...pair, this.#random.integer(0, 4_000));
  }

  #oneWay(): void {
    const pair = this.#pair();
    this.#slots.trouble(pair);
    this.#cluster.network.cutOneWay(...pair, this.#random.integer(0, 8_000));
  }

  #isolate(): void {
    const { name } = this.#node();
    this.#slots.trouble(this.#cluster.names);
    this.#cluster.isolate(name, this.#random.integer(0, 4_000));
  }

  #slowNetwork(): void {
    this.#slots.trouble(this.#cluster.names);
    this.#cluster.network.delayMsMax = this.#random.integer(0, 3) ** 4;
  }

  #slowDisk(): void {
    this.#node().diskMsMax = this.#random.integer(0, 3) ** 4;
  }

  #hungDisk(): void {
    this.#slots.trouble(this.#cluster.names);
    this.#node().hangDisk(this.#random.integer(100, 6_000));
  }

  #fullDisk(): void {
    const { store, life } = this.#node();
    store.isShortOfSpace = true;
    this.#cluster.world.schedule(
      this.#random.integer(100, 4_000),
      () => {
        store.isShortOfSpace = false;
      },
      life,
    );
  }

  #clockJump(): void {
    this.#node().clock.wallAheadMs += this.#random.integer(-1, 1) * 10 ** this.#random.integer(2, 8);
  }
}
