import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type BehaviourResult, readResults } from '../test/clients/behaviours.ts';
import {
  CLIENT_PROGRAMS,
  type ClientProgram,
  installPackages,
  missingPackages,
} from '../test/clients/client-programs.ts';
import { RabbitMq } from '../test/clients/rabbitmq.ts';
import { type Criterion, fact, progress, runAcceptance } from '../test/cluster/acceptance.ts';
import { disown, own } from '../test/cluster/owned-processes.ts';
import { nowMs } from '../test/cluster/waiting.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Other people's clients, unmodified, each through the same list of behaviours (test/clients/behaviours.ts), against three nodes or,
 * for comparison, against RabbitMQ. A client that is missing is a failure.
 *
 *   npm run test:clients [-- --broker rabbitmq] [--client bunny] [--install]
 *
 * `--install` fetches missing clients from Debian first, as root. Clients that live on npm are fetched for the run. Programs that
 * have nodes killed are for three nodes only.
 */
const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'warren' },
    client: { type: 'string' },
    install: { type: 'boolean', default: false },
  },
});
const PROGRAM_MAX_MS = 240_000;
/** A killed node is away for so long. */
const AWAY_MS = 1_000;
const programs = CLIENT_PROGRAMS.filter(
  ({ name, kills }) =>
    (values.client === undefined || name === values.client) && (values.broker !== 'rabbitmq' || kills === undefined),
);

interface Broker {
  readonly urls: readonly string[];
  /** kill -9 of a node, which comes back by itself. */
  readonly kill: (number: number) => void;
  /** Until every node serves clients again. */
  readonly whole: () => Promise<void>;
  readonly stop: () => Promise<void> | void;
}

await runAcceptance(`clients against ${values.broker}`, async () => {
  if (programs.length === 0) throw new Error(`there is no client ${values.client}`);
  const missing = missingPackages(programs);
  if (values.install && missing.length > 0) {
    progress(`installing ${missing.join(' ')}`);
    installPackages(missing);
  }
  const folder = mkdtempSync(join(tmpdir(), 'warren-clients-'));
  const broker = await startBroker();
  try {
    const criteria: Criterion[] = [];
    for (const program of programs) {
      criteria.push(...(await drive(program, broker, folder)));
      await broker.whole();
    }
    return criteria;
  } finally {
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

async function startBroker(): Promise<Broker> {
  if (values.broker === 'rabbitmq') {
    const broker = await RabbitMq.start();
    const urls = [broker.url, broker.url, broker.url];
    return { urls, kill: () => {}, whole: async () => {}, stop: () => broker.stop() };
  }
  const cluster = await DevCluster.start({ restartAfterMs: AWAY_MS, readyTimeoutMs: 120_000 });
  return {
    urls: cluster.nodes.map(({ name }) => cluster.url(name)),
    kill: number => cluster.kill(cluster.nodes[number]!.name),
    whole: () => cluster.allServing(),
    stop: () => cluster.stop(),
  };
}

async function drive(program: ClientProgram, broker: Broker, folder: string): Promise<Criterion[]> {
  if (missingPackages([program]).length > 0) {
    return [fact(`${program.name} is installed (${program.packages.join(' ')})`, false)];
  }
  const startMs = nowMs();
  const output = await run([...program.command(folder), ...broker.urls], broker.kill);
  progress(`${program.name}: ${((nowMs() - startMs) / 1_000).toFixed(1)} s`);
  const results = readResults(output, program.behaviours);
  for (const { behaviour, failure } of results) if (failure !== undefined) progress(`  ${behaviour}: ${failure}`);
  return results.map(result => criterion(program, result));
}

function criterion({ name }: ClientProgram, { behaviour, failure }: BehaviourResult): Criterion {
  return fact(`${name}: ${behaviour}`, failure === undefined);
}

/** What the program printed; one that takes too long is killed and has said what it has said. */
function run([command, ...rest]: readonly string[], kill: (number: number) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'], timeout: PROGRAM_MAX_MS });
    let output = '';
    createInterface({ input: child.stdout }).on('line', line => {
      output += `${line}\n`;
      const asked = /^kill (\d)$/.exec(line);
      if (asked !== null) kill(Number(asked[1]));
    });
    child.once('error', reject);
    own(child.pid!);
    child.once('close', () => {
      disown(child.pid!);
      resolve(output);
    });
  });
}
