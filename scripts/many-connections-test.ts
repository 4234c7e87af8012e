import { parseArgs } from 'node:util';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { atLeast, below, type Criterion, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { processorSeconds, residentMiB } from '../test/cluster/process-resources.ts';
import { delay, nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * 2,000 connections with 10,000 channels on one node: what they cost while nothing happens; and, when all of them publish,
 * whether each gets its share. Then half of them vanish without a word, and nothing of them may stay.
 *
 *   npm run test:many-connections [-- --connections 2000] [--channels-each 5]
 */
const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    'channels-each': { type: 'string', default: '5' },
    seconds: { type: 'string', default: '15' },
  },
});
const CONNECTIONS = Number(values.connections);
const CHANNELS_EACH = Number(values['channels-each']);
const PUBLISH_MS = Number(values.seconds) * 1_000;
const MEMORY_MAX_MIB = 500;
const IDLE_SHARE_MAX = 20;
const QUEUES = 20;
/** Of the mean, at least this much for the slowest connection. */
const SHARE_MIN = 0.5;
const OPENED_AT_ONCE = 100;

interface Client {
  readonly connection: ChannelModel;
  readonly channels: readonly Channel[];
  confirmed: number;
}

await runAcceptance(`${CONNECTIONS} connections with ${CHANNELS_EACH} channels each`, async () => {
  const cluster = await DevCluster.start();
  try {
    return await measure(cluster);
  } finally {
    await cluster.stop();
  }
});

async function measure(cluster: DevCluster): Promise<Criterion[]> {
  const { pid } = cluster.node('warren-0');
  const emptyMiB = residentMiB(pid);
  const startMs = nowMs();
  const clients = await openAll(cluster);
  const openedMs = nowMs() - startMs;
  await delay(5_000);
  const openMiB = residentMiB(pid);
  const before = processorSeconds(pid);
  await delay(10_000);
  const idleShare = ((processorSeconds(pid) - before) / 10) * 100;
  progress(`publishing on all connections for ${PUBLISH_MS / 1_000} s`);
  const mostMiB = await publishAll(clients, pid);
  const counts = clients.map(client => client.confirmed).sort((a, b) => a - b);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const left = await vanish(cluster, clients);
  return [
    note('connections and channels opened within, ms', openedMs),
    note('memory of the node before, MiB', emptyMiB),
    below('memory with all of them open', openMiB, MEMORY_MAX_MIB, ' MiB'),
    below('processor share of the node while idle', idleShare, IDLE_SHARE_MAX, ' % of a core'),
    below('most memory while all of them publish', mostMiB, MEMORY_MAX_MIB, ' MiB'),
    note('messages confirmed per second', (mean * counts.length) / (PUBLISH_MS / 1_000)),
    atLeast('share of the slowest connection in the mean', counts[0]! / mean, SHARE_MIN),
    none('queues left of connections that vanished', left),
  ];
}

async function openAll(cluster: DevCluster): Promise<Client[]> {
  const setup = await connect(cluster.url('warren-0'));
  const channel = await setup.createChannel();
  for (let i = 0; i < QUEUES; i++) await channel.assertQueue(`shared-${i}`);
  await setup.close();
  const clients: Client[] = [];
  while (clients.length < CONNECTIONS) {
    const count = Math.min(OPENED_AT_ONCE, CONNECTIONS - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: count }, () => openOne(cluster)))));
    progress(`${clients.length} connections are open`);
  }
  return clients;
}

async function openOne(cluster: DevCluster): Promise<Client> {
  const connection = await connect(cluster.url('warren-0'), { noDelay: true });
  connection.on('error', () => {});
  const channels: Channel[] = [await connection.createConfirmChannel()];
  while (channels.length < CHANNELS_EACH) channels.push(await connection.createChannel());
  return { connection, channels, confirmed: 0 };
}

/** Each connection has ten messages under way all the time. Returns the most memory that the node had. */
async function publishAll(clients: readonly Client[], pid: number): Promise<number> {
  const untilMs = nowMs() + PUBLISH_MS;
  const body = Buffer.alloc(100);
  const publishing = clients.map(async (client, i) => {
    const channel = client.channels[0] as Awaited<ReturnType<ChannelModel['createConfirmChannel']>>;
    while (nowMs() < untilMs) {
      for (let message = 0; message < 10; message++)
        channel.sendToQueue(`shared-${i % QUEUES}`, body, { persistent: true });
      await channel.waitForConfirms();
      if (nowMs() < untilMs) client.confirmed += 10;
    }
  });
  let mostMiB = 0;
  while (nowMs() < untilMs) {
    mostMiB = Math.max(mostMiB, residentMiB(pid));
    await delay(250);
  }
  await Promise.all(publishing);
  return mostMiB;
}

/** Half of the connections declare an exclusive queue, and their sockets are gone. */
async function vanish(cluster: DevCluster, clients: readonly Client[]): Promise<number> {
  const half = clients.slice(0, Math.floor(clients.length / 2));
  progress(`${half.length} connections vanish`);
  await Promise.all(half.map(({ channels }) => channels[0]!.assertQueue('', { exclusive: true })));
  for (const { connection } of half)
    (connection.connection as unknown as { stream: { destroy(): void } }).stream.destroy();
  let left = half.length;
  for (let second = 0; second < 20 && left > 0; second++) {
    await delay(1_000);
    const { queues } = await cluster.status();
    if (queues !== null) left = queues.filter(({ name }) => name.startsWith('amq.gen-')).length;
  }
  return left;
}
