import { connect } from 'amqplib';
import type { Random } from '../../src/lib/random.ts';
import { History } from './history.ts';
import type { KillRound } from './kill-plan.ts';
import { LoadConsumer } from './load-consumer.ts';
import { LoadPublisher } from './load-publisher.ts';
import { delay, eventually, nowMs } from './waiting.ts';
import type { ClusterStatus, WarrenCluster } from './warren-cluster.ts';

export interface LoadOptions {
  readonly queue: string;
  readonly perSecond: number;
  readonly bodyBytes: number;
  readonly prefetch: number;
}

/** Labels of the marks that kills leave in the history. */
export const LEADER_KILLED = 'leader killed';
export const FOLLOWER_KILLED = 'follower killed';
export const ALL_KILLED = 'all killed';

const STEADY_MS = 700;
const AFTER_KILL_MS = 2_500;

/** One durable queue under load by one publisher and one consumer, with everything they saw in a history. */
export class LoadedQueue {
  readonly history = new History(nowMs);
  readonly publisher: LoadPublisher;
  readonly consumer: LoadConsumer;
  readonly #cluster: WarrenCluster;
  readonly #queue: string;

  static async start(cluster: WarrenCluster, options: LoadOptions): Promise<LoadedQueue> {
    const [first, second] = cluster.nodes;
    const client = await connect(cluster.url(first!.name));
    const channel = await client.createChannel();
    await channel.assertQueue(options.queue, { durable: true });
    await client.close();
    const load = new LoadedQueue(cluster, options);
    await load.consumer.start(second!.name);
    await load.publisher.start(first!.name);
    return load;
  }

  private constructor(cluster: WarrenCluster, options: LoadOptions) {
    this.#cluster = cluster;
    this.#queue = options.queue;
    this.publisher = new LoadPublisher(cluster, this.history, options);
    this.consumer = new LoadConsumer(cluster, this.history, options);
  }

  /** Puts the clients where the round wants them, kills one node, and waits until it serves again. Returns its name. */
  async kill(round: KillRound, random: Random): Promise<string> {
    await this.healthy();
    const victim = await this.#place(round, random);
    this.history.marked(round.leader ? LEADER_KILLED : FOLLOWER_KILLED, victim);
    this.#cluster.kill(victim);
    const killedMs = nowMs();
    await this.#cluster.revive(victim);
    await this.#cluster.serving(victim);
    await delay(Math.max(0, killedMs + AFTER_KILL_MS - nowMs()));
    return victim;
  }

  /** kill -9 of every node at once. Nothing is offered from here on: nobody could take it. */
  async killAll(): Promise<void> {
    this.publisher.pause();
    this.history.marked(ALL_KILLED, '');
    for (const node of this.#cluster.nodes) this.#cluster.kill(node.name);
    await Promise.all(this.#cluster.nodes.map(node => this.#cluster.revive(node.name)));
    await this.#cluster.allServing(30_000);
  }

  /** Until every node is up, the queue's shard has a leader and its replicas have what the leader has. */
  async healthy(timeoutMs = 30_000): Promise<void> {
    await this.#cluster.allServing(timeoutMs);
    await eventually(`the replicas of ${this.#queue} to be caught up`, timeoutMs, async () => {
      const status = await this.#cluster.status();
      if (isHealthy(status, this.#queue, this.#cluster.nodes.length)) return true;
      throw new Error(`the last status was ${JSON.stringify(status)}`);
    });
  }

  /** Stops both clients when the queue is empty and everything in flight is answered. */
  async drain(timeoutMs: number): Promise<void> {
    this.publisher.pause();
    await this.publisher.drained(10_000);
    await eventually(`queue ${this.#queue} to be drained`, timeoutMs, async () => {
      if (this.consumer.quietMs < 1_000) return false;
      const queue = (await this.#cluster.status()).queues?.find(candidate => candidate.name === this.#queue);
      return queue !== undefined && queue.ready === 0 && queue.unacked === 0;
    });
    await this.stop();
  }

  async stop(): Promise<void> {
    await this.publisher.stop();
    await this.consumer.stop();
  }

  /** The leader may move while clients do: the choice is made again until it holds at the moment of the kill. */
  async #place(round: KillRound, random: Random): Promise<string> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const leader = await this.#cluster.leaderOf(this.#queue);
      const names = this.#cluster.nodes.map(node => node.name);
      const followers = names.filter(name => name !== leader);
      const victim = round.leader ? leader : followers[random.integer(0, followers.length - 1)]!;
      const others = names.filter(name => name !== victim);
      const elsewhere = (): string => others[random.integer(0, others.length - 1)]!;
      await this.publisher.moveTo(round.publisherOnVictim ? victim : elsewhere());
      await this.consumer.moveTo(round.consumerOnVictim ? victim : elsewhere());
      await delay(STEADY_MS);
      if ((await this.#cluster.leaderOf(this.#queue)) === leader) return victim;
    }
    throw new Error(`the leader of ${this.#queue} kept moving`);
  }
}

/** Entries a follower may be behind while messages flow. */
const LAG_MAX = 200;

function isHealthy(status: ClusterStatus, queueName: string, nodes: number): boolean {
  const queue = status.queues?.find(candidate => candidate.name === queueName);
  const shard = status.shards.find(candidate => candidate.id === queue?.shard);
  if (shard === undefined || shard.leader === null || shard.lag === null) return false;
  if (status.nodes.filter(node => node.up).length < nodes) return false;
  return shard.replicas.length >= nodes && shard.lag <= LAG_MAX;
}
