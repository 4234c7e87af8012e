import { atLeast, below, type Criterion, none, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { SilentConnections, sendGarbage } from '../test/cluster/bad-clients.ts';
import { longestSilenceBetween } from '../test/cluster/gaps.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { MemoryWatch } from '../test/cluster/process-resources.ts';
import { delay, nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Random bytes on every port that listens, and 1,000 connections that say nothing, while a queue is under load whose
 * clients must not notice.
 *
 *   npm run test:bad-input
 */
const GARBAGE = 600;
const AT_ONCE = 20;
const SILENT = 1_000;
const PATIENCE_MS = 15_000;
/** A connection that has not finished its handshake by then is of no use to anybody. */
const SILENT_MAX_MS = 30_000;
const SILENCE_MAX_MS = 1_000;
const MEMORY_MAX_MIB = 400;

await runAcceptance('bad input', async () => {
  const cluster = await DevCluster.start();
  try {
    return await harass(cluster);
  } finally {
    await cluster.stop();
  }
});

async function harass(cluster: DevCluster): Promise<Criterion[]> {
  const memory = new MemoryWatch(cluster);
  const load = await LoadedQueue.start(cluster, { queue: 'others', perSecond: 500, bodyBytes: 100, prefetch: 200 });
  await delay(1_000);
  const startMs = nowMs();
  const silent = new SilentConnections();
  silent.open(cluster.nodes[0]!.amqp, SILENT);
  progress('sending garbage');
  const left = await sendAllGarbage(cluster);
  progress('waiting for silent connections to be closed');
  while (silent.closed < SILENT && nowMs() - startMs < SILENT_MAX_MS) await delay(100);
  const endMs = nowMs();
  const closed = silent.closed;
  silent.destroy();
  await load.drain(30_000);
  const report = checkHistory(load.history);
  const silence = (kind: 'confirmed' | 'delivered'): number =>
    longestSilenceBetween(load.history, kind, startMs, endMs);
  return [
    none('connections with AMQP garbage left open', left),
    atLeast('silent connections closed', closed, SILENT),
    below("longest wait for others' confirms", silence('confirmed'), SILENCE_MAX_MS, ' ms'),
    below("longest wait for others' deliveries", silence('delivered'), SILENCE_MAX_MS, ' ms'),
    none(
      "violations of others' promises",
      Object.values(report.counts).reduce((sum, count) => sum + count, 0),
    ),
    none(
      "others' connections that ended",
      load.history.connections.filter(({ reason }) => reason !== 'stopped').length,
    ),
    none('nodes that exited', cluster.events.filter(({ event }) => event === 'exited').length),
    below('memory of a node', memory.stop(), MEMORY_MAX_MIB, ' MiB'),
  ];
}

/** Returns how many of the connections to AMQP ports were not closed by the node. */
async function sendAllGarbage(cluster: DevCluster): Promise<number> {
  const clusterPort = 25_672 + cluster.portOffset;
  let left = 0;
  for (let first = 0; first < GARBAGE; first += AT_ONCE) {
    const { amqp, grpc } = cluster.nodes[(first / AT_ONCE) % cluster.nodes.length]!;
    const answers = Array.from({ length: AT_ONCE }, (_, i) => sendGarbage(amqp, first + i, PATIENCE_MS));
    // Whether HTTP/2 servers hang up on garbage is up to them; they must not fall over.
    const others = [grpc, clusterPort].map(port => sendGarbage(port, first / AT_ONCE, 500));
    left += (await Promise.all(answers)).filter(closed => !closed).length;
    await Promise.all(others);
  }
  return left;
}
