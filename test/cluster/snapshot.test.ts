import { readFileSync } from 'node:fs';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './waiting.ts';
import { ServerCluster } from './warren-cluster.ts';

/** More than a leader keeps for followers that are away (R13), so that only a snapshot helps. */
const FLOW_MESSAGES = 1_800;
const FLOW_BYTES = 64 * 1024;
const BACKLOG_MESSAGES = 300;
const QUEUE = 'snapshot';

let clients: ChannelModel[] = [];

async function open(cluster: ServerCluster, node: string): Promise<ChannelModel> {
  const client = await connect(cluster.url(node), { timeout: 5_000 });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** Publishes bodies and resolves when all are confirmed. */
async function publish(client: ChannelModel, bodies: Iterable<Buffer>): Promise<void> {
  const channel = await client.createConfirmChannel();
  let sent = 0;
  for (const body of bodies) {
    if (!channel.sendToQueue(QUEUE, body, { persistent: true }))
      await new Promise(resolve => channel.once('drain', resolve));
    if (++sent % 100 === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  await channel.close();
}

/** Small ones that share entries, and some that fill one. */
const backlogBody = (number: number): Buffer =>
  Buffer.from(`backlog ${number} ${'.'.repeat(number % 10 === 0 ? 90_000 : number)}`);

const anotherLeader = (cluster: ServerCluster, than: string): Promise<string> =>
  eventually('another leader', 15_000, async () => {
    const name = await cluster.leaderOf(QUEUE);
    return name === than ? undefined : name;
  });

function* flow(): Iterable<Buffer> {
  for (let i = 0; i < FLOW_MESSAGES; i++) yield Buffer.alloc(FLOW_BYTES, `flow ${i} `);
}

/** Takes every message of the queue once, settles those of the flow, and leaves the backlog where it is. */
async function settleFlow(client: ChannelModel): Promise<void> {
  const channel = await client.createChannel();
  await channel.prefetch(2_000);
  let settled = 0;
  await channel.consume(QUEUE, message => {
    if (message === null || !message.content.subarray(0, 4).equals(Buffer.from('flow'))) return;
    channel.ack(message);
    settled++;
  });
  await eventually('the flow to be settled', 20_000, () => settled === FLOW_MESSAGES);
  await channel.close();
}

async function takeAll(client: ChannelModel, count: number): Promise<string[]> {
  const channel = await client.createChannel();
  const bodies: string[] = [];
  await channel.consume(QUEUE, message => {
    if (message === null) return;
    bodies.push(message.content.toString());
    channel.ack(message);
  });
  await eventually(`${count} messages`, 15_000, () => bodies.length >= count);
  await channel.close();
  return bodies;
}

const countIn = (file: string, text: string): number => readFileSync(file, 'utf8').split(text).length - 1;

describe('a node that comes back after the log has gone on without it', () => {
  let cluster: ServerCluster;

  beforeAll(async () => {
    cluster = await ServerCluster.start();
  });

  afterEach(async () => {
    await Promise.allSettled(clients.map(client => client.close()));
    clients = [];
  });

  afterAll(() => cluster?.stop());

  it('is filled by a snapshot, leads, and has every confirmed message', async () => {
    const first = await open(cluster, 'warren-0');
    await (await first.createChannel()).assertQueue(QUEUE, { durable: true });
    const backlog = Array.from({ length: BACKLOG_MESSAGES }, (_, i) => backlogBody(i));
    await publish(first, backlog.slice(0, 100));
    const returning = await cluster.leaderOf(QUEUE);
    await cluster.stopNode(returning);

    const leader = await anotherLeader(cluster, returning);
    const client = await open(cluster, leader);
    await publish(client, backlog.slice(100, 200));
    await publish(client, flow());
    await settleFlow(client);
    cluster.startNode(returning);
    await eventually(
      `${returning} to be filled`,
      15_000,
      () => countIn(cluster.logFile(returning), 'installed a snapshot') > 0,
    );

    // With the leader gone the others go on; what they confirm now the old leader lacks, so it cannot lead again.
    await cluster.stopNode(leader);
    const third = cluster.nodes.find(({ name }) => name !== returning && name !== leader)!.name;
    await anotherLeader(cluster, leader);
    await publish(await open(cluster, third), backlog.slice(200));
    await cluster.stopNode(third);
    cluster.startNode(leader);
    await eventually(`${returning} to lead`, 20_000, async () => (await cluster.leaderOf(QUEUE)) === returning);

    const bodies = await takeAll(await open(cluster, returning), BACKLOG_MESSAGES);
    expect(bodies.sort()).toEqual(backlog.map(String).sort());
  }, 60_000);
});
