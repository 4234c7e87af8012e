import { FrameKind } from '../../src/cluster/frames.ts';
import { GroupDriver, type GroupListener } from '../../src/cluster/group/group-driver.ts';
import type { HostedGroup } from '../../src/cluster/group/group-host.ts';
import type { GroupJournal } from '../../src/cluster/group/group-journal.ts';
import { ProposalBuffer } from '../../src/cluster/group/proposal-buffer.ts';
import { RemoteShardLink } from '../../src/cluster/shard/remote-shard.ts';
import { ReplicatedShard } from '../../src/cluster/shard/replicated-shard.ts';
import { decodeAttach } from '../../src/cluster/shard/shard-frames.ts';
import type { ShardLeader } from '../../src/cluster/shard/shard-leader.ts';
import type { PeerLink } from '../../src/cluster/transport/transport.ts';
import { assert } from '../../src/lib/assert.ts';
import { ByteWriter } from '../../src/lib/bytes.ts';
import type { GroupId, LogIndex, NodeId } from '../../src/lib/ids.ts';
import type { ShardEffects } from '../../src/queue/effects.ts';
import { PAYLOAD_HEADER_BYTES, writePayloadHeader } from '../../src/queue/entry-codec.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { CheckpointCut, Page } from '../../src/raft/checkpoint.ts';
import type { LogBase, RecoveredGroup } from '../../src/raft/log-store.ts';
import type { Entry, EntryId, RaftMessage, SnapshotMeta } from '../../src/raft/messages.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { RecoveredState } from '../../src/raft/ready.ts';
import type { ApplyMeta } from '../../src/raft/state-machine.ts';
import type { Checker } from './checkers/checker.ts';
import type { Frame } from './packet.ts';
import type { SimNode } from './sim-node.ts';
import { takePages } from './sim-store.ts';
import { type ReceivedSnapshot, SnapshotSink, SnapshotSource } from './sim-transfer.ts';

const HEARTBEAT_TICKS = 2;
const APPLY_BYTES_MAX = 64 * 1024;
const SLICE_MS = 8;
const SLICE_PAUSE_MS = 0.1;
const ORIGIN: EntryId = { term: 0, index: 0 };

/** One life of one replica: the real driver, core and machine of a group between two starts of its node. */
export class SimReplica implements GroupJournal, HostedGroup {
  readonly node: SimNode;
  readonly group: GroupId;
  readonly raft: Raft;
  /** Another object after a snapshot was installed. */
  machine: ShardMachine;
  readonly proposals: ProposalBuffer;
  readonly #driver: GroupDriver<ShardEffects>;
  #shard: ReplicatedShard;
  readonly #source = new SnapshotSource(this);
  readonly #sink = new SnapshotSink(this);
  readonly #checkers: readonly Checker[];
  #generation: number;
  /** Each attempt to install a snapshot is a generation of its own: two of them never mix. */
  #nextGeneration: number;
  /** Last entry that a durable checkpoint covers. */
  #checkpointed: EntryId;
  #cut: CheckpointCut | undefined;
  /** From the beginning of the switch to a snapshot until it is durable nothing is stepped and nothing is taken. */
  #isSwitching = false;

  constructor(node: SimNode, group: GroupId, recovered: RecoveredGroup | undefined) {
    const { cluster } = node;
    const { limits } = cluster.swarm;
    this.node = node;
    this.group = group;
    this.#checkers = cluster.checkers;
    this.#generation = recovered?.base.generation ?? 0;
    this.#nextGeneration = this.#generation + 1;
    const checkpoint = node.disk.checkpointOf(group, this.#generation);
    this.#checkpointed = checkpoint?.at ?? ORIGIN;
    this.machine =
      checkpoint === undefined ? new ShardMachine() : ShardMachine.restore(checkpoint.pages, checkpoint.at);
    this.raft = new Raft(
      {
        id: node.id,
        electionTimeoutTicks: cluster.swarm.electionTicks,
        heartbeatTicks: HEARTBEAT_TICKS,
        inflightEntriesMax: limits.inflightEntriesMax,
        inflightBytesMax: limits.inflightEntriesMax * limits.entryBytesMax,
        appendBytesMax: limits.appendBytesMax,
        cachedBytesMax: limits.cachedBytesMax,
      },
      this.#stateFrom(recovered),
      cluster.world.random(`election:${node.id}/${group}/${node.life}`),
    );
    this.proposals = new ProposalBuffer(
      {
        entryBytesMax: limits.entryBytesMax,
        waitingBytesMax: limits.proposalBytesMax,
        headBytes: PAYLOAD_HEADER_BYTES,
      },
      { allocate: bytes => new Uint8Array(bytes), writeHead },
    );
    this.#shard = this.#createShard();
    this.#driver = new GroupDriver(
      { group, inflightEntriesMax: limits.inflightEntriesMax, applyBytesMax: APPLY_BYTES_MAX, sliceMs: SLICE_MS },
      {
        raft: this.raft,
        machine: this.#watched(),
        journal: this,
        proposals: this.proposals,
        listener: this.#listener(),
        send: message => this.#send(message),
        wake: () => this.wake(),
        monotonicMs: () => node.monotonicMs,
        entryTimeMs: () => node.monotonicMs,
      },
      this.#checkpointed,
    );
    this.#shard.driver = this.#driver;
    this.#account();
    if (recovered === undefined) this.#begin();
  }

