import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { below, type Criterion, fact, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { longestSilenceBetween } from '../test/cluster/gaps.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { signal } from '../test/cluster/owned-processes.ts';
import { delay, nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Sixteen jobs block libuv's thread pool on every node for fifteen seconds. Confirms must go on (R19).
 *
 *   npm run test:blocked-pool
 */
const BLOCKED_MS = 15_000;
const SILENCE_MAX_MS = 1_000;

const directory = mkdtempSync(join(tmpdir(), 'warren-pool-'));
const fifo = join(directory, 'fifo');

await runAcceptance('blocked thread pool', async () => {
  execFileSync('mkfifo', [fifo]);
  const preload = join(import.meta.dirname, '../test/cluster/block-pool.cjs');
  const cluster = await DevCluster.start({
    environment: { NODE_OPTIONS: `--require=${preload}`, BLOCK_POOL_FIFO: fifo },
  });
  try {
    return await block(cluster);
  } finally {
    release();
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});

async function block(cluster: DevCluster): Promise<Criterion[]> {
  const load = await LoadedQueue.start(cluster, { queue: 'loaded', perSecond: 500, bodyBytes: 100, prefetch: 200 });
  await delay(2_000);
  progress('blocking the pools');
  for (const { pid } of cluster.nodes) signal(pid, 'SIGUSR2');
  const startMs = nowMs();
  await delay(BLOCKED_MS);
  const endMs = nowMs();
  progress('releasing them');
  release();
  await load.drain(30_000);
  const report = checkHistory(load.history);
  return [
    below('longest wait for a confirm', silence(load, 'confirmed', startMs, endMs), SILENCE_MAX_MS, ' ms'),
    below('longest wait for a delivery', silence(load, 'delivered', startMs, endMs), SILENCE_MAX_MS, ' ms'),
    none(
      'violations',
      Object.values(report.counts).reduce((sum, count) => sum + count, 0),
    ),
    none('nodes that exited', cluster.events.filter(({ event }) => event === 'exited').length),
    fact('all confirmed', report.confirmed === report.offered, `${report.confirmed} of ${report.offered}`),
    note('nodes', cluster.nodes.length),
  ];
}

function silence(load: LoadedQueue, kind: 'confirmed' | 'delivered', fromMs: number, toMs: number): number {
  return longestSilenceBetween(load.history, kind, fromMs, toMs);
}

/** Readers that wait for a writer get one; without readers there is nothing to release. */
function release(): void {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // ENXIO: nobody waits.
  }
}
