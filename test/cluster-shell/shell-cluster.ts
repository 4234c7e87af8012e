import { expect } from 'vitest';
import type { BrokerConnection, BrokerSession, Delivery, SessionListener } from '../../src/broker/broker.ts';
import type { ClusterOptions } from '../../src/cluster/cluster-options.ts';
import type { NodeSession } from '../../src/cluster/node-session.ts';
import { parseConfig } from '../../src/config.ts';
import { utf8Decode } from '../../src/lib/bytes.ts';
import { type GroupId, METADATA_GROUP, type NodeId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { clusterOptions } from '../../src/node-options.ts';
import { decodeMessageBlock } from '../../src/queue/message-block.ts';
import { plainPublish } from '../support/plain-publish.ts';
import { MemoryDisk } from './memory-disk.ts';
import { Network } from './network.ts';
import { ShellNode } from './shell-node.ts';
import { World } from './world.ts';

export interface ShellClusterOptions {
  readonly seed?: number;
  readonly nodes?: number;
  readonly change?: (options: ClusterOptions) => ClusterOptions;
}

/** Limits and times as they run in production. */
export function defaultOptions(): ClusterOptions {
  const parsed = parseConfig({ dataDir: '/none' }, {});
  if (!parsed.ok) throw new Error(parsed.error);
  return clusterOptions({ ...parsed.config, shardsPerNode: 1 });
}

/** Several nodes in one process, over a network and disks that the test holds in its hand. */
export class ShellCluster {
  readonly world = new World();
  readonly random: SeededRandom;
  readonly network: Network;
  readonly names: readonly string[];
  readonly log: string[] = [];
  readonly #options: ClusterOptions;
  readonly #nodes = new Map<string, ShellNode>();
  readonly #disks = new Map<string, MemoryDisk>();
  #starts = 0;

  constructor({ seed = 1, nodes = 3, change = options => options }: ShellClusterOptions = {}) {
    this.random = new SeededRandom(seed);
    this.network = new Network(this.world, this.random.fork('network'));
    this.names = Array.from({ length: nodes }, (_, i) => `node-${i}`);
    this.#options = change(defaultOptions());
  }

  /** All nodes started, formed and ready to serve. */
  static async formed(options: ShellClusterOptions = {}): Promise<ShellCluster> {
    const cluster = new ShellCluster(options);
    for (const name of cluster.names) cluster.start(name);
    await cluster.allReady();
    return cluster;
  }

  node(name: string): ShellNode {
    return this.#nodes.get(name)!;
  }

  /** Nodes whose process runs. */
  running(): ShellNode[] {
    return [...this.#nodes.values()].filter(node => !node.life.isOver);
  }

  start(name: string): ShellNode {
    let disk = this.#disks.get(name);
    if (disk === undefined) {
      disk = new MemoryDisk(`directory-of-${name}`);
      this.#disks.set(name, disk);
    }
    const node = new ShellNode(
      { name, names: this.names, cluster: this.#options, diskMsMax: 2 },
      {
        world: this.world,
        network: this.network,
        random: this.random.fork(`${name}/${this.#starts++}`),
        disk,
        log: (from, text) => this.log.push(`${this.world.nowMs.toFixed(1)} ${from}: ${text}`),
      },
    );
    this.#nodes.set(name, node);
    node.start();
    return node;
  }

  /** The node's next start finds an empty disk, with an id of its own. */
  replaceDisk(name: string): void {
    this.#disks.set(name, new MemoryDisk(`directory-of-${name}-${this.#starts}`));
  }

  kill(name: string, loss: 'process' | 'power' = 'power'): void {
    this.node(name).kill(loss);
  }

  async allReady(limitMs = 60_000): Promise<void> {
    await this.world.until('all running nodes are ready', () => this.running().every(node => node.isReady), limitMs);
  }

  /** The node that leads the group, by the word of all running nodes that know. */
  leaderOf(group: GroupId = METADATA_GROUP): ShellNode | undefined {
    return this.running().find(({ cluster }) => {
      if (cluster === undefined) return false;
      const driver =
        group === METADATA_GROUP ? cluster.replicas.metadata.driver : cluster.replicas.shard(group)?.driver;
      return driver?.isServing === true;
    });
  }

  /** The group of a durable queue. */
  homeOf(queue: string): GroupId {
    const home = this.running()
      .map(({ cluster }) => cluster?.replicas.metadata.machine.topology.queue('/', queue)?.home)
      .find(found => found !== undefined);
    if (home?.kind !== 'shard') throw new Error(`${queue} is in no shard`);
    return home.group;
  }

  isolate(name: string, noticedMs: number): void {
    for (const other of this.names) if (other !== name) this.network.cut(name, other, noticedMs);
  }

  healAll(): void {
    for (const a of this.names) for (const b of this.names) if (a < b) this.network.heal(a, b);
  }

  client(name: string): Promise<ShellClient> {
    return this.world.answer(`a client connects to ${name}`, ShellClient.connect(this, this.node(name)));
  }

  idOf(name: string): NodeId {
    return this.node(name).cluster!.self;
  }
}

export interface Received {
  readonly handle: number;
  readonly number: number;
  readonly body: string;
  readonly redelivered: boolean;
}

export const bodyOf = (delivery: Pick<Delivery, 'content' | 'more'>): string => {
  const whole = new Uint8Array(delivery.content.length + delivery.more.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of [delivery.content, ...delivery.more]) {
    whole.set(part, at);
    at += part.length;
  }
  return utf8Decode(decodeMessageBlock(whole).body);
};

/** A client with one connection and one session, whose socket takes whatever it gets after a moment. */
export class ShellClient implements SessionListener {
  readonly #cluster: ShellCluster;
  readonly node: ShellNode;
  connection!: BrokerConnection;
  /** The incarnation of its node that it is a client of. */
  readonly gateway: NodeSession;
  session!: BrokerSession;
  readonly confirmedNumbers = new Set<number>();
  readonly rejectedNumbers = new Set<number>();
  readonly received: Received[] = [];
  readonly cancelledHandles: number[] = [];
  closedReason: string | undefined;
  /** Whether the socket takes what is written to it. */
  isReading = true;
  isHeld = false;
  onDelivery: (received: Received) => void = () => {};
  #sequence = 0;
  #isFlushPlanned = false;

  private constructor(cluster: ShellCluster, node: ShellNode) {
    this.#cluster = cluster;
    this.node = node;
    this.gateway = node.cluster!.session!;
  }

  static async connect(cluster: ShellCluster, node: ShellNode): Promise<ShellClient> {
    const client = new ShellClient(cluster, node);
    const connection = await node.connect({
      held: () => {
        client.isHeld = true;
      },
      resumed: () => {
        client.isHeld = false;
      },
      closed: reason => {
        client.closedReason = reason;
        void client.connection.close();
      },
    });
    if (connection === undefined) throw new Error(`${node.name} lets nobody in`);
    client.connection = connection;
    client.session = connection.openSession(client);
    return client;
  }

  // ---- Calls ----

  async declare(name: string, more: { durable?: boolean; exclusive?: boolean; autoDelete?: boolean } = {}) {
    const request = {
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: new Map(),
      ...more,
    };
    return this.answer(`declare ${name}`, this.session.declareQueue({ name, ...request }));
  }

  async count(name: string): Promise<number | string> {
    const declare = { name, passive: true, durable: true, exclusive: false, autoDelete: false, arguments: new Map() };
    const result = await this.answer(`count ${name}`, this.session.declareQueue(declare));
    return result.ok ? result.value.messageCount : result.error.code;
  }

  async bind(queue: string, exchange: string, routingKey: string) {
    return this.answer('bind', this.session.bindQueue({ queue, exchange, routingKey, arguments: new Map() }));
  }

  async consume(queue: string, handle: number, more: { autoAck?: boolean; window?: number } = {}) {
    const { autoAck = false, window } = more;
    const request = { queue, consumer: handle, tag: '', autoAck, exclusive: false, arguments: new Map(), window };
    return this.answer(`consume from ${queue}`, this.session.consume(request));
  }

  async get(queue: string, autoAck = false): Promise<Received | 'empty' | string> {
    const result = await this.answer(`get from ${queue}`, this.session.get({ queue, autoAck, consumer: 99 }));
    if (!result.ok) return result.error.code;
    if (result.value.empty) return 'empty';
    const { delivery } = result.value;
    return { handle: 99, number: delivery.number, body: bodyOf(delivery), redelivered: delivery.redelivered };
  }

  answer<Value>(what: string, promise: Promise<Value>): Promise<Value> {
    return this.#cluster.world.answer(what, promise);
  }

  /** Returns the publish number, or what the broker said instead. */
  publish(routingKey: string, body: string, exchange = ''): number | 'unroutable' | string {
    expect(this.connection.mayPublish).toBe(true);
    const sequence = ++this.#sequence;
    const result = this.session.publish(plainPublish(routingKey, body, { exchange, sequence }));
    if (result === 'routed') return this.#sequence;
    return result === 'unroutable' ? result : result.code;
  }

  get unanswered(): number {
    return this.#sequence - this.confirmedNumbers.size - this.rejectedNumbers.size;
  }

  settle(received: Received, how: 'settle' | 'return' | 'discard' = 'settle'): void {
    this.session.settle(received.handle, received.number, received.number, how);
  }

  get bodies(): string[] {
    return this.received.map(({ body }) => body);
  }

  // ---- SessionListener ----

  confirmed(first: number, last: number): void {
    for (let number = first; number <= last; number++) this.#decided(this.confirmedNumbers, number);
  }

  rejected(first: number, last: number): void {
    for (let number = first; number <= last; number++) this.#decided(this.rejectedNumbers, number);
  }

  deliver(delivery: Delivery): void {
    const { consumer: handle, number, redelivered } = delivery;
    const received = { handle, number, body: bodyOf(delivery), redelivered };
    this.received.push(received);
    this.flush();
    this.onDelivery(received);
  }

  consumerCancelled(handle: number): void {
    this.cancelledHandles.push(handle);
  }

  /** The socket's turn, a moment later. */
  flush(): void {
    if (this.#isFlushPlanned || !this.isReading) return;
    this.#isFlushPlanned = true;
    this.#cluster.world.schedule(
      1,
      () => {
        this.#isFlushPlanned = false;
        if (this.isReading) this.connection.flushed(this.connection.deliveredMark());
      },
      this.node.life,
    );
  }

  #decided(into: Set<number>, number: number): void {
    expect(this.confirmedNumbers.has(number) || this.rejectedNumbers.has(number)).toBe(false);
    expect(number).toBeGreaterThan(0);
    expect(number).toBeLessThanOrEqual(this.#sequence);
    into.add(number);
  }
}
