import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { own, signal } from '../cluster/owned-processes.ts';
import { eventually } from '../cluster/waiting.ts';

const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const AMQP_PORT = 25_691;
const EPMD_PORT = '24391';
const READY_MS = 180_000;

/** One RabbitMQ of Debian's package with a directory and an epmd of its own, for comparison. */
export class RabbitMq {
  readonly url = `amqp://guest:guest@127.0.0.1:${AMQP_PORT}`;
  readonly #directory: string;
  readonly #pids: readonly number[];

  private constructor(directory: string, pids: readonly number[]) {
    this.#directory = directory;
    this.#pids = pids;
  }

  static async start(): Promise<RabbitMq> {
    const directory = mkdtempSync(join(tmpdir(), 'rabbitmq-'));
    mkdirSync(join(directory, 'mnesia'));
    writeFileSync(join(directory, 'enabled_plugins'), '[].');
    writeFileSync(join(directory, 'rabbitmq.conf'), 'loopback_users = none\nlog.console = false\n');
    writeFileSync(join(directory, 'env'), '');
    // Started here, or the server starts one that outlives it.
    const epmd = spawn('epmd', ['-port', EPMD_PORT, '-address', '127.0.0.1'], { stdio: 'ignore' });
    own(epmd.pid!);
    const child = spawn(SERVER, [], {
      detached: true,
      stdio: 'ignore',
      env: {
        PATH: process.env.PATH,
        HOME: directory,
        LC_ALL: 'C.UTF-8',
        ERL_EPMD_PORT: EPMD_PORT,
        ERL_EPMD_ADDRESS: '127.0.0.1',
        RABBITMQ_NODENAME: 'compared@localhost',
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_NODE_PORT: String(AMQP_PORT),
        RABBITMQ_DIST_PORT: '25791',
        RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
        RABBITMQ_LOG_BASE: join(directory, 'log'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
        RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq'),
        RABBITMQ_CONF_ENV_FILE: join(directory, 'env'),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      },
    });
    // A process group of its own: the shell and the virtual machine end together.
    own(-child.pid!);
    const broker = new RabbitMq(directory, [-child.pid!, epmd.pid!]);
    await eventually('RabbitMQ to serve AMQP', READY_MS, async () => {
      const client = await connect(broker.url, { timeout: 2_000 });
      await client.close();
      return true;
    });
    return broker;
  }

  stop(): void {
    for (const pid of this.#pids) signal(pid, 'SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
