import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { below, type Criterion, fact, none, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { consumeInBulk, publishInBulk } from '../test/cluster/bulk.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { SmallDisks } from '../test/cluster/small-disks.ts';
import { delay, eventually, nowMs } from '../test/cluster/waiting.ts';
import { ServerCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Another program takes the last byte of a node's file system at once, then of all three, while messages flow: no alarm
 * can come in time. Publishes wait, a backlog can be consumed, a node that is killed meanwhile comes back, and everything
 * goes on when the room is there again. Needs root, for the file systems.
 *
 *   node scripts/run.mjs taken-disk-test
 */
const DISK_BYTES = 1024 * 1024 * 1024;
const BACKLOG = 20_000;
const BODY_BYTES = 16 * 1024;
const FULL_MS = 8_000;
const GOES_ON_MAX_MS = 10_000;

const directory = mkdtempSync(join(tmpdir(), 'warren-taken-'));
const disks = new SmallDisks(directory, DISK_BYTES);

await runAcceptance('disk taken by another program', async () => {
  const points = new Map(['warren-0', 'warren-1', 'warren-2'].map(name => [name, disks.mount(name)]));
  const cluster = await ServerCluster.start({ dataDirectory: name => join(points.get(name)!, 'data') });
  try {
    return await take(cluster, points);
  } finally {
    await cluster.stop();
    disks.unmount();
    rmSync(directory, { recursive: true, force: true });
  }
});

async function take(cluster: ServerCluster, points: ReadonlyMap<string, string>): Promise<Criterion[]> {
  const [first, second, third] = cluster.nodes;
  const { confirmed } = await publishInBulk(cluster.url(first!.name), {
    queue: 'backlog',
    count: BACKLOG,
    bodyBytes: BODY_BYTES,
  });
  const load = await LoadedQueue.start(cluster, { queue: 'others', perSecond: 300, bodyBytes: 1024, prefetch: 100 });
  await delay(2_000);

  progress('taking the disk of one node');
  let release = fill([points.get(first!.name)!]);
  await delay(FULL_MS);
  const confirmsWhileOneIsFull = await confirmedWithin(load, 2_000);
  const some = await consumeInBulk(cluster.url(second!.name), 'backlog', BACKLOG / 10, 10_000);
  release();
  const oneGoesOnMs = await untilConfirmed(load);
  const aliveAfterOne = cluster.nodes.filter(({ running }) => running).length;

  progress('taking the disks of all');
  release = fill([...points.values()]);
  await delay(FULL_MS);
  const confirmsWhileAllAreFull = await confirmedWithin(load, 2_000);
  const rest = await consumeInBulk(cluster.url(third!.name), 'backlog', BACKLOG - some.numbers.length, 15_000);
  progress(`${rest.numbers.length} consumed, killing a node whose disk is full`);
  await cluster.stopNode(second!.name);
  cluster.startNode(second!.name);
  const isBack = await cluster.serving(second!.name, 20_000).then(
    () => true,
    () => false,
  );
  release();
  if (!isBack) {
    if (!second!.running) cluster.startNode(second!.name);
    await cluster.serving(second!.name, 20_000);
  }
  const allGoOnMs = await untilConfirmed(load);
  await load.drain(30_000);
  const left = (await cluster.status()).queues?.find(({ name }) => name === 'backlog');
  const { counts } = checkHistory(load.history);
  return [
    fact('the backlog was confirmed', confirmed === BACKLOG, String(confirmed)),
    none('confirms while one disk is full', confirmsWhileOneIsFull),
    fact('consumed while one disk is full', some.numbers.length === BACKLOG / 10, String(some.numbers.length)),
    below('publishing goes on after', oneGoesOnMs, GOES_ON_MAX_MS, ' ms'),
    fact('all nodes stayed up', aliveAfterOne === cluster.nodes.length, String(aliveAfterOne)),
    none('confirms while all disks are full', confirmsWhileAllAreFull),
    fact(
      'consumed while all disks are full',
      rest.numbers.length === BACKLOG - some.numbers.length,
      String(rest.numbers.length),
    ),
    fact('all consumed in order', some.inOrder && rest.inOrder),
    none('left of the backlog', (left?.ready ?? 0) + (left?.unacked ?? 0)),
    fact('a node came back with its disk full', isBack),
    below('publishing goes on after', allGoOnMs, GOES_ON_MAX_MS, ' ms'),
    none(
      'violations of promises',
      Object.values(counts).reduce((sum, count) => sum + count, 0),
    ),
  ];
}

/** Writes until nothing fits any more; the answer gives the room back. */
function fill(points: readonly string[]): () => void {
  const files = points.map(point => join(point, 'taken'));
  for (const file of files) {
    const descriptor = openSync(file, 'w');
    for (let bytes = 1024 * 1024; bytes >= 512; ) {
      try {
        writeSync(descriptor, new Uint8Array(bytes));
      } catch {
        bytes /= 2;
      }
    }
    closeSync(descriptor);
  }
  return () => {
    for (const file of files) rmSync(file);
  };
}

function confirmedSoFar({ history }: LoadedQueue): number {
  let confirmed = 0;
  for (let i = 0; i < history.length; i++) if (history.at(i).kind === 'confirmed') confirmed++;
  return confirmed;
}

async function confirmedWithin(load: LoadedQueue, ms: number): Promise<number> {
  const before = confirmedSoFar(load);
  await delay(ms);
  return confirmedSoFar(load) - before;
}

async function untilConfirmed(load: LoadedQueue): Promise<number> {
  const startMs = nowMs();
  const before = confirmedSoFar(load);
  await eventually('a publish to be confirmed again', 60_000, () => confirmedSoFar(load) > before);
  return nowMs() - startMs;
}
