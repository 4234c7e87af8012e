import type { BrokerConnection, HoldReason } from '../../src/broker/broker.ts';
import { BrokerFacade } from '../../src/broker/broker-facade.ts';
import { BrokerService } from '../../src/broker/broker-service.ts';
import { ClusterNode } from '../../src/cluster/cluster-node.ts';
import type { ClusterOptions } from '../../src/cluster/cluster-options.ts';
import { decodeFormation, encodeFormation, type Formation } from '../../src/cluster/metadata/formation.ts';
import { NodeLinks } from '../../src/cluster/node-links.ts';
import type { Transport } from '../../src/cluster/transport/transport.ts';
import type { Random } from '../../src/lib/random.ts';
import { SystemPasswordHasher } from '../../src/password-hasher.ts';
import { type MemoryDisk, MemoryDiskStore } from './memory-disk.ts';
import type { Network } from './network.ts';
import { Life, type World, WorldClock } from './world.ts';

export interface ShellNodeOptions {
  readonly name: string;
  readonly names: readonly string[];
  readonly cluster: ClusterOptions;
  readonly diskMsMax: number;
}

export interface ShellNodeDependencies {
  readonly world: World;
  readonly network: Network;
  readonly random: Random;
  readonly disk: MemoryDisk;
  readonly log: (node: string, text: string) => void;
}

/** One life of one node's process: what `node.ts` puts together, without sockets and files. */
export class ShellNode {
  readonly name: string;
  readonly life = new Life();
  readonly broker: BrokerFacade;
  readonly store: MemoryDiskStore;
  readonly memory = { isShort: false };
  readonly clock: WorldClock;
  cluster: ClusterNode | undefined;
  /** Sentence with which the node would have stopped. */
  refusal: string | undefined;
  readonly #options: ShellNodeOptions;
  readonly #deps: ShellNodeDependencies;
  #tokens = 0;
  #diskFreeMs = 0;
  /** Longest time that a write takes. */
  diskMsMax: number;

  constructor(options: ShellNodeOptions, deps: ShellNodeDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.name = options.name;
    this.diskMsMax = options.diskMsMax;
    this.broker = new BrokerFacade({ clusterName: 'shell', nodeName: options.name, version: 'test' });
    this.clock = new WorldClock(deps.world, this.life, deps.random.integer(0, 1_000_000));
    this.store = new MemoryDiskStore(deps.disk, callback => this.#onDisk(callback));
  }

  start(): void {
    const { name, names } = this.#options;
    const saved = this.store.formation;
    const formation = saved && decodeFormation(saved);
    const links: NodeLinks = new NodeLinks(
      {
        nodeName: name,
        clusterName: 'shell',
        directoryId: this.store.directoryId,
        address: `${name}:1`,
        peers: names.map(peer => ({ name: peer, address: `${peer}:1` })),
      },
      {
        logger: this.#logger(),
        formed: found => void this.#formed(found, links),
        impossible: reason => {
          this.refusal = reason;
        },
      },
      formation,
    );
    const begin = async (): Promise<void> => {
      if (formation !== undefined) await this.#join(formation, links);
      links.begin(NO_DIALLING);
      this.#deps.network.join(name, links, this.life);
    };
    void begin();
  }

  /** The process is gone, as with kill -9; or the machine with it, and what was not synced. */
  kill(loss: 'process' | 'power' = 'power'): void {
    if (loss === 'process') this.store.survive(this.#deps.random.integer(0, 4));
    this.life.isOver = true;
    this.#deps.network.leave(this.name);
  }

  get isReady(): boolean {
    return this.hold() === undefined && this.cluster?.hasLeaders() === true && this.broker.service !== undefined;
  }

  /** As in `node.ts`: why publishes on this node have to wait. */
  hold(): HoldReason | undefined {
    if (!this.cluster?.session?.lease.mayRoute(this.clock.monotonicMs())) return { kind: 'no-routing-lease' };
    return this.cluster.nodesShortOfSpace().length > 0 ? { kind: 'alarm', text: 'low on disk' } : undefined;
  }

  /** `closed` is called when the node gives the client up. */
  async connect(listener: {
    held?: () => void;
    resumed?: () => void;
    closed: (reason: string) => void;
  }): Promise<BrokerConnection | undefined> {
    const request = { user: 'guest', vhost: '/', protocol: 'shell', peerAddress: '', clientName: undefined };
    const { held = () => {}, resumed = () => {}, closed } = listener;
    const connected = await this.broker.connect(request, { held, resumed, closed, dismissed: closed });
    return connected.ok ? connected.value : undefined;
  }

  async #formed(formation: Formation, links: NodeLinks): Promise<void> {
    await this.store.saveFormation(encodeFormation(formation));
    await this.#join(formation, links);
  }

  async #join(formation: Formation, links: NodeLinks): Promise<void> {
    const { world, random } = this.#deps;
    const self = formation.members.find(({ directoryId }) => directoryId === this.store.directoryId)!;
    const cluster = new ClusterNode(this.#options.cluster, formation, self.id, {
      store: this.store,
      memory: this.memory,
      clock: this.clock,
      random: random.fork('cluster'),
      logger: this.#logger(),
      defer: callback => world.schedule(0, callback, this.life),
      newToken: () => `${this.name}-${random.integer(0, 1_000_000)}-${this.#tokens++}`,
      newSpillFile: () => ({ write: () => 0, read: () => new Uint8Array(0), reset: () => {}, close: () => {} }),
      listener: {
        sessionStarted: session => {
          const service = new BrokerService(
            {
              identity: this.broker.identity,
              bodyBytesMax: 1024 * 1024,
              connectionsMax: 1_000,
              loopbackUsers: [],
              ahead: { messagesMax: 20, bytesMax: 10_000, bytesFirst: 5_000, nodeBytesMax: 40_000 },
            },
            {
              gateway: session,
              randomBytes: () => Uint8Array.from({ length: 16 }, () => random.integer(0, 255)),
              isLoopback: () => true,
              passwords: new SystemPasswordHasher(),
              wallMs: () => this.clock.wallMs(),
            },
          );
          service.hold(this.hold());
          this.broker.serve(service);
        },
        sessionEnded: reason => {
          const service = this.broker.service;
          this.broker.serve(undefined);
          service?.expel(reason);
        },
        reviewed: () => {
          this.broker.service?.hold(this.hold());
          this.broker.service?.roomMade();
        },
        accessChanged: () => this.broker.service?.reviewAccess(),
      },
    });
    await cluster.start();
    this.cluster = cluster;
    links.attach(cluster);
  }

  /** Writes take a while, one after the other. */
  #onDisk(callback: () => void): void {
    const { world, random } = this.#deps;
    this.#diskFreeMs = Math.max(this.#diskFreeMs, world.nowMs + random.next() * this.diskMsMax);
    world.schedule(this.#diskFreeMs - world.nowMs, callback, this.life);
  }

  /** Nothing is written for so long. */
  hangDisk(ms: number): void {
    this.#diskFreeMs = Math.max(this.#diskFreeMs, this.#deps.world.nowMs + ms);
  }

  #logger() {
    const write = (fields: object, text: string): void =>
      this.#deps.log(
        this.name,
        `${text} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? value.message : value))}`,
      );
    return { info: write, warn: write, error: write };
  }
}

/** The network links processes by itself. */
const NO_DIALLING: Transport = {
  start: async () => ({ ok: true, port: 1 }),
  addPeer: () => {},
  removePeer: () => {},
  link: () => undefined,
  close: async () => {},
};
