import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { AlarmLog, alarmText } from './alarms.ts';
import { type AccessAdministration, ClusterAccessAdministration } from './broker/access/administration.ts';
import type { HoldReason } from './broker/broker.ts';
import { BrokerFacade } from './broker/broker-facade.ts';
import { BrokerService } from './broker/broker-service.ts';
import { ClusterLists } from './cluster/cluster-lists.ts';
import { ClusterNode } from './cluster/cluster-node.ts';
import { type ClusterStatus, StatusCollector } from './cluster/cluster-status.ts';
import { decodeFormation, encodeFormation, type Formation } from './cluster/metadata/formation.ts';
import { NodeLinks } from './cluster/node-links.ts';
import type { NodeSession } from './cluster/node-session.ts';
import { GrpcTransport } from './cluster/transport/grpc-transport.ts';
import type { Config } from './config.ts';
import { LIMITS, TIMING } from './config.ts';
import { DiskStore } from './disk-store.ts';
import type { Clock } from './lib/clock.ts';
import { type Random, SeededRandom } from './lib/random.ts';
import type { RootLogger } from './logging.ts';
import { Management } from './management/management.ts';
import { type MemoryGauge, MemoryRoom } from './memory-room.ts';
import { clusterOptions, transportBounds } from './node-options.ts';
import { SystemPasswordHasher } from './password-hasher.ts';
import { decodeProperties, encodeProperties } from './protocols/amqp/properties.ts';
import { checkPublished } from './protocols/amqp/published-properties.ts';
import { AmqpServer } from './protocols/amqp/server.ts';
import { GrpcServer } from './protocols/grpc/server.ts';
import { DiskSpillFile } from './storage/spill-file.ts';
import { VERSION } from './version.ts';

export interface NodePorts {
  readonly amqp: number;
  readonly grpc: number;
  readonly cluster: number;
}

export interface NodeDependencies {
  readonly clock: Clock;
  readonly logger: RootLogger;
  readonly memoryGauge: MemoryGauge;
  /** Something is wrong that this process cannot mend: it must end with this sentence. */
  readonly fatal: (sentence: string) => void;
}

/** What a start came to: a running node, or one sentence that says what to do. */
export type NodeStart =
  | { readonly ok: true; readonly node: RunningNode }
  | { readonly ok: false; readonly error: string };

/** A node that serves clients, or one sentence that says what to do. */
export type NodeReady =
  | { readonly ok: true; readonly ports: NodePorts }
  | { readonly ok: false; readonly error: string };

/** One node with everything in it: the only place where the parts meet. */
export class RunningNode {
  readonly #config: Config;
  readonly #deps: NodeDependencies;
  readonly #store: DiskStore;
  readonly #transport: GrpcTransport;
  readonly #links: NodeLinks;
  readonly #random: Random = new SeededRandom(randomBytes(4).readUInt32BE());
  readonly #broker: BrokerFacade;
  readonly #amqp: AmqpServer;
  readonly #grpc: GrpcServer;
  #cluster: ClusterNode | undefined;
  #lists: ClusterLists | undefined;
  #status: StatusCollector | undefined;
  #management: Management | undefined;
  #readyWaiters: (() => void)[] = [];
  #isReady = false;
  readonly #memory: MemoryRoom;
  readonly #alarms: AlarmLog;
  #clusterPort = 0;

