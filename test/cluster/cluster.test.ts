import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/random.ts';
import { gapsAround, summarize } from './gaps.ts';
import { checkHistory } from './history-checker.ts';
import { LEADER_KILLED, LoadedQueue } from './loaded-queue.ts';
import { raceRoutes } from './routing-race.ts';
import { delay, eventually } from './waiting.ts';
import { DevCluster, ServerCluster, type WarrenCluster } from './warren-cluster.ts';

/** Real processes, sockets and disks. What only time can show is in scripts/kill-test.ts and its neighbours. */
let clients: ChannelModel[] = [];

async function open(cluster: WarrenCluster, node: string): Promise<ConfirmChannel> {
  const client = await connect(cluster.url(node), { timeout: 5_000 });
  client.on('error', () => {});
  clients.push(client);
  const channel = await client.createConfirmChannel();
  channel.on('error', () => {});
  return channel;
}

/** Resolves when the broker has confirmed the message. */
const confirmed = (channel: ConfirmChannel, queue: string, body: string): Promise<void> =>
  new Promise((resolve, reject) =>
    channel.sendToQueue(queue, Buffer.from(body), { persistent: true }, error =>
      error === null || error === undefined ? resolve() : reject(error as Error),
    ),
  );

afterEach(async () => {
  await Promise.allSettled(clients.map(client => client.close()));
  clients = [];
});

describe('a development cluster', () => {
  let cluster: DevCluster;

  beforeAll(async () => {
    cluster = await DevCluster.start({ restartAfterMs: 500 });
  });

  afterAll(() => cluster?.stop());

  it('is ready within ten seconds and tells where everything listens', () => {
    expect(cluster.readyMs).toBeLessThan(10_000);
    expect(cluster.nodes.map(node => node.name)).toEqual(['warren-0', 'warren-1', 'warren-2']);
    expect(cluster.nodes.map(node => node.amqp - cluster.portOffset)).toEqual([5672, 5673, 5674]);
    expect(cluster.nodes.map(node => node.grpc - cluster.portOffset)).toEqual([7672, 7673, 7674]);
  });

  it('serves every queue through every node', async () => {
    const names = cluster.nodes.map(node => node.name);
    for (const declaring of names) {
      const queue = `from-${declaring}`;
      await (await open(cluster, declaring)).assertQueue(queue, { durable: true });
      for (const publishing of names) await confirmed(await open(cluster, publishing), queue, publishing);
      for (const consuming of names) {
        const got = await (await open(cluster, consuming)).get(queue, { noAck: true });
        expect(got === false ? undefined : got.content.toString()).toBe(names[names.indexOf(consuming)]);
      }
    }
  });

  it('routes by a new binding through every node as soon as bind-ok has arrived', async () => {
    expect(await raceRoutes(cluster, 300)).toEqual({ published: 300, unrouted: 0 });
  });

  it('answers status through each node', async () => {
    await (await open(cluster, 'warren-0')).assertQueue('seen-in-status', { durable: true });
    for (const { name } of cluster.nodes) {
      const status = await cluster.status(name);
      expect(status.nodes.map(node => [node.name, node.up])).toEqual(cluster.nodes.map(node => [node.name, true]));
      expect(status.queues?.map(queue => queue.name)).toContain('seen-in-status');
    }
  });

  it('keeps its promises when a node of each kind is killed, and then all at once', async () => {
    const random = new SeededRandom(1);
    // So much that a node that comes back needs entries which its leader no longer has in memory.
    const load = await LoadedQueue.start(cluster, {
      queue: 'loaded',
      perSecond: 300,
      bodyBytes: 30_000,
      prefetch: 200,
    });
    await load.kill({ leader: true, publisherOnVictim: false, consumerOnVictim: false }, random);
    await load.kill({ leader: false, publisherOnVictim: true, consumerOnVictim: false }, random);
    await load.kill({ leader: false, publisherOnVictim: false, consumerOnVictim: true }, random);
    await load.healthy();
    await load.killAll();
    await load.drain(30_000);
    const report = checkHistory(load.history);
    expect(report.examples).toEqual([]);
    expect(report.confirmedShare).toBeGreaterThan(0.9);
    expect(summarize(gapsAround(load.history, LEADER_KILLED, 'confirmed')).maxMs).toBeLessThan(2_000);
    expect(cluster.events.filter(({ event }) => event === 'exited').map(({ signal }) => signal)).toEqual(
      Array.from({ length: 6 }, () => 'SIGKILL'),
    );
  }, 120_000);
});

