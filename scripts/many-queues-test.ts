import { parseArgs } from 'node:util';
import { connect } from 'amqplib';
import { below, type Criterion, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { MemoryWatch, processorSeconds } from '../test/cluster/process-resources.ts';
import { delay, eventually, nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * 5,000 durable queues declared one after another over one connection; what they cost while nothing happens; and, after the
 * idle time, the first publish and a fail-over.
 *
 *   npm run test:many-queues [-- --queues 5000] [--idle-minutes 10]
 */
const { values } = parseArgs({
  options: { queues: { type: 'string', default: '5000' }, 'idle-minutes': { type: 'string', default: '0.2' } },
});
const QUEUES = Number(values.queues);
const IDLE_MS = Number(values['idle-minutes']) * 60_000;
const DECLARE_MAX_MS = 30_000;
const IDLE_SHARE_MAX = 10;
const FIRST_PUBLISH_MAX_MS = 100;
const FAIL_OVER_MAX_MS = 2_000;

await runAcceptance(`${QUEUES} queues`, async () => {
  const cluster = await DevCluster.start({ restartAfterMs: 1_500 });
  try {
    return await declareAll(cluster);
  } finally {
    await cluster.stop();
  }
});

async function declareAll(cluster: DevCluster): Promise<Criterion[]> {
  const memory = new MemoryWatch(cluster);
  const client = await connect(cluster.url('warren-0'), { noDelay: true });
  const channel = await client.createChannel();
  const startMs = nowMs();
  for (let i = 0; i < QUEUES; i++) await channel.assertQueue(`queue-${i}`, { durable: true });
  const declaredMs = nowMs() - startMs;
  await client.close();
  const idleShare = await idleProcessorShare(cluster);
  const firstPublishMs = await firstPublish(cluster);
  const failOverMs = await failOver(cluster);
  return [
    below('declared within', declaredMs, DECLARE_MAX_MS, ' ms'),
    below('processor share of the idle cluster', idleShare, IDLE_SHARE_MAX, ' % of a core'),
    below('first publish after the idle time', firstPublishMs, FIRST_PUBLISH_MAX_MS, ' ms'),
    below('confirm after the leader died', failOverMs, FAIL_OVER_MAX_MS, ' ms'),
    note('memory of a node, MiB', memory.stop()),
  ];
}

async function idleProcessorShare(cluster: DevCluster): Promise<number> {
  // What the declarations left behind, checkpoints among it, is not idleness.
  await delay(5_000);
  progress(`idle for ${IDLE_MS / 1_000} s`);
  const used = (): number => cluster.nodes.reduce((sum, { pid }) => sum + processorSeconds(pid), 0);
  const before = used();
  await delay(IDLE_MS);
  return ((used() - before) / (IDLE_MS / 1_000)) * 100;
}

/** Through each node, over a connection that was there before: the slowest counts. */
async function firstPublish(cluster: DevCluster): Promise<number> {
  let slowestMs = 0;
  for (const { name } of cluster.nodes) {
    const client = await connect(cluster.url(name), { noDelay: true });
    const channel = await client.createConfirmChannel();
    const startMs = nowMs();
    channel.sendToQueue(`queue-${QUEUES - 1}`, Buffer.from(name), { persistent: true });
    await channel.waitForConfirms();
    slowestMs = Math.max(slowestMs, nowMs() - startMs);
    await client.close();
  }
  return slowestMs;
}

/** From the death of a queue's leader until a survivor's client has a confirm for that queue. */
async function failOver(cluster: DevCluster): Promise<number> {
  const queue = 'queue-0';
  const leader = await cluster.leaderOf(queue);
  const survivor = cluster.nodes.find(node => node.name !== leader)!;
  const client = await connect(cluster.url(survivor.name), { noDelay: true });
  const channel = await client.createConfirmChannel();
  progress(`killing ${leader}`);
  cluster.kill(leader);
  const killedMs = nowMs();
  channel.sendToQueue(queue, Buffer.from('after the leader'), { persistent: true });
  await channel.waitForConfirms();
  const confirmedMs = nowMs() - killedMs;
  await client.close();
  await eventually('the killed node to run again', 20_000, () => cluster.node(leader).running);
  return confirmedMs;
}
