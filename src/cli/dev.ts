import { type ChildProcess, spawn } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { resolve as resolvePath } from 'node:path';
import { SystemClock } from '../lib/clock.ts';
import { usableBytes } from '../process-memory.ts';
import { wholeNumber } from './arguments.ts';
import { type Command, complain } from './command.ts';
import type { ReadyMessage } from './server.ts';

export const DEV_COMMAND: Command = {
  name: 'dev',
  help: 'Run a cluster of three nodes on this machine',
  flags: [
    { name: 'port-offset', value: 'N', help: 'added to every port' },
    { name: 'dir', value: 'DIR', help: 'where the nodes keep their data (default ./.warren)' },
    { name: 'json', help: 'one JSON line when all nodes are ready, and one per exit and start' },
    { name: 'restart', help: 'start a node again when somebody else killed it' },
    { name: 'restart-after', value: 'MS', help: 'with --restart: milliseconds to wait (default 0)' },
  ],
  run: async ({ flags }) => {
    const options = devOptions(flags);
    return typeof options === 'string' ? complain(options) : new DevCluster(options).run();
  },
};

const NODES = 3;
/** A node that has not ended by then does not end by itself. */
const STOP_TIMEOUT_MS = 10_000;
/** Only ever on loopback: the nodes of `warren dev` listen nowhere else. */
const DEV_SECRET = 'warren-dev-on-loopback';
const PORTS = { amqp: 5672, mqtt: 1883, stomp: 61_613, management: 15_672, grpc: 7672, cluster: 25_672 } as const;
/** The highest base port and its node must stay below the end of the port range. */
const OFFSET_MAX = 65_535 - PORTS.stomp - NODES;

interface DevOptions {
  readonly offset: number;
  readonly dir: string;
  readonly isJson: boolean;
  readonly restartAfterMs: number | undefined;
}

function devOptions(flags: ReadonlyMap<string, string>): DevOptions | string {
  const offset = wholeNumber('port-offset', flags.get('port-offset') ?? '0', 0, OFFSET_MAX);
  if (typeof offset === 'string') return offset;
  const after = wholeNumber('restart-after', flags.get('restart-after') ?? '0', 0, 3_600_000);
  if (typeof after === 'string') return after;
  return {
    offset,
    dir: resolvePath(flags.get('dir') ?? '.warren'),
    isJson: flags.has('json'),
    restartAfterMs: flags.has('restart') ? after : undefined,
  };
}

/** A cluster of three nodes on this machine, each a process of its own, exactly as `warren server` runs them. */
class DevCluster {
  readonly #options: DevOptions;
  readonly #clock = new SystemClock();
  readonly #children: (ChildProcess | undefined)[] = [];
  readonly #isReady: boolean[] = [];
  #isAnnounced = false;
  #isStopping = false;
  #finish: (code: number) => void = () => {};

  constructor(options: DevOptions) {
    this.#options = options;
  }

