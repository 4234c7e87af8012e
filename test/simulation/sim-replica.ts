import { FrameKind } from '../../src/cluster/frames.ts';
import type { GroupDriver, GroupListener } from '../../src/cluster/group/group-driver.ts';
import type { GroupFactory } from '../../src/cluster/group/group-factory.ts';
import type { HostedGroup } from '../../src/cluster/group/group-host.ts';
import { hostReplica } from '../../src/cluster/group/host-replica.ts';
import type { HostedReplica } from '../../src/cluster/group/hosted-replica.ts';
import type { ProposalBuffer } from '../../src/cluster/group/proposal-buffer.ts';
import type { ReplicaStart } from '../../src/cluster/group/replica-start.ts';
import { writePayloadHead } from '../../src/cluster/shard/payload-head.ts';
import { RemoteShardLink } from '../../src/cluster/shard/remote-shard.ts';
import { ReplicatedShard } from '../../src/cluster/shard/replicated-shard.ts';
import { decodeAttach } from '../../src/cluster/shard/shard-frames.ts';
import type { ShardLeader } from '../../src/cluster/shard/shard-leader.ts';
import { ShardTime } from '../../src/cluster/shard/shard-time.ts';
import { decodeChunk, decodeRequest } from '../../src/cluster/snapshot/snapshot-codec.ts';
import type { PeerLink } from '../../src/cluster/transport/transport.ts';
import { ByteWriter } from '../../src/lib/bytes.ts';
import { type GroupId, incarnation, type LogIndex, type NodeId } from '../../src/lib/ids.ts';
import { writeFence } from '../../src/queue/commands.ts';
import type { ShardEffects } from '../../src/queue/effects.ts';
import { PAYLOAD_HEADER_BYTES, writeLeaderBatch } from '../../src/queue/entry-codec.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { CheckpointCut, CheckpointScope } from '../../src/raft/checkpoint.ts';
import type { EntryId, Membership, RaftMessage } from '../../src/raft/messages.ts';
import type { Raft } from '../../src/raft/raft.ts';
import type { ApplyMeta } from '../../src/raft/state-machine.ts';
import type { Checker } from './checkers/checker.ts';
import { unneededName } from './checkers/reclaiming.ts';
import type { Frame } from './packet.ts';
import { hostingOptions } from './replica-options.ts';
import type { SimNode } from './sim-node.ts';
import type { SimStore } from './sim-store.ts';
import { Violation } from './violation.ts';

/** Ticks between two looks of a leader at what its group is to be, between two of its reads, and two announcements. */
const REVIEW_TICKS = 3;
const READ_TICKS = 5;
const NEWS_TICKS = 10;
const NOTHING: EntryId = { term: 0, index: 0 };

/** One life of one replica: the real driver, core, machine, checkpoints and snapshots of a group between two starts of its node. */
export class SimReplica implements HostedGroup {
  readonly node: SimNode;
  readonly group: GroupId;
  readonly machine: ShardMachine;
  readonly proposals: ProposalBuffer;
  readonly hosted: HostedReplica<ShardEffects>;
  readonly #store: SimStore;
  readonly #driver: GroupDriver<ShardEffects>;
  readonly #shard: ReplicatedShard;
  readonly #checkers: readonly Checker[];
  readonly #time: ShardTime;
  /** Ticks in this life. */
  ticks = 0;
  #reads = 0;
  #isCuttingAll = false;
  /** Of the state that the machine has: a switch to the next one may be under way. */
  #installed: number;
  #wasDamaged: boolean;

