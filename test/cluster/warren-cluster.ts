import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { freePortOffset } from './free-ports.ts';
import { disown, isAlive, own, signal } from './owned-processes.ts';
import { eventually, nowMs } from './waiting.ts';

/** Another build of the broker can be put to the same tests. */
const PROGRAM = process.env.BROKER_PROGRAM ?? join(import.meta.dirname, '../../bin/warren.js');

export interface ClusterNode {
  readonly name: string;
  readonly amqp: number;
  readonly grpc: number;
  readonly management: number;
  /** Changes with each start. */
  pid: number;
  running: boolean;
}

/** The part of `warren status --json` that tests rely on. */
export interface ClusterStatus {
  readonly nodes: readonly { readonly name: string; readonly up: boolean }[];
  readonly shards: readonly ShardStatus[];
  /** Null while the node has no place in the cluster. */
  readonly queues: readonly QueueStatus[] | null;
}

/** Leader, lag and counts are null while nobody answers for them. */
export interface ShardStatus {
  readonly id: number;
  readonly leader: string | null;
  readonly replicas: readonly string[];
  /** Entries that the slowest replica is behind. */
  readonly lag: number | null;
}

/** Leader and counts are null while nobody answers for them. */
export interface QueueStatus {
  readonly vhost: string;
  readonly name: string;
  readonly shard: number | null;
  readonly leader: string | null;
  readonly ready: number | null;
  readonly unacked: number | null;
  readonly consumers: number | null;
}

export interface ClusterOptions {
  /** Where the nodes keep their data; a temporary directory that is removed by `stop` by default. */
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly readyTimeoutMs?: number;
}

/** A cluster of real processes on free ports. Everything it started ends with `stop`, or with this process. */
export abstract class WarrenCluster {
  readonly directory: string;
  readonly portOffset: number;
  nodes: ClusterNode[] = [];
  /** From the first process's start until every node served clients. */
  readyMs = 0;
  protected readonly environment: NodeJS.ProcessEnv;
  #temporary: boolean;

  protected constructor(portOffset: number, options: ClusterOptions) {
    this.portOffset = portOffset;
    this.#temporary = options.directory === undefined;
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), 'warren-test-'));
    this.environment = { ...process.env, ...options.environment };
  }

  /** Kills and stops everything, and removes what the cluster wrote unless the caller named the directory. */
  abstract stop(): Promise<void>;

  /** Until a killed node runs again: started here, or by the supervisor. It may not serve yet. */
  abstract revive(name: string): Promise<void>;

  node(name: string): ClusterNode {
    const node = this.nodes.find(candidate => candidate.name === name);
    if (node === undefined) throw new Error(`the cluster has no node ${name}`);
    return node;
  }

  url(name: string): string {
    return `amqp://guest:guest@127.0.0.1:${this.node(name).amqp}`;
  }

  /** kill -9, or another signal. Resolves at once; the node may live for some milliseconds. */
  kill(name: string, how: NodeJS.Signals = 'SIGKILL'): void {
    const node = this.node(name);
    if (how === 'SIGKILL' || how === 'SIGTERM') node.running = false;
    signal(node.pid, how);
  }

  /** What `warren status --json` prints when it asks this node. */
  async status(name = this.#someRunningNode().name): Promise<ClusterStatus> {
    const args = [PROGRAM, 'status', '--json', ...this.statusArguments(this.node(name))];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: this.environment, timeout: 10_000 });
    return JSON.parse(stdout) as ClusterStatus;
  }

  /** The node that leads the shard of this queue now. */
  async leaderOf(queue: string, timeoutMs = 10_000): Promise<string> {
    return eventually(`a leader of queue ${queue}`, timeoutMs, async () => {
      const status = await this.status();
      return status.queues?.find(candidate => candidate.name === queue)?.leader ?? undefined;
    });
  }

  /** Until the node opens AMQP connections. */
  async serving(name: string, timeoutMs = 20_000): Promise<void> {
    await eventually(`${name} to serve AMQP`, timeoutMs, async () => {
      const client = await connect(this.url(name), { timeout: 2_000 });
      client.on('error', () => {});
      await client.close();
      return true;
    });
  }

  async allServing(timeoutMs = 20_000): Promise<void> {
    await Promise.all(this.nodes.map(node => this.serving(node.name, timeoutMs)));
  }

  /** Leaves data and logs behind for whoever looks into a failure; returns where. */
  keepDirectory(): string {
    this.#temporary = false;
    return this.directory;
  }

  protected statusArguments(node: ClusterNode): string[] {
    return ['--address', `127.0.0.1:${node.grpc}`];
  }

  protected removeDirectory(): void {
    if (this.#temporary) rmSync(this.directory, { recursive: true, force: true });
  }

  #someRunningNode(): ClusterNode {
    const node = this.nodes.find(candidate => candidate.running);
    if (node === undefined) throw new Error('no node of the cluster is running');
    return node;
  }
}

