import { randomInt } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../src/lib/random.ts';
import { atLeast, below, type Criterion, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { gapsAround, summarize } from '../test/cluster/gaps.ts';
import { checkHistory } from '../test/cluster/history-checker.ts';
import { describeRound, planKills } from '../test/cluster/kill-plan.ts';
import { FOLLOWER_KILLED, LEADER_KILLED, LoadedQueue } from '../test/cluster/loaded-queue.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * kill -9 of one node after another under load, then of all at once, judged by what the clients saw.
 *
 *   npm run test:kill -- --rounds 30 [--seed N] [--per-second 1000] [--body-bytes 100]
 *
 * A history with violations is left behind as JSON lines.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    'per-second': { type: 'string', default: '1000' },
    'body-bytes': { type: 'string', default: '100' },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);

const CONFIRMED_SHARE_MIN = 0.95;
const GAP_MEDIAN_MS = 300;
const GAP_MAX_MS = 2_000;

await runAcceptance(`kill test, ${rounds} rounds, seed ${seed}`, async () => {
  progress(`seed ${seed}`);
  const cluster = await DevCluster.start({ restartAfterMs: 1_500 });
  try {
    return await killRounds(cluster);
  } finally {
    await cluster.stop();
  }
});

async function killRounds(cluster: DevCluster): Promise<Criterion[]> {
  const random = new SeededRandom(seed);
  const load = await LoadedQueue.start(cluster, {
    queue: 'loaded',
    perSecond: Number(values['per-second']),
    bodyBytes: Number(values['body-bytes']),
    prefetch: 200,
  });
  try {
    for (const [index, round] of planKills(rounds, random.fork('plan')).entries()) {
      const victim = await load.kill(round, random.fork(`round ${index}`));
      progress(`round ${index + 1} of ${rounds}: killed ${victim} (${describeRound(round)})`);
    }
    await load.healthy();
    progress('killing all nodes');
    await load.killAll();
    await load.drain(120_000);
  } catch (error) {
    progress(await judgeUnfinished(load));
    progress(`logs and data are in ${cluster.keepDirectory()}`);
    throw error;
  }
  const criteria = await judge(load);
  if (criteria.some(({ holds }) => !holds)) progress(`logs and data are in ${cluster.keepDirectory()}`);
  return criteria;
}

async function judge({ history }: LoadedQueue): Promise<Criterion[]> {
  const report = checkHistory(history);
  const { counts } = report;
  for (const { kind, text } of report.examples) progress(`${kind}: ${text}`);
  const confirms = summarize(gapsAround(history, LEADER_KILLED, 'confirmed'));
  const deliveries = summarize(gapsAround(history, LEADER_KILLED, 'delivered'));
  const followers = summarize(gapsAround(history, FOLLOWER_KILLED, 'confirmed'));
  const criteria = [
    note('messages offered', report.offered),
    note('of these while disconnected', report.unsent),
    note('refused', report.refused),
    note('delivered', report.delivered),
    note('repeated deliveries', report.repeated),
    atLeast('share confirmed', report.confirmedShare, CONFIRMED_SHARE_MIN),
    none('confirmed and lost', counts.lost),
    none('never published', counts['unknown-message']),
    none('out of order', counts.order),
    none('repeated without redelivered', counts['unflagged-repeat']),
    none('redelivered although held', counts['needless-redelivery']),
    none('redelivered although settled', counts['settled-again']),
    note('leader deaths seen by survivors', confirms.count),
    ...gapCriteria('confirms', confirms),
    ...gapCriteria('deliveries', deliveries),
    ...(followers.count === 0 ? [] : [note('gap when a follower dies, max ms', followers.maxMs)]),
  ];
  if (criteria.some(({ holds }) => !holds)) await leaveHistory(history);
  return criteria;
}

function gapCriteria(what: string, gaps: { count: number; medianMs: number; maxMs: number }): Criterion[] {
  if (gaps.count === 0) return [];
  return [
    below(`gap in ${what}, median`, gaps.medianMs, GAP_MEDIAN_MS, ' ms'),
    below(`gap in ${what}, max`, gaps.maxMs, GAP_MAX_MS, ' ms'),
  ];
}

async function judgeUnfinished({ history }: LoadedQueue): Promise<string> {
  await leaveHistory(history);
  const { offered, confirmed, delivered, counts } = checkHistory(history);
  return `until then: ${JSON.stringify({ offered, confirmed, delivered, counts })}`;
}

async function leaveHistory(history: LoadedQueue['history']): Promise<void> {
  const path = join(tmpdir(), `warren-history-${seed}.jsonl`);
  await history.writeTo(path);
  progress(`history written to ${path}`);
}
