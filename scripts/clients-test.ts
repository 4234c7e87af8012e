import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Other people's clients, unmodified, each through the same list of behaviours (test/clients/behaviours.ts), against three nodes or,
 * for comparison, against RabbitMQ. A client that is missing is a failure.
 *
 *   npm run test:clients [-- --broker rabbitmq] [--client bunny] [--install]
 *
 * `--install` fetches missing clients from Debian first, as root.
 */
const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'warren' },
    client: { type: 'string' },
    install: { type: 'boolean', default: false },
  },
});
const PROGRAM_MAX_MS = 180_000;
const programs = CLIENT_PROGRAMS.filter(({ name }) => values.client === undefined || name === values.client);

await runAcceptance(`clients against ${values.broker}`, async () => {
  if (programs.length === 0) throw new Error(`there is no client ${values.client}`);
  if (values.install) installPackages(missingPackages(programs));
  const folder = mkdtempSync(join(tmpdir(), 'warren-clients-'));
  const { urls, stop } = await startBroker();
  try {
    const criteria: Criterion[] = [];
    for (const program of programs) criteria.push(...(await drive(program, urls, folder)));
    return criteria;
  } finally {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

async function startBroker(): Promise<{ readonly urls: readonly string[]; readonly stop: () => Promise<void> | void }> {
  if (values.broker === 'rabbitmq') {
    const broker = await RabbitMq.start();
    return { urls: [broker.url, broker.url, broker.url], stop: () => broker.stop() };
  }
  const cluster = await DevCluster.start({});
  return { urls: cluster.nodes.map(({ name }) => cluster.url(name)), stop: () => cluster.stop() };
}

async function drive(program: ClientProgram, urls: readonly string[], folder: string): Promise<Criterion[]> {
  if (missingPackages([program]).length > 0) {
    return [fact(`${program.name} is installed (${program.packages.join(' ')})`, false)];
  }
  progress(program.name);
  const output = await run([...program.command(folder), ...urls]);
  const results = readResults(output, program.behaviours);
  for (const { behaviour, failure } of results) if (failure !== undefined) progress(`  ${behaviour}: ${failure}`);
  return results.map(result => criterion(program, result));
}

function criterion({ name }: ClientProgram, { behaviour, failure }: BehaviourResult): Criterion {
  return fact(`${name}: ${behaviour}`, failure === undefined);
}

/** What the program printed; one that takes too long is killed and has said what it has said. */
function run([command, ...rest]: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'], timeout: PROGRAM_MAX_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    own(child.pid!);
    child.once('close', () => {
      disown(child.pid!);
      resolve(output);
    });
  });
}
