import { below, type Criterion, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { gapsAround, summarize } from '../test/cluster/gaps.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { signal } from '../test/cluster/owned-processes.ts';
import { delay } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * SIGSTOP of a leader for ten seconds, with the clients on the other nodes and then with the consumer on the stopped one:
 * nothing is lost, doubled or out of order, and clients elsewhere go on.
 *
 *   npm run test:stopped-leader
 */
const STOPPED_MS = 10_000;
const LABEL = 'leader stopped';
const GAP_MAX_MS = 2_000;

await runAcceptance('leader stopped for ten seconds', async () => {
  const cluster = await DevCluster.start();
  try {
    return await stopLeaders(cluster);
  } finally {
    await cluster.stop();
  }
});

async function stopLeaders(cluster: DevCluster): Promise<Criterion[]> {
  const queue = 'loaded';
  const load = await LoadedQueue.start(cluster, { queue, perSecond: 500, bodyBytes: 100, prefetch: 200 });
  for (const consumerOnVictim of [false, true]) {
    await load.healthy();
    const leader = await cluster.leaderOf(queue);
    const [one, other] = cluster.nodes.filter(({ name }) => name !== leader);
    await load.publisher.moveTo(one!.name);
    await load.consumer.moveTo(consumerOnVictim ? leader : other!.name);
    await delay(1_000);
    progress(`stopping ${leader}`);
    load.history.marked(LABEL, leader);
    signal(cluster.node(leader).pid, 'SIGSTOP');
    await delay(STOPPED_MS);
    signal(cluster.node(leader).pid, 'SIGCONT');
    await delay(5_000);
  }
  await load.drain(60_000);
  // A stopped node takes no acks, and closes its clients' connections only when it goes on.
  const laterMs = STOPPED_MS + 5_000;
  const { counts, examples, offered, confirmed } = checkHistory(load.history, { noticeMs: laterMs, settleMs: laterMs });
  for (const { kind, text } of examples) progress(`${kind}: ${text}`);
  const gaps = summarize(gapsAround(load.history, LABEL, 'confirmed'));
  return [
    note('messages offered', offered),
    note('confirmed', confirmed),
    ...Object.entries(counts).map(([kind, count]) => none(kind, count)),
    below('gap for clients elsewhere, max', gaps.maxMs, GAP_MAX_MS, ' ms'),
    none('nodes that exited', cluster.events.filter(({ event }) => event === 'exited').length),
  ];
}
