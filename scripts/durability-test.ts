import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { connect } from 'amqplib';
import { type Criterion, fact, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { checkDurability, type TracedNode } from '../test/cluster/durability-checker.ts';
import { requireStrace, straceCommand } from '../test/cluster/strace.ts';
import { TraceParser } from '../test/cluster/system-calls.ts';
import { ServerCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Watches the system calls of three nodes while 1,000 messages are published with confirms, and compares the time of each
 * confirm with the times of the syncs that cover its message.
 *
 *   npm run test:durability
 *
 * A build that confirms before the sync must fail it: BROKER_PROGRAM=PATH/bin/warren.js names such a build.
 */
const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000' } } });
const MESSAGES = Number(values.messages);
const MAJORITY = 2;
/** So many publishes in flight at most; every so many the publisher waits until all are confirmed. */
const WINDOW = 50;

await runAcceptance(`durability test, ${MESSAGES} confirmed publishes`, async () => {
  requireStrace();
  const cluster = await ServerCluster.start({
    wrap: (name, directory) => straceCommand(traceFile(directory, name)),
    readyTimeoutMs: 60_000,
  });
  try {
    return await watch(cluster);
  } finally {
    await cluster.stop();
  }
});

async function watch(cluster: ServerCluster): Promise<Criterion[]> {
  const first = cluster.nodes[0]!;
  const markers = messageMarkers();
  await publishAll(cluster.url(first.name), markers);
  progress('published; reading the traces');
  for (const node of cluster.nodes) await cluster.stopNode(node.name, 'SIGTERM');
  const nodes: TracedNode[] = [];
  for (const { name } of cluster.nodes)
    nodes.push({ name, calls: await readTrace(traceFile(cluster.directory, name)) });
  const report = checkDurability({ nodes, amqpPort: first.amqp, markers, majority: MAJORITY });
  for (const text of report.early) progress(text);
  return [
    note(
      'system calls read',
      nodes.reduce((sum, { calls }) => sum + calls.length, 0),
    ),
    fact('every publish has a confirm in the trace', report.confirms === MESSAGES, String(report.confirms)),
    note('confirms after a majority had synced', report.durable),
    none('confirms before that', report.earlyCount),
    note('shortest time between the two, ms', report.slackMs),
  ];
}

function messageMarkers(): string[] {
  const nonce = randomBytes(6).toString('hex');
  return Array.from({ length: MESSAGES }, (_, i) => `message-${nonce}-${String(i).padStart(6, '0')}`);
}

async function publishAll(url: string, markers: readonly string[]): Promise<void> {
  const client = await connect(url, { noDelay: true });
  const channel = await client.createConfirmChannel();
  await channel.assertQueue('durability', { durable: true });
  for (const [index, marker] of markers.entries()) {
    channel.sendToQueue('durability', Buffer.from(marker), { persistent: true });
    // Alone in the first tenth, then in batches of growing size.
    const window = Math.max(1, Math.floor((index / markers.length) * WINDOW));
    if (index % window === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  await client.close();
}

async function readTrace(path: string): Promise<TracedNode['calls']> {
  const parser = new TraceParser();
  for await (const line of createInterface({ input: createReadStream(path, 'latin1') })) parser.push(line);
  return parser.calls;
}

function traceFile(directory: string, name: string): string {
  return join(directory, `${name}.trace`);
}