describe('three servers', () => {
  let cluster: ServerCluster;

  beforeAll(async () => {
    cluster = await ServerCluster.start();
  });

  afterAll(() => cluster?.stop());

  it('confirm nothing without a majority, and go on when one node returns', async () => {
    const channel = await open(cluster, 'warren-0');
    await channel.assertQueue('majority', { durable: true });
    await confirmed(channel, 'majority', 'with all');
    await Promise.all(['warren-1', 'warren-2'].map(name => cluster.stopNode(name)));
    let isConfirmed = false;
    const publish = confirmed(channel, 'majority', 'without a majority').then(
      () => {
        isConfirmed = true;
      },
      () => {},
    );
    await delay(3_000);
    expect(isConfirmed).toBe(false);
    cluster.startNode('warren-1');
    await cluster.serving('warren-1', 30_000);
    await publish;
    await eventually('a confirm with two nodes of three', 20_000, async () => {
      await confirmed(await open(cluster, 'warren-1'), 'majority', 'with two');
      return true;
    });
    cluster.startNode('warren-2');
    await cluster.allServing(30_000);
  }, 90_000);

  it('go on with the next consumer of a queue that serves one at a time when the node of the active one is killed', async () => {
    const queue = 'one-at-a-time';
    const options = { durable: true, arguments: { 'x-single-active-consumer': true } };
    await (await open(cluster, 'warren-0')).assertQueue(queue, options);
    const victim = await cluster.leaderOf(queue, 30_000);
    const [other, third] = ['warren-0', 'warren-1', 'warren-2'].filter(name => name !== victim);
    const taken: Record<string, string[]> = { active: [], next: [] };
    const take = (who: string) => (message: ConsumeMessage | null) =>
      taken[who]!.push(`${message?.content.toString()}${message?.fields.redelivered ? ' again' : ''}`);
    const active = await open(cluster, victim);
    await active.prefetch(2);
    await active.consume(queue, take('active'));
    await (await open(cluster, other!)).consume(queue, take('next'));
    const publisher = await open(cluster, third!);
    for (const body of ['a', 'b', 'c', 'd']) await confirmed(publisher, queue, body);
    await eventually('the active consumer to have all it may', 20_000, () => taken.active!.length === 2);
    expect(taken.next).toEqual([]);
    await cluster.stopNode(victim);
    await eventually('the next consumer to take over', 30_000, () => taken.next!.length === 4);
    expect(taken.next).toEqual(['a again', 'b again', 'c', 'd']);
    cluster.startNode(victim);
    await cluster.allServing(30_000);
  }, 90_000);

  it('keep their messages when all of them are stopped and started', async () => {
    const channel = await open(cluster, 'warren-0');
    await channel.assertQueue('kept', { durable: true });
    for (let i = 0; i < 100; i++) channel.sendToQueue('kept', Buffer.from(String(i)), { persistent: true });
    await channel.waitForConfirms();
    await Promise.all(cluster.nodes.map(node => cluster.stopNode(node.name, 'SIGTERM')));
    for (const node of cluster.nodes) cluster.startNode(node.name);
    await cluster.allServing(30_000);
    const consumer = await open(cluster, 'warren-1');
    const bodies: string[] = [];
    await consumer.consume('kept', (message: ConsumeMessage | null) => {
      if (message === null) return;
      bodies.push(message.content.toString());
      consumer.ack(message);
    });
    await eventually('all messages to arrive', 20_000, () => bodies.length >= 100);
    expect(bodies).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
  }, 90_000);
});

describe('five servers', () => {
  let cluster: ServerCluster;

  beforeAll(async () => {
    cluster = await ServerCluster.start({ nodes: 5, readyTimeoutMs: 60_000 });
  }, 90_000);

  afterAll(() => cluster?.stop());

  it('serve a queue through the two that have no replica of it, also when its leader is killed', async () => {
    await (await open(cluster, 'warren-0')).assertQueue('far', { durable: true });
    const leader = await cluster.leaderOf('far', 30_000);
    const { queues, shards } = await cluster.status();
    const shard = queues!.find(({ name }) => name === 'far')!.shard;
    const { replicas } = shards.find(({ id }) => id === shard)!;
    const strangers = cluster.nodes.map(({ name }) => name).filter(name => !replicas.includes(name));
    expect(strangers).toHaveLength(2);
    const arrived: string[] = [];
    const consumer = await open(cluster, strangers[0]!);
    await consumer.consume('far', message => {
      arrived.push(message!.content.toString());
      consumer.ack(message!);
    });
    const publisher = await open(cluster, strangers[1]!);
    const sent = Array.from({ length: 200 }, (_, i) => String(i));
    const publishes = sent.slice(0, 100).map(body => confirmed(publisher, 'far', body));
    await publishes[0];
    cluster.kill(leader);
    publishes.push(...sent.slice(100).map(body => confirmed(publisher, 'far', body)));
    await Promise.all(publishes);
    await eventually('all messages to arrive', 30_000, () => new Set(arrived).size === sent.length);
    expect([...new Set(arrived)]).toEqual(sent);
    expect(await cluster.leaderOf('far', 30_000)).not.toBe(leader);
  }, 120_000);
});
