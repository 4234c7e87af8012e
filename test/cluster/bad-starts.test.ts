import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disown, own } from './owned-processes.ts';
import { ServerCluster } from './warren-cluster.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/warren.js');
const EXIT_MAX_MS = 20_000;

interface End {
  readonly code: number | null;
  /** What stands on standard error behind the log lines. */
  readonly sentences: readonly string[];
}

/** Runs `warren` until it ends by itself. */
function run(given: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<End> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [PROGRAM, ...given], {
      env: { ...process.env, WARREN_LOG_FORMAT: 'json', ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: EXIT_MAX_MS,
      killSignal: 'SIGKILL',
    });
    own(child.pid!);
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    child.once('close', code => {
      disown(child.pid!);
      resolve({ code, sentences: text.split('\n').filter(line => line !== '' && !line.startsWith('{')) });
    });
  });
}

async function expectSentence(end: Promise<End>, sentence: string | RegExp): Promise<void> {
  const { code, sentences } = await end;
  expect(sentences).toHaveLength(1);
  expect(sentences[0]).toMatch(sentence);
  expect(code).toBe(1);
}

describe('a node that cannot start', () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'warren-starts-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const alone = (name: string, more: Record<string, string> = {}): Record<string, string> => ({
    WARREN_DATA_DIR: join(directory, name),
    WARREN_LISTEN_AMQP_PORT: '0',
    WARREN_LISTEN_GRPC_PORT: '0',
    WARREN_LISTEN_CLUSTER_PORT: '0',
    ...more,
  });

  it('names an unknown key, a wrong value, an unknown flag and a missing file', async () => {
    writeFileSync(join(directory, 'wrong.yaml'), 'nodename: a\n');
    await expectSentence(run(['server', '--config', join(directory, 'wrong.yaml')]), /did you mean nodeName\?/);
    await expectSentence(run(['server'], alone('a', { WARREN_LISTEN_AMQP_PORT: 'x' })), /it must be a whole number/);
    await expectSentence(run(['server', '--confg', 'x']), /did you mean --config/);
    await expectSentence(run(['server', '--config', join(directory, 'none.yaml')]), /cannot be read/);
    await expectSentence(run(['serve']), /there is no command "serve"/);
  });

  it.each([
    ['WARREN_LISTEN_AMQP_PORT', 'listen.amqpPort'],
    ['WARREN_LISTEN_GRPC_PORT', 'listen.grpcPort'],
    ['WARREN_LISTEN_CLUSTER_PORT', 'listen.clusterPort'],
  ])('names the port of %s when another process has it', async (variable, option) => {
    const taken = createServer();
    const port = await new Promise<number>(resolve => {
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
    });
    try {
      await expectSentence(
        run(['server'], alone(variable, { [variable]: String(port) })),
        new RegExp(`${port}.*${option}`),
      );
    } finally {
      taken.close();
    }
  });

  it('names a host that has no address, and a data directory that is a file', async () => {
    await expectSentence(run(['server'], alone('b', { WARREN_LISTEN_HOST: 'no-such-host.invalid' })), /listen\.host/);
    writeFileSync(join(directory, 'file'), '');
    await expectSentence(run(['server'], alone('file')), /data directory .*file cannot be used/);
  });
});

describe('a node that does not belong to the cluster of its peers', () => {
  let cluster: ServerCluster;
  let directory: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'warren-strangers-'));
    cluster = await ServerCluster.start();
  }, 60_000);
  afterEach(() => cluster.allServing());
  afterAll(async () => {
    await cluster.stop();
    rmSync(directory, { recursive: true });
  });

  const second = (more: Record<string, string>): Promise<End> =>
    run(['server', '--config', join(cluster.directory, 'warren-2.yaml')], {
      WARREN_LISTEN_AMQP_PORT: '0',
      WARREN_LISTEN_GRPC_PORT: '0',
      WARREN_LISTEN_CLUSTER_PORT: '0',
      ...more,
    });

  it('ends when its data directory is in use', async () => {
    await expectSentence(second({}), /data directory .* (in use|another process)/);
  }, 30_000);

  it('ends when another node has its name', async () => {
    mkdirSync(join(directory, 'twin'));
    await expectSentence(second({ WARREN_DATA_DIR: join(directory, 'twin') }), /two nodes are named 'warren-2'/);
  }, 30_000);

  it('ends when it does not know the secret', async () => {
    mkdirSync(join(directory, 'other'));
    const environment = { WARREN_DATA_DIR: join(directory, 'other'), WARREN_SECRET: 'another secret of the cluster' };
    await expectSentence(second(environment), /the shared secret differs/);
  }, 30_000);
});
