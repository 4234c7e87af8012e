import type { AccessCommand } from '../broker/access/access-commands.ts';
import type { AccessView } from '../broker/access/access-control.ts';
import { type LoadKind, NodeLoad } from '../broker/access/load.ts';
import type { Result } from '../broker/broker.ts';
import type { BrokerError } from '../broker/broker-error.ts';
import type { ClusterGateway, HomeStream } from '../broker/gateway.ts';
import { Router } from '../broker/router.ts';
import type { BindRequest, DeclareExchange, DeclareQueue, TopologyView } from '../broker/topology.ts';
import type { ConnectionOwner, NodeStart, QueueHome, QueueRecord, TopologyChange } from '../broker/topology-records.ts';
import { type ConsumerId, consumerId, type GroupId, type QueueId } from '../lib/ids.ts';
import { SeededRandom } from '../lib/random.ts';
import { writeDeleteQueue } from '../queue/commands.ts';
import { AccessChanges } from './access-changes.ts';
import { MetadataClient, type MetadataClientOptions } from './metadata/metadata-client.ts';
import * as commands from './metadata/metadata-commands.ts';
import type { MetadataReply } from './metadata/metadata-replies.ts';
import { NodeLease, type NodeLeaseOptions } from './metadata/node-lease.ts';
import { ShardClient, type ShardClientOptions } from './shard/shard-client.ts';
import type { ShardLeaderPort } from './shard/shard-link.ts';

export interface NodeSessionOptions {
  readonly self: NodeStart;
  readonly client: Omit<ShardClientOptions, 'node' | 'incarnation'>;
  readonly metadata: Omit<MetadataClientOptions, 'node' | 'incarnation'>;
  readonly lease: NodeLeaseOptions;
  readonly startedMs: number;
}

export interface NodeSessionDependencies {
  readonly topology: TopologyView;
  readonly access: AccessView;
  /** Connections and channels of the other nodes. */
  readonly othersLoad: (kind: LoadKind, name: string) => number;
  readonly topologyIndex: () => number;
  /** Whoever leads the shard now, or hosts the volatile home; undefined while nobody is known or reachable. */
  readonly shardLeader: (home: QueueHome) => ShardLeaderPort | undefined;
  /** Most of the home's nodes have little memory left: publishers to it wait. */
  readonly isShortOfMemory: (home: QueueHome) => boolean;
  /** A shard whose leader is on this node, for queues declared here (R5). */
  readonly localShard: () => GroupId | undefined;
  readonly isAlive: (start: NodeStart) => boolean;
  readonly sendMetadata: (request: Uint8Array) => boolean;
  readonly wakeClient: (client: ShardClient) => void;
  readonly monotonicMs: () => number;
  /** This incarnation is over (R24). */
  readonly ended: (reason: string) => void;
}

const homeKey = (home: QueueHome): string =>
  home.kind === 'shard' ? `shard/${home.group}` : `volatile/${home.node}/${home.incarnation}`;

/**
 * One incarnation of this node: its streams to the homes of queues, its requests to group 0, its lease. When the
 * incarnation is fenced all of it ends at once, and a new one begins with a new object.
 */
export class NodeSession implements ClusterGateway {
  readonly #options: NodeSessionOptions;
  readonly #deps: NodeSessionDependencies;
  readonly #clients = new Map<string, { readonly home: QueueHome; readonly client: ShardClient }>();
  readonly metadata: MetadataClient;
  readonly lease: NodeLease;
  readonly router: Router;
  readonly load: NodeLoad;
  readonly #accessChanges: AccessChanges;
  #lastConsumer = 0;
  #lastConnection = 0;
  #isEnded = false;

