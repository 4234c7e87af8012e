import { METADATA_GROUP } from '../../src/lib/ids.ts';
import { type Random, SeededRandom } from '../../src/lib/random.ts';
import type { Checkpointable, Page } from '../../src/raft/checkpoint.ts';
import { Faults } from './faults.ts';
import { ShellCluster } from './shell-cluster.ts';
import { Administrator } from './workload/administrator.ts';
import { Auditor } from './workload/auditor.ts';
import { Counter } from './workload/counter.ts';
import { EXCHANGE, Publisher } from './workload/publisher.ts';
import { Slots } from './workload/slots.ts';
import { Subscriber } from './workload/subscriber.ts';
import type { Worker } from './workload/worker.ts';

export interface ScheduleReport {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly confirmed: number;
  readonly settled: number;
  readonly faults: number;
}

const FAULTS_PER_RUN = 16;
/** Longer than an incarnation's lease, and than a stream waits until it reports. */
const QUIET_MS = 16_000;

/** With more than three nodes some have no replica of a shard, and serve its queues all the same. */
const nodesOf = (seed: number): number => (seed % 3 === 2 ? 5 : 3);

/** One run: work under faults, then everything heals, or all but one dead node, and what was promised must be true. */
export async function runSchedule(seed: number): Promise<ScheduleReport> {
  const run = new Run(seed, await ShellCluster.formed({ seed, nodes: nodesOf(seed) }));
  const violation = await run.whole();
  const { world } = run.cluster;
  return {
    seed,
    violation,
    traceHash: world.traceHash,
    virtualMs: Math.round(world.nowMs),
    confirmed: run.auditor.confirmed,
    settled: run.auditor.settledCount,
    faults: [...run.faults.counts.values()].reduce((sum, count) => sum + count, 0),
  };
}

class Run {
  readonly cluster: ShellCluster;
  readonly auditor = new Auditor();
  readonly faults: Faults;
  readonly #random: Random;
  readonly #slots: Slots;
  readonly #publishers: Publisher[];
  readonly #administrators: Administrator[];
  readonly #subscribers: Subscriber[];
  readonly #counters: Counter[];
  readonly #workers: Worker[];
  #isOver = false;

