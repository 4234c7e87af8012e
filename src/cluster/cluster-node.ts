import type { QueueHome } from '../broker/topology-records.ts';
import type { Clock } from '../lib/clock.ts';
import { type GroupId, METADATA_GROUP, type NodeId, type QueueId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import type { Random } from '../lib/random.ts';
import type { ShardMachine } from '../queue/shard-machine.ts';
import { ClusterDispatch } from './cluster-dispatch.ts';
import type { ClusterOptions } from './cluster-options.ts';
import { GroupHost } from './group/group-host.ts';
import type { NodeStore } from './group/node-store.ts';
import { LeaderBalance } from './leader-balance.ts';
import { LeaderDirectory } from './leader-directory.ts';
import { LeaderNews } from './leader-news.ts';
import { LoadExchange } from './load-exchange.ts';
import type { Formation } from './metadata/formation.ts';
import type { Shortages } from './metadata/lease-frames.ts';
import type { MetadataEffects } from './metadata/metadata-replies.ts';
import { MetadataRelay } from './metadata-relay.ts';
import { NodeCalls } from './node-calls.ts';
import { NodeNews } from './node-news.ts';
import { NodeSession } from './node-session.ts';
import { Peers } from './peers.ts';
import { type RegisteredStart, Registration } from './registration.ts';
import { Replicas } from './replicas.ts';
import type { SpillFile } from './shard/volatile-log.ts';
import { VolatileShard } from './shard/volatile-shard.ts';
import type { PeerLink } from './transport/transport.ts';
import { VhostRemover } from './vhost-remover.ts';

export interface ClusterNodeDependencies {
  readonly store: NodeStore;
  readonly memory: { readonly isShort: boolean };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly defer: (callback: () => void) => void;
  /** Random text that names this start of the process. */
  readonly newToken: () => string;
  readonly newSpillFile: () => SpillFile;
  readonly listener: ClusterNodeListener;
}

export interface ClusterNodeListener {
  /** This node has an incarnation, and may serve clients once `mayRoute`. */
  sessionStarted(session: NodeSession): void;
  /** The incarnation is over: clients must go (R24). A new one is asked for at once. */
  sessionEnded(reason: string): void;
  /** Called each tick and whenever answers came: whether clients may publish may have changed. */
  reviewed(): void;
  /** Users, vhosts, permissions or limits are other ones now. */
  accessChanged(): void;
}

/** A node that takes part in a formed cluster: its replicas, its links, its incarnation. */
export class ClusterNode {
  readonly #options: ClusterOptions;
  readonly #deps: ClusterNodeDependencies;
  readonly #formation: Formation;
  readonly self: NodeId;
  readonly peers: Peers;
  readonly host: GroupHost;
  /** What operators ask certain nodes. */
  readonly calls: NodeCalls;
  readonly replicas: Replicas;
  readonly #relay: MetadataRelay;
  readonly #dispatch: ClusterDispatch;
  readonly #balance: LeaderBalance;
  readonly #leaders: LeaderDirectory;
  readonly #leaderNews: LeaderNews;
  readonly #registration: Registration;
  readonly #load: LoadExchange;
  readonly #vhostRemover = new VhostRemover();
  readonly #news: NodeNews;
  #volatile: VolatileShard | undefined;
  #session: NodeSession | undefined;
  /** Queues whose names are being removed: told of the index at which it happened. */
  readonly #removals = new Map<QueueId, (index: number) => void>();
  #timers: (() => void)[] = [];

  constructor(options: ClusterOptions, formation: Formation, self: NodeId, deps: ClusterNodeDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#formation = formation;
    this.self = self;
    this.peers = new Peers({ queuedBytesMax: options.queuedBytesMax });
    this.#news = new NodeNews({
      ...{ self, clock: deps.clock, peers: this.peers },
      own: () => this.shortages(),
    });
    this.host = new GroupHost({ defer: deps.defer, flushJournal: () => deps.store.flush() });
    this.calls = new NodeCalls({ peers: this.peers, clock: deps.clock, logger: deps.logger });
    this.replicas = this.#makeReplicas();
    this.#relay = new MetadataRelay({
      self,
      metadata: () => this.replicas.metadata,
      session: () => this.#session,
      peers: this.peers,
    });
    this.#leaderNews = new LeaderNews({ peers: this.peers, own: () => this.#leaders.led() });
    this.#leaders = new LeaderDirectory({
      self,
      replicas: () => this.replicas,
      peers: this.peers,
      news: this.#leaderNews,
      session: () => this.#session,
      volatile: () => this.#volatile,
    });
    this.#registration = new Registration(
      { node: self, directoryId: deps.store.directoryId, repeatMs: options.registerRepeatMs },
      {
        clock: deps.clock,
        members: () => this.replicas.metadata.machine.members,
        newToken: deps.newToken,
        send: request => this.#relay.request(request),
      },
    );
    this.#balance = new LeaderBalance(
      { self, afterMs: options.balanceAfterMs },
      { replicas: this.replicas, peers: this.peers },
    );
    this.#load = new LoadExchange({
      peers: this.peers,
      access: () => this.replicas.metadata.machine.access,
      own: () => this.#session?.load,
    });
    this.#dispatch = new ClusterDispatch(
      {
        self,
        deliveryFrameBytesMax: options.deliveryFrameBytesMax,
        queuedBytesMax: options.queuedBytesMax,
      },
      {
        host: this.host,
        peers: this.peers,
        metadata: () => this.replicas.metadata,
        session: () => this.#session,
        leaderOf: home => this.#leaders.leaderHere(home),
        news: (node, payload) => this.#news.received(node, payload),
        load: (node, payload) => this.#load.received(node, payload),
        leads: (node, of, payload) => this.#leads(node, of, payload),
        snapshots: this.replicas,
        calls: this.calls,
        logger: deps.logger,
      },
    );
  }

  get session(): NodeSession | undefined {
    return this.#session;
  }

  /** The machine of this node's exclusive and non-durable queues. */
  get volatileMachine(): ShardMachine | undefined {
    return this.#volatile?.machine;
  }

  /** Every shard that this node has a replica of has a leader that it knows of. */
  hasLeaders(): boolean {
    const { shards } = this.replicas.metadata.machine;
    return (
      shards.count > 0 &&
      shards.heldBy(this.self).every(({ group }) => this.replicas.shard(group)?.driver.leader !== undefined)
    );
  }

  async start(): Promise<void> {
    await this.replicas.openMetadata();
    const { clock } = this.#deps;
    this.#timers.push(clock.every(this.#options.tickMs, () => this.#tick()));
    this.#timers.push(clock.every(this.#options.leaseRenewalMs, () => this.#renew()));
  }

  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    this.replicas.stop();
    this.#volatile?.close();
    this.host.stop();
  }

  /** What this node itself has little of. */
  shortages(): Shortages {
    return { disk: this.#deps.store.isShortOfSpace, memory: this.#deps.memory.isShort };
  }

  /** Any node that is short of space stops publishers everywhere: its replicas could not follow (R18). */
  nodesShortOfSpace(): NodeId[] {
    return this.#news.nodesShortOf('disk');
  }

  /**
   * Most of the nodes that hold the home are short of memory: it takes no more publishes, whoever sends them. While they
   * are fewer the cluster could do without them, and each holds the publishers of its own clients only.
   */
  isShortOfMemory(home: QueueHome): boolean {
    if (!this.#news.isAnyShortOfMemory) return false;
    const short = this.#news.nodesShortOf('memory');
    if (home.kind === 'volatile') return short.includes(home.node);
    const replicas = this.replicas.metadata.machine.shards.get(home.group)?.replicas ?? [];
    return replicas.filter(node => short.includes(node)).length * 2 > replicas.length;
  }

  // ---- Links ----

  connected(node: NodeId, link: PeerLink): void {
    this.peers.connected(node, link, this.#deps.clock.monotonicMs());
    this.#load.connected(node);
    this.#leaderNews.connected(node);
    for (const group of this.host.groups()) {
      group.peerConnected(node);
      this.host.wake(group.group);
    }
    this.#session?.leadersChanged();
    this.#session?.metadata.leaderChanged();
  }

  disconnected(node: NodeId, link: PeerLink): void {
    if (!this.peers.disconnected(node, link)) return;
    this.#load.disconnected(node);
    this.#leaderNews.disconnected(node);
    for (const { leader } of this.replicas.shards()) leader.detach(node);
    this.#volatile?.leader.detach(node);
    this.#session?.leadersChanged();
  }

  /** Nothing listens at the node's address any more (R10). */
  processGone(node: NodeId): void {
    this.#deps.logger.warn({ peer: node }, 'the process of a node is gone');
    for (const group of this.host.groups()) {
      group.peerGone(node);
      this.host.wake(group.group);
    }
    this.replicas.metadata.leader.processGone(node);
  }

  received(node: NodeId, link: PeerLink, kind: number, group: number, payload: Uint8Array): void {
    this.#dispatch.received(node, link, kind, group, payload);
  }

  // ---- Time ----

  #tick(): void {
    this.host.tick();
    this.replicas.metadata.leader.tick();
    this.replicas.tick();
    this.#session?.tick();
    this.#load.tick();
    this.#removeVhosts();
    for (const { leader } of this.replicas.shards()) leader.review();
    this.#volatile?.leader.review();
    this.#balance.tick(this.#deps.clock.monotonicMs());
    if (this.#session === undefined) {
      const started = this.#registration.look();
      if (started !== undefined) this.#begin(started);
    }
    this.#news.tick();
    this.#deps.listener.reviewed();
  }

  #removeVhosts(): void {
    const { driver } = this.replicas.metadata;
    if (this.#session !== undefined && driver.leader === this.self) this.#vhostRemover.tick(this.#session);
  }

  #renew(): void {
    this.#news.tell();
    if (this.#session === undefined) return;
    this.#relay.renew({
      ...this.#session.self,
      sentMs: this.#deps.clock.monotonicMs(),
      applied: this.replicas.metadata.driver.applied.index,
    });
  }

  // ---- The incarnation ----

  #begin({ incarnation, startedMs }: RegisteredStart): void {
    const { clock, listener, logger, newSpillFile } = this.#deps;
    const self = { node: this.self, incarnation };
    this.#volatile = new VolatileShard(this.#options.volatile, {
      spill: newSpillFile(),
      fenced: () => this.#fenced(),
      removeName: queue => this.#removeName(queue),
      clock,
      wake: shard => this.host.wakeClient(shard),
    });
    const session = new NodeSession(
      { ...this.#options.session, self, startedMs },
      {
        topology: this.replicas.metadata.machine.topology,
        access: this.replicas.metadata.machine.access,
        othersLoad: (kind, name) => this.#load.othersCount(kind, name),
        topologyIndex: () => this.replicas.metadata.driver.applied.index,
        shardLeader: home => this.#leaders.leaderFor(home),
        isShortOfMemory: home => this.isShortOfMemory(home),
        localShard: () => this.#leaders.localShard(),
        isAlive: start => this.replicas.metadata.machine.members.isCurrent(start),
        sendMetadata: request => this.#relay.request(request),
        wakeClient: client => this.host.wakeClient(client),
        monotonicMs: () => clock.monotonicMs(),
        ended: reason => {
          this.#session = undefined;
          this.#volatile?.close();
          this.#volatile = undefined;
          this.#leaders.forgetLocal();
          this.#registration.ended();
          logger.warn({ incarnation }, reason);
          listener.sessionEnded(reason);
        },
      },
    );
    this.#session = session;
    logger.info({ incarnation }, 'incarnation started');
    this.#renew();
    listener.sessionStarted(session);
  }

  // ---- What group 0 does here ----

  #metadataApplied(index: number, effects: MetadataEffects): void {
    if (effects.shardsChanged) void this.replicas.openShards();
    for (const change of effects.changes) {
      if (change.kind === 'queue-removed') this.#removals.get(change.queue.id)?.(index);
    }
    if (effects.fenced.length > 0) for (const { leader } of this.replicas.shards()) leader.review();
    if (effects.accessChanged) this.#deps.listener.accessChanged();
    const session = this.#session;
    if (session === undefined) return;
    if (effects.changes.length > 0 || effects.membersChanged) session.topologyChanged(effects.changes);
    if (!this.replicas.metadata.machine.members.isCurrent(session.self)) session.end('this node was declared dead');
    this.#relay.topologyApplied(session.self, index);
  }

  #leaderChanged(group: GroupId): void {
    if (group === METADATA_GROUP) {
      this.#session?.metadata.leaderChanged();
      return;
    }
    const driver = this.replicas.shard(group)?.driver;
    if (driver?.isServing) this.#leaderNews.tell({ group, term: driver.raft.term });
    this.#session?.leadersChanged();
  }

  #leads(node: NodeId, group: GroupId, payload: Uint8Array): void {
    if (this.#leaderNews.received(node, group, payload)) this.#session?.leadersChanged();
  }

  #fenced(): { readonly node: NodeId; readonly through: number }[] {
    const { members } = this.replicas.metadata.machine;
    return members.all().map(({ id }) => ({ node: id, through: members.fencedThrough(id) }));
  }

  /**
   * Group 0 answers when every node that may route has applied the removal. The index returned is at or behind the removal,
   * and not behind what was answered with it: a node that may route is never told that it knows too little (R2, R3).
   */
  async #removeName(queue: QueueId): Promise<number> {
    const { machine, driver } = this.replicas.metadata;
    let removedAt = machine.topology.queueById(queue) === undefined ? driver.applied.index : undefined;
    this.#removals.set(queue, index => {
      removedAt = index;
    });
    const result = await this.#session?.removeQueue(queue);
    this.#removals.delete(queue);
    if (!result?.ok || removedAt === undefined) throw new Error(`queue ${queue} still has its name`);
    return removedAt;
  }

  #makeReplicas(): Replicas {
    const { store, clock, random, logger } = this.#deps;
    return new Replicas(
      {
        self: this.self,
        formation: this.#formation,
        factory: this.#options.factory,
        metadata: this.#options.metadata,
        checkpoints: this.#options.checkpoints,
        snapshots: this.#options.snapshots,
        cleaning: this.#options.cleaning,
        bodyCacheBytesMax: this.#options.bodyCacheBytesMax,
      },
      {
        store,
        random,
        logger,
        host: this.host,
        monotonicMs: () => clock.monotonicMs(),
        wallClocksMs: voters => this.#news.wallClocksMs(voters),
        send: (message, group) => this.peers.sendRaft(message, group),
        sendSnapshot: (to, kind, group, payload) => void this.peers.send(to, 'log', kind, group, payload),
        pause: delayMs =>
          new Promise(resolve => {
            if (delayMs > 0) clock.after(delayMs, resolve);
            else this.#deps.defer(resolve);
          }),
        after: (delayMs, callback) => clock.after(delayMs, callback),
        nextTurn: () => new Promise(resolve => this.#deps.defer(resolve)),
        metadata: {
          applied: (index, effects) => this.#metadataApplied(index, effects),
          grant: (renewal, grant) => this.#relay.grant(renewal, grant),
          reply: (to, id, reply) => this.#relay.reply(to, id, reply),
        },
        leaderChanged: group => this.#leaderChanged(group),
        fenced: () => this.#fenced(),
        removeName: queue => this.#removeName(queue),
      },
    );
  }
}
