import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { below, type Criterion, fact, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { type BulkPublished, consumeInBulk, publishInBulk } from '../test/cluster/bulk.ts';
import { SmallDisks } from '../test/cluster/small-disks.ts';
import { delay, eventually, nowMs } from '../test/cluster/waiting.ts';
import { ServerCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Publishes until the disks are full. Nodes must stay up and hold publishes back; settling goes on, nothing confirmed is
 * lost, and publishing goes on when there is room again. Needs root, for the file systems.
 *
 *   npm run test:full-disk
 */
const DISK_BYTES = 768 * 1024 * 1024;
const BODY_BYTES = 16 * 1024;
const QUEUE = 'filling';
/** Cleaning waits for checkpoints, which idle groups take once a minute. */
const ROOM_MAX_MS = 120_000;

const directory = mkdtempSync(join(tmpdir(), 'warren-disks-'));
const disks = new SmallDisks(directory, DISK_BYTES);

await runAcceptance('full disk', async () => {
  const points = new Map(['warren-0', 'warren-1', 'warren-2'].map(name => [name, disks.mount(name)]));
  const cluster = await ServerCluster.start({ dataDirectory: name => join(points.get(name)!, 'data') });
  try {
    return await fill(cluster);
  } finally {
    await cluster.stop();
    disks.unmount();
    rmSync(directory, { recursive: true, force: true });
  }
});

async function fill(cluster: ServerCluster): Promise<Criterion[]> {
  const [first, second] = cluster.nodes;
  const count = Math.ceil((2 * DISK_BYTES) / BODY_BYTES);
  const published = await publishInBulk(cluster.url(first!.name), {
    queue: QUEUE,
    count,
    bodyBytes: BODY_BYTES,
    patienceMs: 10_000,
  });
  progress(`${published.confirmed} of ${published.sent} confirmed when publishing stopped`);
  const alive = cluster.nodes.filter(({ running }) => running).length;
  const isAlarmed = (await cluster.status()).nodes.some(node => (node as { diskAlarm?: boolean }).diskAlarm === true);

  progress('consuming');
  const { numbers, inOrder } = await consumeInBulk(cluster.url(second!.name), QUEUE, published.sent);
  const lost = lostOf(published, numbers);
  const roomMs = await untilPublishesGoOn(cluster.url(first!.name));
  return [
    fact('publishing stopped before everything was sent', published.confirmed < count),
    note('confirmed', published.confirmed),
    fact('an alarm is shown', isAlarmed),
    fact('all nodes stayed up', alive === cluster.nodes.length, String(alive)),
    none('confirmed and lost', lost),
    fact('consumed in order', inOrder),
    below('publishing went on after', roomMs, ROOM_MAX_MS, ' ms'),
    fact(
      'all nodes are up at the end',
      cluster.nodes.every(({ running }) => running),
    ),
  ];
}

function lostOf({ sent, confirmed, confirmedNumbers }: BulkPublished, consumed: Uint32Array): number {
  const seen = new Set(consumed);
  if (confirmedNumbers === undefined) return confirmed === sent ? sent - seen.size : 0;
  return [...confirmedNumbers].filter(number => !seen.has(number)).length;
}

/** Infinity when they do not. */
async function untilPublishesGoOn(url: string): Promise<number> {
  const startMs = nowMs();
  const isConfirmed = async (): Promise<boolean> => {
    const client = await connect(url, { timeout: 5_000 });
    client.on('error', () => {});
    const channel = await client.createConfirmChannel();
    channel.sendToQueue(QUEUE, Buffer.alloc(BODY_BYTES), { persistent: true });
    const confirmed = await Promise.race([channel.waitForConfirms().then(() => true), delay(5_000, false)]);
    // Closing would wait for a broker that holds publishes back.
    void client.close().catch(() => {});
    return confirmed;
  };
  try {
    await eventually('a publish to be confirmed again', ROOM_MAX_MS, isConfirmed);
    return nowMs() - startMs;
  } catch (error) {
    progress(String(error));
    return Infinity;
  }
}