  run(): Promise<number> {
    return new Promise(resolve => {
      this.#finish = resolve;
      for (let i = 0; i < NODES; i++) this.#start(i);
      process.on('SIGINT', () => this.#stop(0));
      process.on('SIGTERM', () => this.#stop(0));
    });
  }

  #start(i: number): void {
    const child = spawn(process.execPath, [process.argv[1]!, 'server'], {
      env: { WARREN_MEMORY_BYTES_MAX: MEMORY_SHARE, ...process.env, ...this.#environment(i) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children[i] = child;
    this.#isReady[i] = false;
    if (this.#isAnnounced) this.#event({ event: 'started', name: nodeName(i), pid: child.pid });
    child.on('message', (message: ReadyMessage) => {
      if (message.ready === undefined) return;
      this.#isReady[i] = true;
      if (this.#isAnnounced) this.#event({ event: 'ready', name: nodeName(i), pid: child.pid });
      else this.#announce();
    });
    child.on('exit', (code, signal) => this.#exited(i, code, signal));
  }

  #environment(i: number): Record<string, string> {
    const { offset, dir } = this.#options;
    const host = '127.0.0.1';
    const peers = Array.from({ length: NODES }, (_, n) => `${nodeName(n)}=${host}:${PORTS.cluster + offset + n}`);
    return {
      WARREN_NODE_NAME: nodeName(i),
      WARREN_DATA_DIR: `${dir}/${nodeName(i)}`,
      WARREN_PEERS: peers.join(','),
      WARREN_SECRET: DEV_SECRET,
      WARREN_LISTEN_HOST: host,
      WARREN_LISTEN_AMQP_HOSTS: hasLoopback6() ? `${host},::1` : host,
      WARREN_LISTEN_AMQP_PORT: String(PORTS.amqp + offset + i),
      WARREN_LISTEN_GRPC_PORT: String(PORTS.grpc + offset + i),
      WARREN_LISTEN_CLUSTER_PORT: String(PORTS.cluster + offset + i),
    };
  }

  #announce(): void {
    if (this.#isReady.filter(Boolean).length < NODES) return;
    this.#isAnnounced = true;
    const nodes = this.#children.map((child, i) => ({
      name: nodeName(i),
      pid: child?.pid,
      ...Object.fromEntries(Object.entries(PORTS).map(([name, port]) => [name, port + this.#options.offset + i])),
    }));
    if (this.#options.isJson) this.#event({ ready: true, nodes });
    else
      process.stdout.write(
        welcome(
          this.#options,
          nodes.map(({ pid }) => pid),
        ),
      );
  }

  #exited(i: number, code: number | null, signal: NodeJS.Signals | null): void {
    this.#children[i] = undefined;
    if (this.#isStopping) {
      if (this.#children.every(child => child === undefined)) this.#finish(0);
      return;
    }
    this.#event({ event: 'exited', name: nodeName(i), ...(signal === null ? { code } : { signal }) });
    if (!this.#isAnnounced && signal === null) {
      // It has said why: a cluster that cannot start is no cluster.
      this.#stop(1);
      return;
    }
    const { restartAfterMs } = this.#options;
    if (restartAfterMs === undefined) {
      if (this.#children.every(child => child === undefined)) this.#finish(1);
      return;
    }
    this.#clock.after(restartAfterMs, () => {
      if (!this.#isStopping) this.#start(i);
    });
  }

  #stop(code: number): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const finish = this.#finish;
    this.#finish = () => finish(code);
    if (this.#children.every(child => child === undefined)) this.#finish(code);
    for (const child of this.#children) child?.kill('SIGTERM');
    this.#clock.after(STOP_TIMEOUT_MS, () => {
      for (const child of this.#children) child?.kill('SIGKILL');
    });
  }

  #event(line: object): void {
    if (this.#options.isJson) process.stdout.write(`${JSON.stringify(line)}\n`);
    else process.stdout.write(`warren: ${JSON.stringify(line)}\n`);
  }
}

/** The nodes share a machine. */
const MEMORY_SHARE = String(Math.floor(usableBytes() / NODES));

const nodeName = (i: number): string => `warren-${i}`;

function welcome(options: DevOptions, pids: readonly (number | undefined)[]): string {
  const port = (base: number, i: number): number => base + options.offset + i;
  const rows = pids.map(
    (pid, i) => `  ${nodeName(i)}   AMQP ${port(PORTS.amqp, i)}   gRPC ${port(PORTS.grpc, i)}   pid ${pid}`,
  );
  const flag = options.offset === 0 ? '' : ` --port-offset ${options.offset}`;
  return `
Warren runs: three nodes, data in ${options.dir}

${rows.join('\n')}

Any AMQP 0-9-1 client can talk to any node as guest/guest. A first message:

  npm run example:publish -- amqp://127.0.0.1:${port(PORTS.amqp, 0)}
  npm run example:consume -- amqp://127.0.0.1:${port(PORTS.amqp, 1)}

What runs where:  npx warren status${flag}
Stop with Ctrl-C.

`;
}

/** Clients that look up `localhost` may be told the address of IPv6 first, or alone. */
const hasLoopback6 = (): boolean =>
  Object.values(networkInterfaces()).some(addresses => addresses?.some(({ address }) => address === '::1'));