/** Waits until the process is gone; SIGKILL when it does not go by itself. */
async function ended(pid: number, timeoutMs: number): Promise<void> {
  try {
    await eventually(`process ${pid} to end`, timeoutMs, () => !isAlive(pid));
  } catch {
    signal(pid, 'SIGKILL');
    await eventually(`process ${pid} to end after SIGKILL`, 5_000, () => !isAlive(pid));
  }
  disown(pid);
}

export interface DevClusterOptions extends ClusterOptions {
  /** Nodes that die are started again after so long; without it they stay down. */
  readonly restartAfterMs?: number;
}

/** `warren dev --json`: one supervisor that starts the three nodes and tells about them in JSON lines. */
export class DevCluster extends WarrenCluster {
  /** Lines of `{"event": ...}` as they came. */
  readonly events: {
    readonly event: string;
    readonly name: string;
    readonly signal?: string;
    readonly pid?: number;
  }[] = [];
  readonly #supervisor: ChildProcess;
  #exited = false;
  #ready = false;

  static async start(options: DevClusterOptions = {}): Promise<DevCluster> {
    const cluster = new DevCluster(await freePortOffset(), options);
    const startMs = nowMs();
    try {
      await eventually('warren dev to print that it is ready', options.readyTimeoutMs ?? 30_000, () => {
        if (cluster.#exited) throw new Error(`warren dev exited: ${cluster.#tailOfLog()}`);
        return cluster.#ready;
      });
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    cluster.readyMs = nowMs() - startMs;
    return cluster;
  }

  private constructor(portOffset: number, options: DevClusterOptions) {
    super(portOffset, options);
    const args = ['dev', '--json', '--port-offset', String(portOffset), '--dir', join(this.directory, 'data')];
    if (options.restartAfterMs !== undefined) args.push('--restart', '--restart-after', String(options.restartAfterMs));
    this.#supervisor = spawn(process.execPath, [PROGRAM, ...args], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    own(this.#supervisor.pid!);
    this.#supervisor.once('exit', () => {
      this.#exited = true;
    });
    this.#supervisor.stderr!.pipe(createWriteStream(join(this.directory, 'dev.log')));
    createInterface({ input: this.#supervisor.stdout! }).on('line', line => this.#take(line));
  }

  async revive(name: string): Promise<void> {
    await eventually(`warren dev to start ${name} again`, 30_000, () => this.node(name).running);
  }

  async stop(): Promise<void> {
    // A stopped process would not hear SIGTERM.
    for (const node of this.nodes) signal(node.pid, 'SIGCONT');
    signal(this.#supervisor.pid!, 'SIGTERM');
    await eventually('warren dev to exit', 15_000, () => this.#exited).catch(() => {
      signal(this.#supervisor.pid!, 'SIGKILL');
    });
    disown(this.#supervisor.pid!);
    await Promise.all(this.nodes.map(node => ended(node.pid, 2_000)));
    this.removeDirectory();
  }

  #take(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return;
    }
    if (message.ready === true) {
      this.nodes = (message.nodes as ClusterNode[]).map(node => ({ ...node, running: true }));
      for (const node of this.nodes) own(node.pid);
      this.#ready = true;
    } else if (typeof message.event === 'string') {
      this.#takeEvent(message as unknown as DevCluster['events'][number]);
    }
  }

  #takeEvent(event: DevCluster['events'][number]): void {
    this.events.push(event);
    const node = this.nodes.find(candidate => candidate.name === event.name);
    if (node === undefined) return;
    if (event.event === 'exited') {
      disown(node.pid);
      node.running = false;
    } else if (event.event === 'started' && event.pid !== undefined) {
      node.pid = event.pid;
      own(event.pid);
      node.running = true;
    }
  }

  #tailOfLog(): string {
    return readFileSync(join(this.directory, 'dev.log'), 'utf8').slice(-2_000);
  }
}

