import { parseArgs } from 'node:util';
import { below, type Criterion, fact, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { openDeafConsumer, publishInBulk } from '../test/cluster/bulk.ts';
import { longestSilenceBetween } from '../test/cluster/gaps.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { MemoryWatch } from '../test/cluster/process-resources.ts';
import { eventually, nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * A consumer with unlimited prefetch that does not read its socket, while 1,000,000 messages pass into its queue. Memory
 * must stay bounded, and the clients of another queue must not notice.
 *
 *   npm run test:deaf-consumer [-- --messages 1000000]
 */
const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000000' } } });
const MESSAGES = Number(values.messages);
const MEMORY_MAX_MIB = 400;
const SILENCE_MAX_MS = 1_000;

await runAcceptance(`deaf consumer, ${MESSAGES} messages`, async () => {
  const cluster = await DevCluster.start();
  try {
    return await deafen(cluster);
  } finally {
    await cluster.stop();
  }
});

async function deafen(cluster: DevCluster): Promise<Criterion[]> {
  const [first, second] = cluster.nodes;
  const memory = new MemoryWatch(cluster);
  const load = await LoadedQueue.start(cluster, { queue: 'others', perSecond: 200, bodyBytes: 100, prefetch: 200 });
  const deaf = await openDeafConsumer(cluster.url(second!.name), 'deaf');
  const startMs = nowMs();
  const { confirmed } = await publishInBulk(cluster.url(first!.name), {
    queue: 'deaf',
    count: MESSAGES,
    bodyBytes: 100,
    progress: count => progress(`${count} confirmed`),
  });
  const endMs = nowMs();
  const counted = await eventually('status to count the queue', 20_000, async () => {
    const queue = (await cluster.status()).queues?.find(({ name }) => name === 'deaf');
    return queue !== undefined && queue.ready !== null && queue.unacked !== null ? queue : undefined;
  });
  const mostMiB = memory.stop();
  await load.drain(30_000);
  void deaf.close().catch(() => {});
  const { counts } = checkHistory(load.history);
  return [
    fact('all confirmed', confirmed === MESSAGES, String(confirmed)),
    fact('all in the queue', counted.ready! + counted.unacked! === MESSAGES, `${counted.ready} + ${counted.unacked}`),
    note('sent ahead to the deaf consumer', counted.unacked!),
    note('published per second', Math.round(MESSAGES / ((endMs - startMs) / 1_000))),
    below('memory of a node', mostMiB, MEMORY_MAX_MIB, ' MiB'),
    below("longest wait for others' confirms", silence(load, 'confirmed', startMs, endMs), SILENCE_MAX_MS, ' ms'),
    below("longest wait for others' deliveries", silence(load, 'delivered', startMs, endMs), SILENCE_MAX_MS, ' ms'),
    none(
      "violations of others' promises",
      Object.values(counts).reduce((sum, count) => sum + count, 0),
    ),
  ];
}

function silence(load: LoadedQueue, kind: 'confirmed' | 'delivered', fromMs: number, toMs: number): number {
  return longestSilenceBetween(load.history, kind, fromMs, toMs);
}