  constructor(options: NodeSessionOptions, deps: NodeSessionDependencies) {
    this.#options = options;
    this.#deps = deps;
    const { node, incarnation } = options.self;
    this.router = new Router(deps.topology, new SeededRandom(node * 65_536 + incarnation));
    this.load = new NodeLoad(deps.othersLoad);
    this.lease = new NodeLease(options.lease, options.startedMs);
    this.metadata = new MetadataClient(
      { ...options.metadata, ...options.self },
      { send: deps.sendMetadata, monotonicMs: deps.monotonicMs },
    );
    this.#accessChanges = new AccessChanges(
      { timeoutMs: options.metadata.timeoutMs },
      {
        change: command => this.changeAccess(command),
        access: deps.access,
        topology: deps.topology,
        monotonicMs: deps.monotonicMs,
      },
    );
  }

  get access(): AccessView {
    return this.#deps.access;
  }
  get self(): NodeStart {
    return this.#options.self;
  }
  get topology(): TopologyView {
    return this.#deps.topology;
  }
  get isEnded(): boolean {
    return this.#isEnded;
  }

  mayRoute(): boolean {
    return this.lease.mayRoute(this.#deps.monotonicMs());
  }

  nextConsumerId(): ConsumerId {
    return consumerId(++this.#lastConsumer);
  }

  nextConnectionNumber(): number {
    return ++this.#lastConnection;
  }

  stream(home: QueueHome): HomeStream | undefined {
    if (this.#isEnded) return undefined;
    const key = homeKey(home);
    const known = this.#clients.get(key);
    if (known !== undefined) return known.client;
    if (home.kind === 'volatile' && !this.#deps.isAlive(home)) return undefined;
    const client: ShardClient = new ShardClient(
      { ...this.#options.client, ...this.#options.self },
      {
        topologyIndex: this.#deps.topologyIndex,
        leader: () => this.#deps.shardLeader(home),
        isShortOfMemory: () => this.#deps.isShortOfMemory(home),
        wake: () => this.#deps.wakeClient(client),
        monotonicMs: this.#deps.monotonicMs,
        mayServe: () => this.#mayServe(),
        fenced: () => this.end('a shard takes nothing more of this incarnation'),
      },
    );
    this.#clients.set(key, { home, client });
    return client;
  }

  client(home: QueueHome): ShardClient | undefined {
    return this.#clients.get(homeKey(home))?.client;
  }

  /** Some leader changed, or a link did: every stream looks again. */
  leadersChanged(): void {
    for (const { client } of this.#clients.values()) this.#deps.wakeClient(client);
  }

  /** The topology of this node has changed. */
  topologyChanged(changes: readonly TopologyChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'queue-removed') continue;
      const client = this.client(change.queue.home);
      if (client === undefined) continue;
      if (change.queue.home.kind === 'volatile' && this.#isOwn(change.queue.home)) deleteVolatile(client, change.queue);
      client.forget(change.queue.id);
    }
    this.#abandonDeadHomes();
  }

  tick(): void {
    this.metadata.tick();
    this.#accessChanges.tick();
    for (const { client } of this.#clients.values()) if (client.isWaiting) this.#deps.wakeClient(client);
    this.#mayServe();
  }

  /** The event loop may have stood still since anybody looked. */
  #mayServe(): boolean {
    const mayServe = this.lease.mayServe(this.#deps.monotonicMs());
    if (!mayServe) this.end('this node has lost its lease');
    return mayServe;
  }

  /** Everything that waits fails, every consumer is gone; clients' connections are closed by whoever hears `ended`. */
  end(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.lease.refuse();
    this.#deps.ended(reason);
    this.metadata.abandon();
    this.#accessChanges.end();
    for (const { client } of this.#clients.values()) client.abandon('abandoned');
  }

  declareExchange(request: DeclareExchange): Promise<Result<void>> {
    return this.#change(commands.declareExchange(request));
  }

  deleteExchange(request: {
    readonly vhost: string;
    readonly name: string;
    readonly ifUnused: boolean;
  }): Promise<Result<void>> {
    return this.#change(commands.deleteExchange(request));
  }

  async declareQueue(
    request: DeclareQueue,
  ): Promise<Result<{ readonly queue: QueueRecord; readonly created: boolean }>> {
    const reply = await this.#ask(commands.declareQueue({ ...request, preferredShard: this.#deps.localShard() }));
    if (reply.kind === 'queue-declared') return { ok: true, value: { queue: reply.queue, created: reply.created } };
    return failure(reply);
  }

  bind(request: BindRequest): Promise<Result<void>> {
    return this.#change(commands.bind(request));
  }

  unbind(request: BindRequest): Promise<Result<void>> {
    return this.#change(commands.unbind(request));
  }

  removeQueue(queue: QueueId): Promise<Result<void>> {
    return this.#change(commands.removeQueue(queue));
  }

  changeAccess(change: AccessCommand): Promise<Result<void>> {
    return this.#change(commands.changeAccess(change));
  }

  deleteVhost(vhost: string): Promise<Result<void>> {
    return this.#accessChanges.deleteVhost(vhost);
  }

  connectionClosed(owner: ConnectionOwner): Promise<Result<void>> {
    return this.#change(commands.connectionClosed(owner), { untilAnswered: true });
  }

  async #change(
    command: commands.MetadataCommand,
    options: { readonly untilAnswered: boolean } = { untilAnswered: false },
  ): Promise<Result<void>> {
    const reply = await this.#ask(command, options);
    return reply.kind === 'done' ? { ok: true, value: undefined } : failure(reply);
  }

  #ask(command: commands.MetadataCommand, options = { untilAnswered: false }): Promise<MetadataReply> {
    const error = commands.checkCommand(command);
    if (error !== undefined) return Promise.resolve({ kind: 'refused', error });
    if (this.#isEnded) return Promise.resolve({ kind: 'fenced' });
    return this.metadata.request(command, options);
  }

  #isOwn(start: NodeStart): boolean {
    return start.node === this.self.node && start.incarnation === this.self.incarnation;
  }

  #abandonDeadHomes(): void {
    for (const [key, { home, client }] of this.#clients) {
      if (home.kind !== 'volatile' || this.#deps.isAlive(home)) continue;
      this.#clients.delete(key);
      client.abandon('home-gone');
    }
  }
}

/** Group 0 has ended an exclusive queue: the machine that holds it on this node follows. */
function deleteVolatile(client: ShardClient, queue: QueueRecord): void {
  client.request(out => writeDeleteQueue(out, { queue: queue.id, ifUnused: false, ifEmpty: false }), undefined);
}

function failure(reply: MetadataReply): { readonly ok: false; readonly error: BrokerError } {
  if (reply.kind === 'refused') return { ok: false, error: reply.error };
  return { ok: false, error: { code: 'unavailable', text: 'this node has lost its place in the cluster' } };
}
