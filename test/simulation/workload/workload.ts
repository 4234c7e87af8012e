import type { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import { type GroupId, type QueueId, queueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { Auditor } from '../auditor.ts';
import type { Cluster } from '../cluster.ts';
import type { SimNode } from '../sim-node.ts';
import type { WorkloadSwarm } from '../swarm.ts';
import { Consumer } from './consumer.ts';
import { Publisher } from './publisher.ts';

const FIRST_QUEUE = 1;

/** The clients of a run: what they do by themselves, and what actions make them do. */
export class Workload {
  readonly cluster: Cluster;
  readonly swarm: WorkloadSwarm;
  readonly queues: readonly QueueId[];
  readonly publishers: readonly Publisher[];
  readonly #consumers: Consumer[];
  #lastMessage = 0;
  #lastConnection = 0;
  #lastConsumer = 0;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.swarm = cluster.swarm.workload;
    const { queues, publishers, consumers } = this.swarm;
    this.queues = Array.from({ length: queues }, (_, i) => queueId(FIRST_QUEUE + i));
    this.publishers = Array.from({ length: publishers }, (_, i) => new Publisher(this, i));
    this.#consumers = Array.from({ length: consumers }, (_, i) => new Consumer(this, i, this.queues[i % queues]!));
  }

  get auditor(): Auditor {
    return this.cluster.auditor;
  }

  get consumers(): readonly Consumer[] {
    return this.#consumers;
  }

  nextMessage(): number {
    return ++this.#lastMessage;
  }

  nextConnection(): number {
    return ++this.#lastConnection;
  }

  nextConsumer(): number {
    return ++this.#lastConsumer;
  }

  groupOf(queue: QueueId): GroupId {
    return this.cluster.group(queue);
  }

  /** A node that serves clients. */
  pickNode(random: Random): SimNode | undefined {
    const serving = this.cluster.nodes.filter(node => node.gateway !== undefined);
    return serving.length === 0 ? undefined : serving[random.integer(0, serving.length - 1)];
  }

  /** One queue, or several of the same shard. */
  pickQueues(random: Random): readonly QueueId[] {
    const queue = this.queues[random.integer(0, this.queues.length - 1)]!;
    const { fanout } = this.swarm;
    if (fanout === undefined || random.next() >= fanout) return [queue];
    return this.queues.filter(other => this.groupOf(other) === this.groupOf(queue));
  }

  introduce(client: ShardClient, queue: QueueId): void {
    client.introduce(queue, { vhost: '/', name: `queue ${queue}`, autoDelete: false, exclusive: false });
  }

  /** The node crashed or ended its incarnation: its clients' connections break. */
  nodeLost(node: SimNode): void {
    for (const publisher of this.publishers) publisher.nodeLost(node);
    for (const consumer of this.#consumers) consumer.nodeLost(node);
  }

  /** No new messages; every queue is emptied. */
  calmDown(): void {
    for (const publisher of this.publishers) publisher.finish();
    for (const queue of this.queues) {
      if (!this.#consumers.some(consumer => consumer.queue === queue)) {
        this.#consumers.push(new Consumer(this, this.#consumers.length, queue));
      }
    }
    for (const consumer of this.#consumers) consumer.calmDown();
  }

  /** What clients still wait for, as a sentence. */
  pending(): string | undefined {
    for (const [i, publisher] of this.publishers.entries()) {
      if (publisher.pending > 0) return `publisher ${i} waits for ${publisher.pending} confirms`;
    }
    for (const group of this.cluster.groups) {
      const overview = this.cluster.leaderOf(group)?.machine.overview();
      for (const { id, ready, unacked } of overview?.queues ?? []) {
        if (ready + unacked > 0)
          return `queue ${id} has ${ready} messages ready and ${unacked} delivered and not settled`;
      }
    }
    return undefined;
  }
}
