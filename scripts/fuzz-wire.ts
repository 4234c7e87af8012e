import { readdirSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { below, type Criterion, fact, none, note, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { HeldMemory } from '../test/cluster/held-memory.ts';
import { residentMiB } from '../test/cluster/process-resources.ts';
import { eventually, nowMs } from '../test/cluster/waiting.ts';
import { type ClusterNode, DevCluster } from '../test/cluster/warren-cluster.ts';
import { joined } from '../test/support/amqp-client.ts';
import { HELLO_BYTES } from '../test/support/raw-client.ts';
import { conversationArb } from '../test/support/wire-arbitraries.ts';
import { Witness } from '../test/support/witness.ts';

/**
 * Conversations that are malformed in every way the structure of AMQP has, each on a connection of its own to a live node,
 * while a well-behaved client publishes and consumes on the same node. The same seed sends the same bytes.
 *
 *   node scripts/run.mjs fuzz-wire [--inputs 100000] [--seed N]
 */
const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { inputs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const INPUTS = Number(values.inputs);
const SEED = Number(values.seed);
const AT_ONCE = 32;
/** Made at a time: making them must not keep the witness, which lives in this process, from its work. */
const SAMPLES = 10;
/** A node may wait for answers of the cluster, and for the one to its own connection.close. What takes longer is stuck. */
const PATIENCE_MS = 60_000;
const ROUND_TRIP_MAX_MS = 5_000;
const MIB = 1024 * 1024;
/**
 * Of each input of the second half, garbage left aside. One in four leaves an entry in the window behind a checkpoint, which
 * fills up to a bound (`trailingEntries`); the least that could leak of a connection or channel is larger than this.
 */
const LEAK_MAX_BYTES = 250;
/** Between the seeds of the two halves: workers have seeds of their own. */
const SEEDS_APART = 500_000_000;

await runAcceptance(`${INPUTS} malformed conversations, seed ${SEED}`, async () => {
  const memory = new HeldMemory();
  const cluster = await DevCluster.start({ environment: memory.environment, readyTimeoutMs: 120_000 });
  try {
    return await harass(cluster, memory);
  } finally {
    await cluster.stop();
    memory.close();
  }
});

async function harass(cluster: DevCluster, memory: HeldMemory): Promise<Criterion[]> {
  const node = cluster.nodes[0]!;
  const { amqp, pid } = node;
  // The first inputs make the node what it is under load; growth is counted from there.
  const witness = await Witness.start(amqp);
  await sendAll(node, Math.min(INPUTS, 2_000), SEED + 1);
  const socketsBefore = openSockets(pid);
  const startMs = nowMs();
  const heldMiB = [await memory.of(pid)];
  let stuck = 0;
  for (const half of [0, 1]) {
    stuck += await sendAll(node, INPUTS / 2, SEED + half * SEEDS_APART);
    heldMiB.push(await memory.of(pid));
  }
  const seconds = (nowMs() - startMs) / 1_000;
  await eventually('sockets to be closed', PATIENCE_MS, () => openSockets(pid) <= socketsBefore).catch(() => {});
  const longestMs = await witness.stop();
  return [
    note('inputs per second', INPUTS / seconds),
    none('connections that the node left open', stuck),
    none('sockets more than before', Math.max(0, openSockets(pid) - socketsBefore)),
    note('memory held before, half way and at the end, MiB', heldMiB.map(held => held.toFixed(1)).join(', ')),
    below(
      'memory held more than half way',
      heldMiB[2]! - heldMiB[1]!,
      Math.ceil((LEAK_MAX_BYTES * (INPUTS / 2)) / MIB),
      ' MiB',
    ),
    note('resident memory at the end, MiB', residentMiB(pid)),
    none('nodes that exited', cluster.events.filter(({ event }) => event === 'exited').length),
    below('longest round trip of a well-behaved client', longestMs, ROUND_TRIP_MAX_MS, ' ms'),
    fact('a new client is served', (await (await Witness.start(amqp)).stop()) > 0),
  ];
}

/** Returns how many connections the node did not close. */
async function sendAll({ amqp, pid }: ClusterNode, count: number, seed: number): Promise<number> {
  let stuck = 0;
  let sent = 0;
  const worker = async (number: number): Promise<void> => {
    for (let round = 0; sent < count; round++) {
      const inputs = fc.sample(conversationArb, { seed: seed + number * 1_000_003 + round, numRuns: SAMPLES });
      for (const input of inputs) {
        if (sent >= count) return;
        if (++sent % 10_000 === 0) progress(`${sent} sent, ${residentMiB(pid).toFixed(0)} MiB`);
        if (!(await converse(amqp, input, sent))) stuck++;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => worker(number)));
  return stuck;
}

/** Some clients say goodbye to the socket, some just vanish. Whether the node closed the connection. */
function converse(port: number, input: Uint8Array, number: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connectSocket(port, '127.0.0.1');
    const timer = setTimeout(() => end(false), PATIENCE_MS);
    const end = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(closed);
    };
    socket.on('error', () => {});
    socket.on('close', () => end(true));
    socket.resume();
    const bytes = joined(HELLO_BYTES, input);
    if (number % 4 === 0) socket.write(bytes, () => end(true));
    else socket.end(bytes);
  });
}

function openSockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