export interface ServerClusterOptions extends ClusterOptions {
  /** Three by default. */
  readonly nodes?: number;
  /** Put before the node's own command line; it must leave the node's process as the child (`strace -D` does). */
  readonly wrap?: (name: string, directory: string) => readonly string[];
  /** Arguments for Node itself. */
  readonly nodeArguments?: readonly string[];
  readonly dataDirectory?: (name: string) => string;
  /** More YAML keys, one per line, for every node. */
  readonly configuration?: string;
}

/** `warren server` processes that are started and stopped one by one. */
export class ServerCluster extends WarrenCluster {
  readonly #options: ServerClusterOptions;

  static async start(options: ServerClusterOptions = {}): Promise<ServerCluster> {
    const cluster = new ServerCluster(await freePortOffset(options.nodes), options);
    const startMs = nowMs();
    try {
      for (const node of cluster.nodes) cluster.startNode(node.name);
      await cluster.allServing(options.readyTimeoutMs ?? 30_000);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    cluster.readyMs = nowMs() - startMs;
    return cluster;
  }

  private constructor(portOffset: number, options: ServerClusterOptions) {
    super(portOffset, options);
    this.#options = options;
    this.nodes = Array.from({ length: options.nodes ?? 3 }, (_, index) => ({
      name: `warren-${index}`,
      amqp: 5_672 + index + portOffset,
      grpc: 7_672 + index + portOffset,
      management: 15_672 + index + portOffset,
      pid: 0,
      running: false,
    }));
    for (const node of this.nodes) writeFileSync(this.#configFile(node), this.#configuration(node));
  }

  dataDirectory(name: string): string {
    return this.#options.dataDirectory?.(name) ?? join(this.directory, name);
  }

  logFile(name: string): string {
    return join(this.directory, `${name}.log`);
  }

  startNode(name: string): void {
    const node = this.node(name);
    const wrap = this.#options.wrap?.(name, this.directory) ?? [];
    const command = [
      ...wrap,
      process.execPath,
      ...(this.#options.nodeArguments ?? []),
      PROGRAM,
      'server',
      '--config',
      this.#configFile(node),
    ];
    const log = openSync(this.logFile(name), 'a');
    const child = spawn(command[0]!, command.slice(1), { env: this.environment, stdio: ['ignore', log, log] });
    node.pid = child.pid!;
    node.running = true;
    own(child.pid!);
    child.once('exit', () => {
      disown(child.pid!);
      if (node.pid === child.pid) node.running = false;
    });
  }

  async revive(name: string): Promise<void> {
    const { pid } = this.node(name);
    await ended(pid, 10_000);
    this.startNode(name);
  }

  /** Kills the node and waits until its process is gone. */
  async stopNode(name: string, how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { pid } = this.node(name);
    this.kill(name, how);
    await ended(pid, 15_000);
  }

  async stop(): Promise<void> {
    const started = this.nodes.filter(node => node.pid !== 0);
    for (const node of started) {
      signal(node.pid, 'SIGCONT');
      signal(node.pid, 'SIGTERM');
    }
    await Promise.all(started.map(node => ended(node.pid, 10_000)));
    this.removeDirectory();
  }

  #configFile(node: ClusterNode): string {
    return join(this.directory, `${node.name}.yaml`);
  }

  #configuration(node: ClusterNode): string {
    const clusterPort = (index: number): number => 25_672 + index + this.portOffset;
    const lines = [
      `nodeName: ${node.name}`,
      `dataDir: ${this.dataDirectory(node.name)}`,
      'secret: a-secret-for-tests-only',
      'peers:',
      ...this.nodes.map(({ name }, index) => `  - { name: ${name}, address: "127.0.0.1:${clusterPort(index)}" }`),
      'listen:',
      `  amqpPort: ${node.amqp}`,
      `  grpcPort: ${node.grpc}`,
      `  clusterPort: ${clusterPort(this.nodes.indexOf(node))}`,
      this.#options.configuration ?? '',
    ];
    return `${lines.join('\n')}\n`;
  }
}