  constructor(seed: number, cluster: ShellCluster) {
    this.cluster = cluster;
    this.#random = new SeededRandom(seed).fork('schedule');
    this.#slots = new Slots(cluster);
    this.faults = new Faults(cluster, this.#slots, this.#random.fork('faults'));
    const context = (name: string) => ({
      cluster,
      slots: this.#slots,
      auditor: this.auditor,
      random: this.#random.fork(name),
    });
    const many = <Item>(count: number, make: (i: number) => Item): Item[] =>
      Array.from({ length: count }, (_, i) => make(i));
    this.#publishers = many(4, i => new Publisher(`p${i}`, context(`publisher${i}`)));
    this.#administrators = many(3, i => new Administrator(this.#publishers, context(`administrator${i}`)));
    this.#subscribers = this.#slots.all.map(slot => new Subscriber(slot, context(`subscriber of ${slot.name}`)));
    this.#subscribers.push(new Subscriber(this.#slots.get('d0'), context('second subscriber')));
    this.#counters = many(2, i => new Counter(`counter${i}`, context(`counter${i}`)));
    this.#workers = [...this.#publishers, ...this.#administrators, ...this.#subscribers, ...this.#counters];
  }

  /** What was wrong first, if anything was. */
  async whole(): Promise<string | undefined> {
    try {
      await this.#prepare();
      await this.#underFaults();
      await this.#calm();
      this.#compareReplicas();
      this.auditor.finish();
    } catch (error) {
      this.auditor.violation((error as Error).message);
    }
    this.#isOver = true;
    return this.auditor.violations[0];
  }

  async #prepare(): Promise<void> {
    const { world } = this.cluster;
    for (const [i, name] of this.cluster.names.entries()) {
      const client = await this.cluster.client(name);
      const exchange = { name: EXCHANGE, type: 'direct', passive: false, durable: true, autoDelete: false };
      const more = { internal: false, arguments: new Map() };
      await client.answer('declare the exchange', client.session.declareExchange({ ...exchange, ...more }));
      for (const [j, slot] of this.#slots.all.entries()) {
        if (j % this.cluster.names.length !== i) continue;
        await client.declare(slot.name, slot.declaration);
        this.#slots.declared(slot);
        if (slot.kind !== 'durable') continue;
        const key = slot.name === 'd3' ? 'k1' : 'k0';
        await client.bind(slot.name, EXCHANGE, key);
        this.#slots.bound(slot, key);
      }
      await client.answer('it goes', client.connection.close());
    }
    const work = (): void => {
      if (this.#isOver) return;
      for (const worker of this.#workers) worker.step();
      world.schedule(20, work);
    };
    world.schedule(0, work);
  }

  async #underFaults(): Promise<void> {
    for (let i = 0; i < FAULTS_PER_RUN && this.auditor.violations.length === 0; i++) {
      await this.cluster.world.run(this.#random.integer(20, 2_000));
      this.faults.next();
    }
  }

  async #calm(): Promise<void> {
    const { world, names } = this.cluster;
    this.faults.end(this.#random.next() < 0.5 ? names[this.#random.integer(0, names.length - 1)] : undefined);
    await world.run(1_000);
    for (const publisher of this.#publishers) publisher.isActive = false;
    for (const administrator of this.#administrators) administrator.isActive = false;
    for (const counter of this.#counters) counter.isActive = false;
    for (const subscriber of this.#subscribers) subscriber.isMoody = false;
    await this.cluster.allReady();
    await this.#until('everything that was asked is answered', () =>
      this.#workers.flatMap(worker => worker.unanswered),
    );
    await this.#until('every queue runs empty', () => this.#leftovers());
    await world.run(QUIET_MS);
    await this.#until('nothing is kept that was seen', () => this.#remains());
    await this.#until('each consumer is one of its queue', () => this.#strayConsumers());
  }

  /** Until the list of what is missing is empty. */
  async #until(what: string, missing: () => readonly string[]): Promise<void> {
    try {
      await this.cluster.world.until(what, () => missing().length === 0 || this.auditor.violations.length > 0, 60_000);
    } catch {
      this.auditor.violation(`never happened: ${what}; ${missing().slice(0, 5).join('; ')}`);
    }
  }

  /** Of every home that is led. */
  #machines() {
    const shards = this.cluster.running().flatMap(({ cluster }) => [...cluster!.replicas.shards()]);
    const led = shards.filter(({ driver }) => driver.isServing).map(({ machine }) => machine);
    const volatile = this.cluster.running().flatMap(({ cluster }) => cluster!.volatileMachine ?? []);
    return { shards: led, all: [...led, ...volatile] };
  }

  #leftovers(): string[] {
    const count = this.cluster.running()[0]!.cluster!.replicas.metadata.machine.shards.count;
    const { shards, all } = this.#machines();
    if (shards.length !== count) return [`${count - shards.length} shards have no leader`];
    return all
      .flatMap(machine => machine.overview().queues)
      .filter(({ name, ready, unacked }) => ready + unacked > 0 && this.#slots.all.some(slot => slot.name === name))
      .map(({ name, ready, unacked }) => `${name} has ${ready} ready and ${unacked} unacked messages`);
  }

  /** What is deleted is forgotten everywhere: tombstones in shards, queues in the memory of nodes. */
  #remains(): string[] {
    const { topology } = this.cluster.running()[0]!.cluster!.replicas.metadata.machine;
    const { shards, all } = this.#machines();
    const queues = all.flatMap(machine => machine.overview().queues);
    const deleted = queues.filter(({ id }) => topology.queueById(id) === undefined).map(({ name }) => `queue ${name}`);
    const tombstones = shards.map(machine => machine.overview().tombstones).filter(count => count > 0);
    return [...deleted, ...tombstones.map(count => `${count} tombstones`)];
  }

  /** Clients that believe to consume a queue, and consumers that the queue has. */
  #strayConsumers(): string[] {
    const queues = this.#machines().all.flatMap(machine => machine.overview().queues);
    return this.#slots.all.flatMap(slot => {
      const believed = this.#subscribers.filter(one => one.slot === slot && one.isConsuming).length;
      const there = queues.find(({ name }) => name === slot.name)?.consumers ?? 0;
      return believed === there
        ? []
        : [`${slot.name} has ${there} consumers, and ${believed} clients believe to be one`];
    });
  }

  /** Replicas that applied the same are the same. */
  #compareReplicas(): void {
    const pages = new Map<string, string>();
    for (const { name, cluster } of this.cluster.running()) {
      const { machine, driver } = cluster!.replicas.metadata;
      const group0 = { group: METADATA_GROUP, machine, driver };
      const shards = [...cluster!.replicas.shards()];
      for (const { machine } of shards) machine.checkInvariants();
      for (const { group, machine, driver } of [group0, ...shards]) {
        const key = `group ${group} at ${driver.applied.index}`;
        const state = JSON.stringify(pagesOf(machine, driver.applied));
        const known = pages.get(key);
        if (known !== undefined && known !== state) this.auditor.violation(`${key} differs at ${name}`);
        pages.set(key, state);
      }
    }
  }
}

function pagesOf(
  machine: Checkpointable,
  at: { readonly term: number; readonly index: number },
): readonly (readonly [string, string])[] {
  const cut = machine.cut('all', at);
  const pages: Page[] = [];
  for (let next = cut.nextPages(1 << 20); next.length > 0; next = cut.nextPages(1 << 20)) pages.push(...next);
  cut.completed();
  return pages
    .map(
      ({ key, bytes }) => [`${key.space}/${key.kind}/${key.number}`, Buffer.from(bytes ?? []).toString('hex')] as const,
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