  constructor(node: SimNode, group: GroupId, start: ReplicaStart, store: SimStore, groups: GroupFactory) {
    const { cluster } = node;
    this.node = node;
    this.group = group;
    this.#store = store;
    this.#installed = store.generationOf(group);
    this.#checkers = cluster.checkers;
    const loaded = start.from === 'checkpoint' ? start.loaded : undefined;
    const { stepShares } = cluster;
    this.machine =
      loaded === undefined
        ? new ShardMachine(undefined, stepShares)
        : ShardMachine.restore(loaded.pages, loaded.at, stepShares);
    if (loaded !== undefined) store.checkpointed(group, loaded.at.index);
    if (start.from === 'a-leader') store.resetLive(group);
    else this.#countLiveBodies();
    this.#time = new ShardTime(this.machine.timeMs, node.monotonicMs);
    this.proposals = groups.proposals(group, PAYLOAD_HEADER_BYTES, writePayloadHead);
    this.#shard = this.#createShard();
    const machine = this.#watched();
    this.#driver = groups.driver<ShardEffects>(
      {
        group,
        id: node.id,
        machine,
        restored: loaded?.at ?? NOTHING,
        isLost: start.from === 'a-leader',
        listener: this.#listener(),
        proposals: this.proposals,
        entryTimeMs: () => this.#entryTimeMs(),
      },
      cluster.placement.membershipAtStart(node.id),
    );
    this.#shard.driver = this.#driver;
    this.#wasDamaged = this.raft.damaged;
    this.hosted = hostReplica(
      this.#driver,
      machine,
      {
        liveReferences: (first, last) => this.machine.liveReferences(first, last),
        prepare: replacing => {
          const other = ShardMachine.restore(replacing.pages, replacing.at, stepShares);
          return () => this.#replaceBy(other, replacing.at);
        },
      },
      hostingOptions(cluster.swarm.limits),
      {
        store,
        random: cluster.world.random(`snapshots:${node.id}/${node.life}`),
        logger: node.logger,
        monotonicMs: () => node.monotonicMs,
        wake: () => this.wake(),
        sendSnapshot: (to, kind, _group, payload) =>
          cluster.streams.link(node.id, to)?.send('log', kind, group, payload),
        nextTurn: () => node.pauseFor(0),
      },
    );
  }

  get raft(): Raft {
    return this.#driver.raft;
  }

  get applied(): EntryId {
    return this.#driver.applied;
  }

  get isServing(): boolean {
    return this.#driver.isServing;
  }

  /** A machine has one cut of its whole state at a time. */
  get isCuttingSnapshot(): boolean {
    return this.#isCuttingAll;
  }

  /** Counts installed snapshots. */
  get generation(): number {
    return this.#store.generationOf(this.group);
  }

  /** The latest snapshot is written to be the state, and is not yet. */
  get isSwitching(): boolean {
    return this.#installed !== this.generation;
  }

  get leader(): ShardLeader {
    return this.#shard.leader;
  }

  receive(message: RaftMessage): void {
    for (const checker of this.#checkers) checker.onDeliver(this, message);
    this.hosted.step(message);
  }

  /** A node speaks to this replica as the shard's leader, or a leader fills it. */
  receiveFrame(from: NodeId, { kind, payload }: Frame): void {
    const link = this.node.cluster.streams.link(this.node.id, from);
    if (link === undefined) return;
    if (kind === FrameKind.attach) {
      this.leader.attach(decodeAttach(from, payload), this.#remoteLink(link));
    } else if (kind === FrameKind.snapshotRequest) {
      this.node.cluster.world.promisesGoOn();
      this.hosted.snapshotRequested(from, decodeRequest(payload));
    } else if (kind === FrameKind.snapshotChunk) {
      this.node.cluster.world.promisesGoOn();
      this.hosted.snapshotReceived(from, decodeChunk(payload));
    } else if (!this.leader.batch(from, payload)) {
      link.send('clients', FrameKind.notLeader, this.group, new Uint8Array(0));
    }
  }

  step(message: RaftMessage): void {
    this.hosted.step(message);
  }

  peerGone(peer: NodeId): void {
    this.hosted.peerGone(peer);
    this.wake();
  }

  peerConnected(peer: NodeId): void {
    this.hosted.peerConnected(peer);
    this.wake();
  }

  peerDisconnected(peer: NodeId): void {
    this.leader.detach(peer);
  }

  /** Somebody was fenced. */
  reviewFences(): void {
    this.leader.review();
  }

  tick(): void {
    this.ticks++;
    this.hosted.tick();
    for (const checker of this.#checkers) checker.onTick(this);
    this.leader.review();
    if (this.raft.role === 'leader') this.#lead();
    if (this.#wasDamaged && !this.raft.damaged) this.node.cluster.statistics.lossesHealed++;
    this.#wasDamaged = this.raft.damaged;
  }

  /** The leader's own work beside what the core and the shard do. */
  #lead(): void {
    const { cluster } = this.node;
    if (this.ticks % REVIEW_TICKS === 0) cluster.placement.review(this);
    if (this.isServing) cluster.fencing.review(this);
    if (this.ticks % READ_TICKS === 0 && this.#driver.readIndex(++this.#reads)) {
      for (const checker of this.#checkers) checker.onReadBegun(this, this.#reads);
    }
    if (this.ticks % NEWS_TICKS !== 0 || !this.isServing) return;
    const news = { group: this.group, leader: this.node.id, term: this.raft.term };
    for (const { id } of cluster.nodes) if (id !== this.node.id) cluster.network.send(this.node.id, id, news);
  }

  /** Whether the core began the change. */
  proposeMembership(target: Membership): boolean {
    const { proposed } = this.raft.proposeMembership(target);
    if (proposed) this.wake();
    return proposed;
  }

  /** Again, or late: as a leader does that has not heard that somebody did it before. */
  proposeFence(node: NodeId, through: number): void {
    const commands = new ByteWriter(32);
    writeFence(commands, node, incarnation(through));
    const batch = new ByteWriter(commands.length + 64);
    writeLeaderBatch(batch, 1, commands.view());
    if (this.isServing && this.proposals.add(batch.view())) this.wake();
  }

  process(): void {
    this.hosted.process();
  }

  stop(): void {
    this.leader.stop();
    void this.hosted.stop();
  }

  transferTo(node: NodeId): void {
    if (this.raft.transferLeadership(node)) this.node.cluster.statistics.transfers++;
    this.wake();
  }

  wake(): void {
    this.node.host.wake(this.group);
  }

  send(message: RaftMessage): void {
    const { id, cluster } = this.node;
    for (const checker of this.#checkers) checker.onSend(this, message);
    cluster.world.log('n{} g{} sends {} to n{} in term {}', id, this.group, message.type, message.to, message.term);
    cluster.network.send(id, message.to, { group: this.group, message, wallMs: this.node.clock.wallMs });
    if (message.type === 'vote-response' || message.type === 'append-response') this.node.reachedMoment('release');
  }

  #remoteLink(link: PeerLink): RemoteShardLink {
    const { entryBytesMax, proposalBytesMax } = this.node.cluster.swarm.limits;
    const wantsFlush = (one: RemoteShardLink): void => this.node.host.wakeLink({ process: () => one.flush() });
    const bounds = { frameBytesMax: 4 * entryBytesMax, queuedBytesMax: proposalBytesMax };
    return new RemoteShardLink({ group: this.group, ...bounds }, { link, wantsFlush });
  }

  #createShard(): ReplicatedShard {
    const { cluster } = this.node;
    const { group } = this;
    const store = this.#store;
    return new ReplicatedShard(
      { group, bodyCacheBytesMax: cluster.swarm.limits.cachedBytesMax },
      {
        machine: this.machine,
        journal: store.journal,
        proposals: this.proposals,
        time: this.#time,
        monotonicMs: () => this.node.monotonicMs,
        bodies: {
          inMemory: entry => this.raft.payloadAt(entry),
          fromJournal: (entry, done) => store.readPayload(group, entry, done),
          fromStragglers: (part, done) => store.readStraggler(group, part, done),
          lost: ({ entry, position }) => store.lost(group, `the body of message ${entry}/${position} is nowhere`),
        },
        wake: () => this.wake(),
        fenced: () => cluster.fencing.knownTo(this.node),
        removeName: queue => cluster.workload.removeName(this.node, queue),
        timeMs: () => this.#entryTimeMs(),
        after: (delayMs, callback) => this.node.after(delayMs, callback),
        leaderChanged: () => this.node.gateway?.leaderChanged(),
        snapshots: {
          snapshotsWanted: peers => this.hosted.snapshotsWanted(peers),
          install: install => this.hosted.install(install),
        },
      },
    );
  }

  /** Shard time for the next entry (R28). */
  #entryTimeMs(): number {
    const { monotonicMs } = this.node;
    const { voters } = this.raft.membership;
    return this.#time.now(monotonicMs, this.node.wallClocksOf(voters), voters.length);
  }

  /** A snapshot takes the place of the state (R17). */
  #replaceBy(other: ShardMachine, at: EntryId): void {
    const { statistics, world } = this.node.cluster;
    world.log('n{} g{} switches to the snapshot of {}', this.node.id, this.group, at.index);
    statistics.snapshotsInstalled++;
    this.machine.become(other);
    this.#time.follow(this.machine.timeMs, this.node.monotonicMs);
    this.#installed = this.generation;
    this.#store.checkpointed(this.group, at.index);
    this.#store.resetLive(this.group);
    this.#countLiveBodies();
    for (const checker of this.#checkers) checker.onInstall(this);
  }

  /** The journal learns which messages live; each of them must be somewhere. */
  #countLiveBodies(): void {
    const store = this.#store;
    const { countedGenerations } = this.node.disk;
    // Also after a crash right behind the switch.
    const isSnapshot = this.generation > (countedGenerations.get(this.group) ?? 0);
    countedGenerations.set(this.group, this.generation);
    for (const { entries, positions, accounted } of this.machine.liveReferences(0, this.machine.applied)) {
      for (const [i, entry] of entries.entries()) {
        store.addLive(this.group, entry, accounted[i]!);
        this.#checkBody(entry, positions[i]!, isSnapshot);
      }
    }
    store.accounted(this.group);
  }

  /**
   * A machine that is restored misses no body (R13), except of a message that was let go while its snapshot was on its way: whoever
   * asks for that must have applied first what let it go.
   */
  #checkBody(entry: LogIndex, position: number, isSnapshot: boolean): void {
    const { disk, id } = this.node;
    if (disk.isDamaged || this.#store.hasBody(this.group, entry, position)) return;
    const name = unneededName(this.group, entry, position);
    if (isSnapshot && !this.isAlive(entry, position)) disk.unneeded.add(name);
    if (disk.unneeded.has(name)) return;
    throw new Violation('storage', `node ${id} restores message ${name}, which is nowhere`);
  }

  /** As whoever has applied most knows, also if it is gone meanwhile. */
  isAlive(entry: LogIndex, position: number): boolean {
    return this.node.cluster.auditor.model(this.group)?.hasLiving(entry, position) === true;
  }

  /** The machine as the driver sees it, with the checkers beside it. */
  #watched(): GroupDriver<ShardEffects>['machine'] & { readonly applied: LogIndex } {
    const { machine } = this;
    const apply = (meta: ApplyMeta, payload: Uint8Array): ShardEffects => {
      const effects = machine.apply(meta, payload);
      this.node.cluster.statistics.entriesApplied++;
      for (const checker of this.#checkers) checker.onApply(this, meta, payload, effects);
      return effects;
    };
    return {
      apply,
      get applied() {
        return machine.applied;
      },
      cut: (scope, at) => this.#cut(scope, at),
    };
  }

  #cut(scope: CheckpointScope, at: EntryId): CheckpointCut {
    if (scope === 'changes') for (const checker of this.#checkers) checker.onCut(this);
    const cut = this.machine.cut(scope, at);
    if (scope === 'changes') return cut;
    this.#isCuttingAll = true;
    const close = (how: () => void): void => {
      this.#isCuttingAll = false;
      how();
    };
    return {
      at,
      nextPages: bytesMax => cut.nextPages(bytesMax),
      completed: () => close(() => cut.completed()),
      abandoned: () => close(() => cut.abandoned()),
    };
  }

  /** The shard as the driver's listener, with the checkers and the trace beside it. */
  #listener(): GroupListener<ShardEffects> {
    const { world, statistics } = this.node.cluster;
    return {
      applied: (id, effects, leading) => {
        if (leading) for (const checker of this.#checkers) checker.onPerform(this, id, effects);
        this.#shard.applied(id, effects, leading);
      },
      roleChanged: state => {
        if (state.role === 'leader') {
          statistics.elections++;
          this.node.reachedMoment('elected');
          this.node.cluster.elected(this);
        }
        world.log(
          'n{} g{} is {} in term {}, leader n{}',
          this.node.id,
          this.group,
          state.role,
          state.term,
          state.leader,
        );
        this.#shard.roleChanged(state);
      },
      serving: term => {
        world.log('n{} g{} serves in term {}', this.node.id, this.group, term);
        this.#shard.serving();
      },
      roundConfirmed: read => {
        for (const checker of this.#checkers) checker.onReadConfirmed(this, read);
      },
      snapshotsWanted: peers => this.#shard.snapshotsWanted(peers),
      install: install => this.#shard.install(install),
    };
  }
}