  get applied(): EntryId {
    return this.#driver.applied;
  }

  get isServing(): boolean {
    return this.#driver.isServing;
  }

  get isCuttingSnapshot(): boolean {
    return this.#source.isCutting;
  }

  receive(message: RaftMessage): void {
    if (this.#isSwitching) return;
    for (const checker of this.#checkers) checker.onDeliver(this, message);
    this.#driver.step(message);
  }

  /** A node speaks to this replica as the shard's leader. */
  receiveFrame(from: NodeId, { kind, payload }: Frame): void {
    const link = this.node.cluster.streams.link(this.node.id, from);
    if (link === undefined) return;
    if (kind === FrameKind.attach) {
      this.leader.attach(decodeAttach(from, payload), this.#remoteLink(link));
    } else if (kind === FrameKind.snapshotRequest) {
      this.#source.serve(link, payload);
    } else if (kind === FrameKind.snapshotChunk) {
      this.#sink.receive(from, payload);
    } else if (!this.leader.batch(from, payload)) {
      link.send('clients', FrameKind.notLeader, this.group, new Uint8Array(0));
    }
  }

  /** Counts installed snapshots. */
  get generation(): number {
    return this.#generation;
  }

  get leader(): ShardLeader {
    return this.#shard.leader;
  }

  step(message: RaftMessage): void {
    this.#driver.step(message);
  }

  peerGone(peer: NodeId): void {
    this.raft.peerGone(peer);
    this.wake();
  }

  peerConnected(peer: NodeId): void {
    this.raft.peerConnected(peer);
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
    if (this.#isSwitching) return;
    this.#driver.tick();
    this.leader.review();
  }

  process(): void {
    if (this.#isSwitching) return;
    this.#driver.process();
    const { checkpointEntries } = this.node.cluster.swarm.limits;
    if (this.applied.index - this.#checkpointed.index >= checkpointEntries) this.checkpoint();
  }

  stop(): void {
    this.#driver.stop();
    this.leader.stop();
    this.#source.stop();
  }

  transferTo(node: NodeId): void {
    if (this.raft.transferLeadership(node)) this.node.cluster.statistics.transfers++;
    this.wake();
  }

  /** Cuts the machine, makes the pages durable, then lets the log begin behind the trailing window (R14). */
  checkpoint(): void {
    const at = this.applied;
    if (this.#cut !== undefined || this.#isSwitching) return;
    if (at.index === this.#checkpointed.index || at.index > this.raft.durable) return;
    const { node } = this;
    for (const checker of this.#checkers) checker.onCut(this);
    const cut = this.machine.cut('changes', at);
    this.#cut = cut;
    const pause = (next: () => void): void => node.cluster.world.after(SLICE_PAUSE_MS, node.entry(next));
    takePages(cut, node.cluster.swarm.limits.pageBytesMax, pause, pages => {
      const batch = { group: this.group, generation: this.#generation, at, pages };
      node.disk.writePages(batch, () => this.#checkpointWritten(cut));
    });
  }

  #checkpointWritten(cut: CheckpointCut): void {
    if (this.#cut !== cut) return;
    cut.completed();
    this.#cut = undefined;
    this.#checkpointed = cut.at;
    const { disk, cluster } = this.node;
    const stored = disk.checkpointOf(this.group, this.#generation)!;
    for (const checker of this.#checkers) checker.onCheckpoint(this, stored);
    disk.journal.space.checkpointed(this.group, cut.at.index);
    cluster.statistics.checkpoints++;
    this.#compact(cut.at.index - cluster.swarm.limits.trailingEntries);
  }

  snapshotFailed(): void {
    this.raft.snapshotFailed();
    this.wake();
  }

  /**
   * Everything of the snapshot is made durable beside what is there; then one record in the journal switches to the new
   * generation; then machine and core go on from the snapshot (R17).
   */
  installSnapshot(snapshot: SnapshotMeta, { pages, bodies }: ReceivedSnapshot): void {
    const generation = this.#nextGeneration++;
    const { group, node } = this;
    node.disk.writeSnapshot({ group, generation, at: snapshot.last, pages }, bodies, () => {
      if (this.raft.installing?.snapshot !== snapshot) {
        node.disk.journal.abandonBodies(group, generation);
        return;
      }
      this.#isSwitching = true;
      this.#cut = undefined;
      const base: LogBase = { last: snapshot.last, membership: snapshot.membership, generation };
      this.append({ group, hardState: undefined, entries: [], base }, () => this.#switch(snapshot, pages, generation));
    });
  }

  #switch(snapshot: SnapshotMeta, pages: readonly Page[], generation: number): void {
    const { statistics, world } = this.node.cluster;
    world.log('n{} g{} switches to the snapshot of {}', this.node.id, this.group, snapshot.last.index);
    statistics.snapshotsInstalled++;
    this.leader.stop();
    this.#source.stop();
    this.machine = ShardMachine.restore(pages, snapshot.last);
    this.#generation = generation;
    this.#checkpointed = snapshot.last;
    this.#shard = this.#createShard();
    this.#shard.driver = this.#driver;
    this.node.disk.journal.space.resetLive(this.group);
    this.#account();
    this.#isSwitching = false;
    this.#driver.installed(snapshot);
    for (const checker of this.#checkers) checker.onInstall(this);
  }

  /** An entry with messages that are alive, from memory or from the journal. */
  entryAt(index: LogIndex): Entry {
    const inMemory =
      index > this.raft.base.index ? this.raft.entriesFrom(index, index, Number.POSITIVE_INFINITY)?.[0] : undefined;
    const entry = inMemory ?? this.node.disk.readEntry(this.group, index);
    assert(entry !== undefined, () => `group ${this.group}: entry ${index} has a message alive and is nowhere`);
    return entry;
  }

  append: GroupJournal['append'] = (write, durable) => {
    for (const checker of this.#checkers) checker.onWrite(this, write);
    const { world } = this.node.cluster;
    const { hardState, entries, base } = write;
    world.log(
      'n{} g{} writes term {} vote {}, entries {} to {}, base {}',
      this.node.id,
      this.group,
      hardState?.term,
      hardState?.vote,
      entries[0]?.index,
      entries.at(-1)?.index,
      base?.last.index,
    );
    const lastIndex = this.node.disk.journal.group(this.group)?.lastIndex ?? 0;
    if (entries.length > 0 && entries[0]!.index <= lastIndex) this.node.cluster.statistics.truncations++;
    this.node.disk.append(write, () => {
      for (const checker of this.#checkers) checker.onDurable(this, write);
      durable();
    });
    this.wake();
  };

  readEntries: GroupJournal['readEntries'] = (group, from, to, bytesMax, done) =>
    this.node.disk.readEntries(group, from, to, bytesMax, done);

  addLive: GroupJournal['addLive'] = (group, index, bytes) => {
    this.node.disk.journal.space.addLive(group, index, bytes);
  };

  releaseLive: GroupJournal['releaseLive'] = (group, index, bytes, at) => {
    this.node.disk.journal.space.releaseLive(group, index, bytes, at);
  };

  accounted: GroupJournal['accounted'] = group => this.node.disk.journal.space.accounted(group);

  checkpointed: GroupJournal['checkpointed'] = (group, index) =>
    this.node.disk.journal.space.checkpointed(group, index);

  allocate: GroupJournal['allocate'] = bytes => new Uint8Array(bytes);

  wake(): void {
    this.node.host.wake(this.group);
  }

  #remoteLink(link: PeerLink): RemoteShardLink {
    const { entryBytesMax } = this.node.cluster.swarm.limits;
    const wantsFlush = (one: RemoteShardLink): void => this.node.host.wakeLink({ process: () => one.flush() });
    return new RemoteShardLink({ group: this.group, frameBytesMax: 4 * entryBytesMax }, { link, wantsFlush });
  }

  #createShard(): ReplicatedShard {
    const { cluster, disk } = this.node;
    return new ReplicatedShard(
      { group: this.group, bodyCacheBytesMax: cluster.swarm.limits.cachedBytesMax },
      {
        machine: this.machine,
        journal: this,
        proposals: this.proposals,
        bodies: {
          inMemory: entry => this.#payloadInMemory(entry),
          fromJournal: (entry, done) => disk.readBody(this.group, entry, done),
          fromStragglers: (_part, done) => done(undefined),
        },
        wake: () => this.wake(),
        fenced: () => cluster.fences(),
        removeName: () => Promise.reject(new Error('queues are not deleted here')),
        leaderChanged: () => this.node.gateway?.leaderChanged(),
        snapshots: {
          snapshotsWanted: peers => this.#source.wanted(peers),
          install: install => this.#sink.begin(install),
        },
      },
    );
  }

  #payloadInMemory(entry: LogIndex): Uint8Array | undefined {
    if (entry <= this.raft.base.index) return undefined;
    return this.raft.entriesFrom(entry, entry, Number.POSITIVE_INFINITY)?.[0]?.payload;
  }

  /** The journal learns which messages the checkpoint holds; without it none of their segments may go. */
  #account(): void {
    const { space } = this.node.disk.journal;
    for (const { entries, accounted } of this.machine.liveReferences(0, this.#checkpointed.index)) {
      for (const [i, entry] of entries.entries()) {
        const isThere = space.addLive(this.group, entry, accounted[i]!);
        assert(isThere, () => `group ${this.group}: entry ${entry} has a message alive and is not in the journal`);
      }
    }
    space.checkpointed(this.group, this.#checkpointed.index);
    space.accounted(this.group);
  }

  #stateFrom(recovered: RecoveredGroup | undefined): RecoveredState {
    const applied = this.#checkpointed.index;
    if (recovered === undefined) {
      const { membership } = this.node.cluster;
      const hardState = { term: 0, vote: undefined, commit: 0 };
      return { hardState, base: ORIGIN, membership, log: [], configurations: [], applied, damaged: false };
    }
    const { hardState, base, log, configurations, damaged } = recovered;
    return { hardState, base: base.last, membership: base.membership, log, configurations, applied, damaged };
  }

  /** A new replica's journal says who takes part, before anything else. */
  #begin(): void {
    const base: LogBase = { last: ORIGIN, membership: this.node.cluster.membership, generation: 0 };
    this.append({ group: this.group, hardState: undefined, entries: [], base }, () => {});
  }

  #compact(through: LogIndex): void {
    const index = Math.min(through, this.raft.durable);
    if (index <= this.raft.base.index) return;
    const term = this.raft.termAt(index);
    assert(term !== undefined, () => `no term for ${index}`);
    const last = { term, index };
    const base: LogBase = { last, membership: this.raft.membershipAt(index), generation: this.#generation };
    this.append({ group: this.group, hardState: undefined, entries: [], base }, () => {
      this.raft.compactTo(last);
      this.node.cluster.statistics.compactions++;
    });
  }

  /** The machine as the driver sees it, with the checkers beside it. */
  #watched(): GroupDriver<ShardEffects>['machine'] {
    const current = (): ShardMachine => this.machine;
    const apply = (meta: ApplyMeta, payload: Uint8Array): ShardEffects => {
      const effects = current().apply(meta, payload);
      this.node.cluster.statistics.entriesApplied++;
      for (const checker of this.#checkers) checker.onApply(this, meta, payload, effects);
      return effects;
    };
    return {
      apply,
      get applied() {
        return current().applied;
      },
      cut: (scope, at) => current().cut(scope, at),
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
      roundConfirmed: () => {},
      snapshotsWanted: peers => this.#shard.snapshotsWanted(peers),
      install: install => this.#shard.install(install),
    };
  }

  #send(message: RaftMessage): void {
    const { id, cluster } = this.node;
    for (const checker of this.#checkers) checker.onSend(this, message);
    cluster.world.log('n{} g{} sends {} to n{} in term {}', id, this.group, message.type, message.to, message.term);
    cluster.network.send(id, message.to, { group: this.group, message });
    if (message.type === 'vote-response' || message.type === 'append-response') this.node.reachedMoment('release');
  }
}

function writeHead(payload: Uint8Array, timeMs: number): void {
  const out = new ByteWriter(PAYLOAD_HEADER_BYTES);
  writePayloadHeader(out, timeMs);
  payload.set(out.view());
}
