import { parseArgs } from 'node:util';
import { below, type Criterion, fact, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { consumeInBulk, publishInBulk } from '../test/cluster/bulk.ts';
import { MemoryWatch } from '../test/cluster/process-resources.ts';
import { nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * A backlog of 1,000,000 messages of 1 KiB without a consumer: memory while it grows, start after kill -9 of all nodes,
 * and order when it is consumed.
 *
 *   npm run test:backlog [-- --messages 1000000]
 */
const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000000' } } });
const MESSAGES = Number(values.messages);
const BODY_BYTES = 1024;
const MEMORY_MAX_MIB = 400;
const READY_MAX_MS = 15_000;

await runAcceptance(`backlog of ${MESSAGES} messages of 1 KiB`, async () => {
  const cluster = await DevCluster.start({ restartAfterMs: 0 });
  try {
    return await grow(cluster);
  } finally {
    await cluster.stop();
  }
});

async function grow(cluster: DevCluster): Promise<Criterion[]> {
  const [first, second] = cluster.nodes;
  const memory = new MemoryWatch(cluster);
  const startMs = nowMs();
  const { confirmed } = await publishInBulk(cluster.url(first!.name), {
    queue: 'backlog',
    count: MESSAGES,
    bodyBytes: BODY_BYTES,
    progress: count => progress(`${count} confirmed`),
  });
  const publishedMs = nowMs() - startMs;
  const mostMiB = memory.stop();

  progress('killing all nodes');
  for (const node of cluster.nodes) cluster.kill(node.name);
  const killedMs = nowMs();
  await Promise.all(cluster.nodes.map(node => cluster.revive(node.name)));
  await cluster.allServing(120_000);
  await cluster.leaderOf('backlog', 120_000);
  const readyMs = nowMs() - killedMs;

  progress('consuming');
  const drainMemory = new MemoryWatch(cluster);
  const drainMs = nowMs();
  const { numbers, inOrder } = await consumeInBulk(cluster.url(second!.name), 'backlog', MESSAGES, 60_000);
  const perSecond = (ms: number): number => Math.round(MESSAGES / (ms / 1_000));
  return [
    fact('all confirmed', confirmed === MESSAGES, String(confirmed)),
    note('published per second', perSecond(publishedMs)),
    below('memory of a node while it grows', mostMiB, MEMORY_MAX_MIB, ' MiB'),
    below('ready after kill -9 of all', readyMs, READY_MAX_MS, ' ms'),
    fact('all consumed', numbers.length === MESSAGES, String(numbers.length)),
    fact('in order', inOrder),
    note('consumed per second', perSecond(nowMs() - drainMs)),
    note('memory of a node while it is consumed, MiB', drainMemory.stop()),
  ];
}
