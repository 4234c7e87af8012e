import type { Decision } from '../../../src/broker/gateway.ts';
import type { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import { assert } from '../../../src/lib/assert.ts';
import type { ByteWriter } from '../../../src/lib/bytes.ts';
import { type ConsumerId, consumerId, type GroupId, type QueueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { Auditor } from '../auditor.ts';
import type { Cluster } from '../cluster.ts';
import type { SimGateway } from '../sim-gateway.ts';
import type { SimNode } from '../sim-node.ts';
import type { WorkloadSwarm } from '../swarm.ts';
import { Backlog } from './backlog.ts';
import { expiryOf } from './expiry.ts';
import type { WorkloadPart } from './part.ts';
import { PARTS } from './parts.ts';
import { retentionOf } from './streams.ts';
import { type QueueRecord, Topology } from './topology.ts';
import { VolatileHomes } from './volatile-homes.ts';

/** A client's connection to one node, for one incarnation of it. */
export interface Connection {
  readonly node: SimNode;
  readonly gateway: SimGateway;
}

/** The clients of a run: what they do by themselves, and what actions make them do. */
export class Workload {
  readonly cluster: Cluster;
  readonly swarm: WorkloadSwarm;
  readonly topology: Topology;
  readonly volatile: VolatileHomes;
  readonly parts: readonly WorkloadPart[];
  /** Names of queues; what they mean changes. */
  readonly names: readonly string[];
  /** Those that group 0 knows, the same on every node. */
  readonly shardNames: readonly string[];
  readonly #backlog: Backlog;
  /** What was asked of shards and not answered, in words. */
  readonly #asked = new Map<object, { readonly node: SimNode; readonly gateway: SimGateway; readonly what: string }>();
  #lastMessage = 0;
  #lastConnection = 0;
  #lastConsumer = 0;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.swarm = cluster.swarm.workload;
    this.topology = new Topology(cluster);
    this.volatile = new VolatileHomes(this);
    this.shardNames = Array.from({ length: this.swarm.queues }, (_, i) => `queue-${i}`);
    this.names = [...this.shardNames, ...(this.swarm.volatile === true ? [this.volatile.name] : [])];
    for (const name of this.shardNames) this.topology.begin(this.configOf(name));
    this.#backlog = new Backlog(this);
    this.parts = PARTS.map(Part => new Part(this));
  }

  get auditor(): Auditor {
    return this.cluster.auditor;
  }

  part<Part extends WorkloadPart>(Kind: new (workload: Workload) => Part): Part {
    const part = this.parts.find((one): one is Part => one instanceof Kind);
    assert(part !== undefined, 'every part is there');
    return part;
  }

  nextMessage(): number {
    return ++this.#lastMessage;
  }

  nextConnection(): number {
    return ++this.#lastConnection;
  }

  nextConsumer(): ConsumerId {
    return consumerId(++this.#lastConsumer);
  }

  name(number: number): string {
    return this.names[number % this.names.length]!;
  }

  /**
   * The first names are those of queues that go with their last consumer, the last ones serve one at a time, in some runs. In others
   * the first ones are streams.
   */
  configOf(name: string): QueueRecord['config'] {
    const place = this.shardNames.indexOf(name);
    const count = this.shardNames.length;
    const autoDelete = place < (this.swarm.autoDeletes ?? 0) * count;
    const singleActive = count - place <= Math.ceil((this.swarm.singleActives ?? 0) * count);
    const expiry = expiryOf(this.swarm.expiry, place, count);
    const plain = { vhost: '/', name, autoDelete, exclusive: false };
    const stream = retentionOf(this.swarm.streams, place, count);
    if (stream !== undefined) return { ...plain, singleActive: false, expiresMs: expiry.expiresMs, stream };
    return { ...plain, singleActive, ...expiry };
  }

  homeOf(queue: QueueId): GroupId {
    return this.volatile.groupOf(queue) ?? this.cluster.group(queue);
  }

  /** A node that serves clients. */
  connect(random: Random): Connection | undefined {
    const serving = this.cluster.nodes.filter(node => node.gateway !== undefined);
    if (serving.length === 0) return undefined;
    const node = serving[random.integer(0, serving.length - 1)]!;
    return { node, gateway: node.gateway! };
  }

  isAlive({ node, gateway }: Connection): boolean {
    return node.gateway === gateway;
  }

  /** What the name means on the node that the client is connected to. */
  find({ node }: Connection, name: string): QueueRecord | undefined {
    return name === this.volatile.name ? this.volatile.find(node) : this.topology.find(node, name);
  }

  /** The stream to the home of a queue. */
  client(connection: Connection, queue: QueueId): ShardClient {
    if (this.volatile.groupOf(queue) !== undefined) return this.volatile.client(connection);
    return connection.gateway.client(this.homeOf(queue));
  }

  /** The same; the home is told what the queue is (R3). */
  stream(connection: Connection, { id, config }: QueueRecord): ShardClient {
    const client = this.client(connection, id);
    client.introduce(id, config);
    return client;
  }

  /** Anything whose answer must be what the log says. `what` is for people. */
  ask(
    connection: Connection,
    record: QueueRecord,
    what: string,
    write: (out: ByteWriter) => void,
    done: (outcome: Decision | undefined) => void = () => {},
  ): void {
    this.stream(connection, record).request(write, this.answerOf(connection, record, what, done));
  }

  /** The same for what a stream has a call of its own for. */
  answerOf(
    { node, gateway }: Connection,
    { id }: QueueRecord,
    what: string,
    done: (outcome: Decision | undefined) => void,
  ): (outcome: Decision | undefined) => void {
    const asked = {};
    this.#asked.set(asked, { node, gateway, what: `${what} of queue ${id}` });
    return outcome => {
      this.#asked.delete(asked);
      this.auditor.told(this.homeOf(id), node.id, gateway.incarnation, id, outcome);
      done(outcome);
    };
  }

  /** The node crashed or ended its incarnation: its clients' connections break. */
  nodeLost(node: SimNode): void {
    for (const [asked, { node: lost }] of this.#asked) if (lost === node) this.#asked.delete(asked);
    for (const part of this.parts) part.nodeLost(node);
    this.volatile.nodeLost(node);
  }

  /** No new work; every queue is emptied. */
  calmDown(): void {
    for (const part of this.parts) part.calmDown();
  }

  /** For the leader of a shard: group 0 is to forget the name of a deleted queue. */
  removeName(node: SimNode, queue: QueueId): Promise<number> {
    return this.topology.removeName(node, queue);
  }

  topologyIndex(node: SimNode): number {
    return this.topology.indexAt(node);
  }

  /** What clients still wait for, as a sentence. */
  pending(): string | undefined {
    for (const { node, what } of this.#asked.values()) return `node ${node.id} waits for the answer to a ${what}`;
    for (const part of this.parts) {
      const pending = part.pending();
      if (pending !== undefined) return pending;
    }
    return this.#backlog.pending();
  }
}