  private constructor(
    config: Config,
    deps: NodeDependencies,
    store: DiskStore,
    listenHost: string,
    formation: Formation | undefined,
  ) {
    this.#config = config;
    this.#deps = deps;
    this.#store = store;
    const { clock, logger, memoryGauge } = deps;
    const highWatermark = config.memoryHighWatermarkPercent / 100;
    this.#memory = new MemoryRoom({ highWatermark, checkMs: TIMING.memoryCheckMs }, { clock, gauge: memoryGauge });
    this.#alarms = new AlarmLog(logger);
    this.#broker = new BrokerFacade({ clusterName: config.clusterName, nodeName: config.nodeName, version: VERSION });
    const own = config.peers.find(peer => peer.name === config.nodeName);
    this.#links = new NodeLinks(
      {
        nodeName: config.nodeName,
        clusterName: config.clusterName,
        directoryId: store.directoryId,
        address: own?.address ?? `${listenHost}:${config.listen.clusterPort}`,
        peers: config.peers,
      },
      {
        logger: logger.child({ component: 'links' }),
        formed: found => void this.#formed(found),
        impossible: deps.fatal,
      },
      formation,
    );
    this.#transport = new GrpcTransport(
      { listenHost, listenPort: config.listen.clusterPort, secret: config.secret, bounds: transportBounds },
      { listener: this.#links, clock, random: this.#random.fork('transport') },
    );
    this.#amqp = new AmqpServer(
      {
        hosts: amqpHosts(config),
        port: config.listen.amqpPort,
        limits: {
          connectionsMax: config.connectionsMax,
          messageBytesMax: config.messageBytesMax,
          channelMax: config.channelMax,
          frameBytesMax: config.frameBytesMax,
        },
      },
      { broker: this.#broker, clock, logger: logger.child({ component: 'amqp' }) },
    );
    this.#grpc = new GrpcServer(
      {
        host: config.listen.host,
        port: config.listen.grpcPort,
        limits: { connectionsMax: config.connectionsMax, messageBytesMax: config.messageBytesMax },
      },
      {
        broker: this.#broker,
        clock,
        logger: logger.child({ component: 'grpc' }),
        propertyCodec: {
          encode: encodeProperties,
          decode: decodeProperties,
          findFault: (bytes, author) => checkPublished(bytes, 0, bytes.length, author)?.text,
        },
        status: this,
        management: () => this.#management,
      },
    );
  }

  /** Resolves when the node's disk and its port for other nodes are there; `ready` tells when it serves clients. */
  static async start(config: Config, deps: NodeDependencies): Promise<NodeStart> {
    const { clock, logger, fatal } = deps;
    const opened = await DiskStore.open(
      { directory: config.dataDir, freeBytesMin: config.diskFreeBytesMin },
      { clock, logger: logger.child({ component: 'store' }), failed: fatal },
    );
    if (!opened.ok) return opened;
    const { store } = opened;
    const saved = store.formation;
    const formation = saved && decodeFormation(saved);
    const problem = checkFormation(config, store, saved, formation);
    if (problem !== undefined) return { ok: false, error: problem };
    const listenHost = await addressOf(config.listen.host);
    if (listenHost === undefined) {
      return {
        ok: false,
        error: `"listen.host" is ${config.listen.host}, which has no address; set it to one of this machine's`,
      };
    }
    const node = new RunningNode(config, deps, store, listenHost, formation);
    const started = await node.#transport.start();
    if (!started.ok) {
      return {
        ok: false,
        error: `the port for other nodes cannot be had: ${started.text}; free it or set listen.clusterPort`,
      };
    }
    node.#clusterPort = started.port;
    if (formation !== undefined) await node.#join(formation);
    node.#links.begin(node.#transport);
    return { ok: true, node };
  }

  /** The node serves clients from now on: it has a place in the cluster, and its listeners are open. */
  async ready(): Promise<NodeReady> {
    if (!this.#isReady) await new Promise<void>(resolve => this.#readyWaiters.push(resolve));
    const { amqpPort, grpcPort } = this.#config.listen;
    const amqp = await open('AMQP', 'listen.amqpPort', amqpPort, this.#amqp);
    if (!amqp.ok) return amqp;
    const grpc = await open('gRPC', 'listen.grpcPort', grpcPort, this.#grpc);
    if (!grpc.ok) return grpc;
    return { ok: true, ports: { amqp: amqp.port, grpc: grpc.port, cluster: this.#clusterPort } };
  }

  /** Undefined while the node has no place in the cluster. */
  get administration(): AccessAdministration | undefined {
    return this.#broker.administration;
  }

  async status(): Promise<ClusterStatus | undefined> {
    return this.#status?.collect();
  }

  async stop(): Promise<void> {
    await this.#amqp.close();
    await this.#grpc.close();
    this.#cluster?.stop();
    // The links end with the process, which tells the others at once that it is gone.
    this.#links.stop();
    this.#memory.close();
    await this.#store.close();
  }

  async #formed(formation: Formation): Promise<void> {
    await this.#store.saveFormation(encodeFormation(formation));
    this.#deps.logger.info({ cluster: formation.clusterId }, 'the cluster is formed');
    await this.#join(formation);
  }

  async #join(formation: Formation): Promise<void> {
    const { clock, logger } = this.#deps;
    const self = formation.members.find(({ directoryId }) => directoryId === this.#store.directoryId)!;
    const cluster = new ClusterNode(clusterOptions(this.#config), formation, self.id, {
      store: this.#store,
      memory: this.#memory,
      clock,
      random: this.#random,
      logger: logger.child({ component: 'cluster' }),
      defer: callback => setImmediate(callback),
      newToken: () => randomBytes(16).toString('hex'),
      newSpillFile: () => new DiskSpillFile(join(this.#config.dataDir, `spill-${randomBytes(4).toString('hex')}`)),
      listener: {
        sessionStarted: session => this.#serve(session),
        sessionEnded: reason => {
          const service = this.#broker.service;
          this.#broker.serve(undefined);
          this.#management = undefined;
          this.#grpc.setServing(false);
          service?.expel(reason);
        },
        reviewed: () => this.#review(),
        accessChanged: () => this.#broker.service?.reviewAccess(),
      },
    });
    this.#cluster = cluster;
    const lists = new ClusterLists(cluster, {
      clients: () => this.#broker.service,
      volatileMachine: () => cluster.volatileMachine,
      nextTurn,
    });
    this.#lists = lists;
    this.#status = new StatusCollector(cluster, {
      pid: process.pid,
      clusterName: this.#config.clusterName,
      connections: () => this.#broker.service?.connectionCount ?? 0,
    });
    await cluster.start();
    this.#links.attach(cluster);
  }

  #serve(session: NodeSession): void {
    const { messageBytesMax, connectionsMax, loopbackUsers } = this.#config;
    const passwords = new SystemPasswordHasher();
    const service = new BrokerService(
      {
        identity: this.#broker.identity,
        bodyBytesMax: messageBytesMax,
        connectionsMax,
        loopbackUsers,
        ahead: {
          messagesMax: LIMITS.consumerAheadMessagesMax,
          bytesMax: LIMITS.consumerAheadBytesMax,
          bytesFirst: LIMITS.consumerAheadBytesFirst,
          nodeBytesMax: LIMITS.nodeAheadBytesMax,
        },
      },
      {
        gateway: session,
        randomBytes: () => randomBytes(16),
        isLoopback,
        passwords,
        wallMs: () => this.#deps.clock.wallMs(),
      },
    );
    service.hold(this.#hold());
    const administration = new ClusterAccessAdministration(session, passwords);
    this.#broker.serve(service, administration);
    this.#management = new Management({
      administration,
      gateway: session,
      cluster: this.#lists!,
      openSession: vhost => service.openOperatorSession(vhost),
      nextTurn,
      clusterName: this.#config.clusterName,
      version: VERSION,
    });
    this.#grpc.setServing(true);
  }

  #review(): void {
    this.#broker.service?.hold(this.#hold());
    this.#broker.service?.roomMade();
    if (this.#isReady || this.#hold()?.kind === 'no-routing-lease' || !this.#cluster?.hasLeaders()) return;
    this.#isReady = true;
    for (const resolve of this.#readyWaiters) resolve();
    this.#readyWaiters = [];
  }

  /** Why publishes on this node have to wait (R2, R18). */
  #hold(): HoldReason | undefined {
    const cluster = this.#cluster;
    if (!cluster?.session?.lease.mayRoute(this.#deps.clock.monotonicMs())) return { kind: 'no-routing-lease' };
    const alarms = { nodesShortOfSpace: cluster.nodesShortOfSpace(), isShortOfMemory: this.#memory.isShort };
    this.#alarms.review(alarms);
    const text = alarmText(alarms);
    return text === undefined ? undefined : { kind: 'alarm', text };
  }
}

async function open(
  what: string,
  option: string,
  port: number,
  server: { listen(): Promise<number> },
): Promise<{ readonly ok: true; readonly port: number } | { readonly ok: false; readonly error: string }> {
  try {
    return { ok: true, port: await server.listen() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${code})`;
    return { ok: false, error: `port ${port} for ${what} ${reason}: free it, or set ${option} to another` };
  }
}

const amqpHosts = ({ listen }: Config): readonly string[] =>
  listen.amqpHosts.length > 0 ? listen.amqpHosts : [listen.host];

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** The transport between nodes binds to an address. */
async function addressOf(host: string): Promise<string | undefined> {
  if (isIP(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    return undefined;
  }
}

/** A data directory of another node, or of an unknown release, must not be used. */
function checkFormation(
  config: Config,
  store: DiskStore,
  saved: Uint8Array | undefined,
  formation: Formation | undefined,
): string | undefined {
  if (saved === undefined) return undefined;
  const where = `the data directory ${config.dataDir}`;
  if (formation === undefined) return `${where} was written by a newer release; run that one`;
  const self = formation.members.find(({ directoryId }) => directoryId === store.directoryId);
  if (self === undefined) return `${where} is not complete: its id is not among the members of its cluster`;
  if (self.name !== config.nodeName) {
    return `${where} belongs to node ${self.name}, not to ${config.nodeName}; set dataDir to this node's own directory`;
  }
  const strangers = config.peers.filter(({ name }) => !formation.members.some(member => member.name === name));
  if (strangers.length === 0) return undefined;
  const members = formation.members.map(({ name }) => name).join(', ');
  return `${where} belongs to a cluster of ${members}, which does not know ${strangers.map(({ name }) => name).join(', ')}`;
}

/** An address with or without port, as adapters know it. */
const isLoopback = (address: string): boolean => /^(ipv[46]:)?(127\.|\[?::1\b|\[?::ffff:127\.)/.test(address);
