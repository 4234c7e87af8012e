import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
import type { AccessAdministration } from '../../src/broker/access/administration.ts';
import { parseConfig } from '../../src/config.ts';
import { SystemClock } from '../../src/lib/clock.ts';
import { type NodePorts, RunningNode } from '../../src/node.ts';
import { freePortOffset } from '../cluster/free-ports.ts';
import { SetMemory } from './set-memory.ts';

const CLUSTER_PORT = 25_672;

/** Nodes in this process, with disks, sockets and links of their own: for tests that need more of them than a client sees. */
export class RunningCluster {
  readonly nodes: readonly RunningNode[];
  readonly ports: readonly NodePorts[];
  /** What each node takes for its share of memory in use. */
  readonly memory: readonly SetMemory[];
  readonly #directory: string;
  readonly #clients: ChannelModel[] = [];

  private constructor(
    nodes: readonly RunningNode[],
    ports: readonly NodePorts[],
    memory: readonly SetMemory[],
    directory: string,
  ) {
    this.nodes = nodes;
    this.ports = ports;
    this.memory = memory;
    this.#directory = directory;
  }

  static async start(count: number, options: Readonly<Record<string, unknown>> = {}): Promise<RunningCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'warren-test-'));
    const offset = await freePortOffset();
    const names = Array.from({ length: count }, (_, i) => `node-${i}`);
    const peers = names.map((name, i) => ({ name, address: `127.0.0.1:${CLUSTER_PORT + offset + i}` }));
    const memory = names.map(() => new SetMemory());
    const begun = names.map((name, i) => {
      const listen = { amqpPort: 0, grpcPort: 0, clusterPort: CLUSTER_PORT + offset + i };
      const given = { nodeName: name, dataDir: join(directory, name), secret: 'a secret of tests', peers, listen };
      return startNode({ ...given, ...options }, memory[i]!);
    });
    const nodes = await Promise.all(begun);
    const ready = await Promise.all(nodes.map(node => node.ready()));
    const ports = ready.map(node => {
      if (!node.ok) throw new Error(node.error);
      return node.ports;
    });
    return new RunningCluster(nodes, ports, memory, directory);
  }

  administration(node = 0): AccessAdministration {
    const { administration } = this.nodes[node]!;
    if (administration === undefined) throw new Error(`node ${node} has no place in the cluster`);
    return administration;
  }

  /** Rejects as amqplib does. */
  async connect(user: string, { node = 0, password = user, vhost = '/' } = {}): Promise<ChannelModel> {
    const address = `127.0.0.1:${this.ports[node]!.amqp}/${encodeURIComponent(vhost)}`;
    const client = await connect(`amqp://${user}:${password}@${address}`, { noDelay: true });
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#clients.map(client => client.close()));
    await Promise.all(this.nodes.map(node => node.stop()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function startNode(given: Readonly<Record<string, unknown>>, memoryGauge: SetMemory): Promise<RunningNode> {
  const parsed = parseConfig(given, {});
  if (!parsed.ok) throw new Error(parsed.error);
  const silent = (): void => {};
  const logger = { info: silent, warn: silent, error: silent };
  const started = await RunningNode.start(parsed.config, {
    clock: new SystemClock(),
    memoryGauge,
    logger: { ...logger, child: () => logger },
    fatal: sentence => {
      throw new Error(sentence);
    },
  });
  if (!started.ok) throw new Error(started.error);
  return started.node;
}
