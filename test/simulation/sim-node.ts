import { FrameKind } from '../../src/cluster/frames.ts';
import { GroupHost } from '../../src/cluster/group/group-host.ts';
import { JournalCleaner } from '../../src/cluster/group/journal-cleaner.ts';
import { recoverReplica } from '../../src/cluster/group/replica-start.ts';
import { StragglerSweep } from '../../src/cluster/group/straggler-sweep.ts';
import { assert } from '../../src/lib/assert.ts';
import type { GroupId, NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { JournalDriver } from '../../src/storage/journal-driver.ts';
import type { Cluster } from './cluster.ts';
import { type KnownMemberships, membershipsIn, withDisk } from './known-memberships.ts';
import type { Frame, LeaderNews, Packet } from './packet.ts';
import { ReplicaFactory } from './replica-factory.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimGateway } from './sim-gateway.ts';
import { SimLogger } from './sim-logger.ts';
import { SimProcess } from './sim-process.ts';
import type { SimReplica } from './sim-replica.ts';
import type { SimStore } from './sim-store.ts';
import { Violation } from './violation.ts';

/** `process`: memory is lost. `power`: so is what the disk was not told to keep. */
export type CrashLoss = 'process' | 'power';

/** What a planned crash waits for: a write under way, a vote or append response that just left, an election that was won. */
export type CrashMoment = 'write' | 'release' | 'elected';

interface PlannedCrash {
  readonly when: CrashMoment;
  readonly loss: CrashLoss;
  readonly downMs: number;
}

/** Frames that speak to a replica; all others speak to this node's clients. */
const FOR_REPLICAS: ReadonlySet<number> = new Set([
  FrameKind.attach,
  FrameKind.batch,
  FrameKind.snapshotRequest,
  FrameKind.snapshotChunk,
]);

const TICK_MS = 50;
/** From the first input of a turn of the event loop to its end. */
const TURN_MS_MAX = 0.3;
/** A crash that waits for a write comes while it is under way. */
const CRASH_DELAY_MS_MAX = 3;
/** Peers notice the end of a process by its connections, the end of a machine by its silence. */
const RESET_MS_MAX = 50;
const SILENCE_MS_MAX = 3_000;
/** Until a node is started again that stopped by itself. */
const DOWN_MS = 500;
const IDLE_TICKS = 5;
const CLEANING_MS = 300;
const SLICE_MS = 8;

/** One process and its disk. It has the driver's duties: one turn for all groups, ticks, start and stop. */
export class SimNode extends SimProcess {
  readonly id: NodeId;
  readonly cluster: Cluster;
  disk: SimDisk;
  readonly logger: SimLogger;
  /** Empty while the node is down or still recovering. */
  readonly replicas = new Map<GroupId, SimReplica>();
  /** The turns of the event loop. One object per life. */
  host!: GroupHost;
  /** Undefined while the node is down or still recovering. */
  gateway: SimGateway | undefined;
  readonly #random: Random;
  readonly #tickMs: number;
  /** Groups of which this node has a replica, open or not. */
  readonly #held = new Set<GroupId>();
  /** Who is said to lead the groups of which there is no replica here, and what the peers' wall clocks showed when. */
  readonly #leaders = new Map<GroupId, LeaderNews>();
  readonly #wallClocks = new Map<NodeId, { readonly wallMs: number; readonly heardMs: number }>();
  readonly #knownAtStop = new Map<GroupId, KnownMemberships>();
  #isGone = false;
  #plannedCrash: PlannedCrash | undefined;
  /** The disk of this life. */
  #store: SimStore | undefined;
  #journal: JournalDriver | undefined;
  /** Who looks after the journal's size. */
  #keepers: readonly (JournalCleaner | StragglerSweep)[] = [];
  #ticks = 0;

  constructor(cluster: Cluster, id: NodeId) {
    super(cluster.world, new SimClock(cluster, id));
    this.cluster = cluster;
    this.id = id;
    this.#random = cluster.world.random(`node:${id}`);
    this.#tickMs = TICK_MS / this.clock.rate;
    this.disk = new SimDisk(this);
    this.logger = new SimLogger(this);
  }

  /** The disk of this life. */
  get store(): SimStore {
    assert(this.#store !== undefined, () => `node ${this.id} is down`);
    return this.#store;
  }

  /** Never comes back. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** This node's own clock, which runs at its own speed. */
  get monotonicMs(): number {
    return this.clock.monotonicMs;
  }

  /** Whether its disk has something to lose, and something to write. */
  get isHolder(): boolean {
    return this.#held.size > 0;
  }

  /** Something that this node had acknowledged is not on its disk any more, or not all of it. */
  get hasLostData(): boolean {
    return this.#isGone || this.disk.isDamaged;
  }

  /** Recovery as after a start of the process: only the disk is known. */
  start(): void {
    assert(!this.isUp && !this.#isGone, () => `node ${this.id} cannot start`);
    this.beginLife();
    this.host = this.#createHost();
    const { world, checkers, groups } = this.cluster;
    this.#leaders.clear();
    this.#wallClocks.clear();
    const opened = this.disk.open();
    if (typeof opened === 'string') {
      world.log('n{} cannot start: {}', this.id, opened);
      this.#stop();
      this.#isGone = true;
      this.cluster.fencing.fenceIfSilent(this);
      return;
    }
    const { store, journal } = opened;
    this.#store = store;
    this.#journal = journal;
    const { recovered } = store;
    world.log('n{} starts with {} groups', this.id, recovered.size);
    for (const group of groups) for (const checker of checkers) checker.onRecover(this.id, group, recovered.get(group));
    const life = this.life;
    // What recovery found may be in the system's memory only: nothing is said about it before the first work is done.
    journal.whenSettled(() => {
      if (this.life === life) void this.#join();
    });
  }

  crash(loss: CrashLoss): void {
    this.cluster.world.log('n{} crashes: {}', this.id, loss);
    this.#stop();
    this.disk.crash(loss);
    if (loss === 'power') this.cluster.network.powerLost(this.id);
    this.cluster.streams.nodeDown(this.id, loss === 'process' ? RESET_MS_MAX : SILENCE_MS_MAX);
  }

  /** A failed sync: the node stops at once; what was written since the last sync may be there or not (R18). */
  stopOnDiskFailure(reason: string, downMs: number = DOWN_MS): void {
    this.cluster.statistics.syncFailures++;
    this.cluster.world.log('n{} stops: {}', this.id, reason);
    this.#stop();
    this.disk.crash('power');
    this.cluster.streams.nodeDown(this.id, RESET_MS_MAX);
    this.cluster.restartAfter(this, downMs);
  }

  leaveForGood(): void {
    if (this.isUp) this.crash('process');
    this.#isGone = true;
  }

  /** The directory is lost, and this node with it. */
  wipe(): void {
    assert(!this.isUp, () => `node ${this.id} is wiped while it runs`);
    this.cluster.world.log('n{} has lost its directory', this.id);
    this.#isGone = true;
    this.disk = new SimDisk(this);
    this.#held.clear();
  }

  /** From now on this node has a replica of the group, which begins empty unless there was one already. */
  hold(group: GroupId): void {
    if (this.#isGone || this.#held.has(group)) return;
    this.#held.add(group);
    if (this.gateway !== undefined && !this.replicas.has(group)) {
      this.cluster.world.promisesGoOn();
      this.enter(() => void this.#openReplica(group));
    }
  }

  /** The replica is opened no more after the next start; until then it goes on as one that nobody told of its removal. */
  letGo(group: GroupId): void {
    this.#held.delete(group);
  }

  /**
   * What this node's log says about the group's members, or said when it stopped, and what its disk says: a crash may leave less than
   * the log said, also of what was taken back, and more than is known to be durable. Undefined if the node knows nothing.
   */
  membershipsOf(group: GroupId): KnownMemberships | undefined {
    if (this.#isGone) return undefined;
    const replica = this.replicas.get(group);
    const inMemory = replica === undefined ? this.#knownAtStop.get(group) : membershipsIn(replica);
    return withDisk(inMemory, this.disk.recoverDurable(group));
  }

  /** Who leads a group that has no replica here, as far as this node heard. */
  leaderElsewhere(group: GroupId): LeaderNews | undefined {
    return this.#leaders.get(group);
  }

  /** What the wall clocks of these nodes show now, as far as this node can tell (R28). */
  wallClocksOf(nodes: readonly NodeId[]): number[] {
    const clocks: number[] = [];
    for (const node of nodes) {
      const heard = this.#wallClocks.get(node);
      if (node === this.id) clocks.push(this.clock.wallMs);
      else if (heard !== undefined) clocks.push(heard.wallMs + this.monotonicMs - heard.heardMs);
    }
    return clocks;
  }

  /** The faults that this node waits for or is in the middle of are over. */
  calmDown(): void {
    this.#plannedCrash = undefined;
    this.disk.endFaults();
    this.endPause();
  }

  override pause(durationMs: number): void {
    this.cluster.statistics.pauses++;
    this.cluster.world.log('n{} pauses for {} ms', this.id, durationMs);
    super.pause(durationMs);
  }

  planCrash(crash: PlannedCrash): void {
    this.#plannedCrash = crash;
  }

  /** Something happened for which a planned crash may wait. */
  reachedMoment(moment: CrashMoment): void {
    const planned = this.#plannedCrash;
    if (planned?.when !== moment) return;
    this.#plannedCrash = undefined;
    const delayMs = moment === 'release' ? 0 : this.#random.next() * CRASH_DELAY_MS_MAX;
    const life = this.life;
    this.cluster.world.after(delayMs, () => {
      if (this.life === life) this.cluster.crash(this, planned.loss, planned.downMs);
    });
  }

  receive(packet: Packet): void {
    this.enter(() => {
      if (!('message' in packet)) {
        const known = this.#leaders.get(packet.group);
        if (known !== undefined && known.term >= packet.term) return;
        this.#leaders.set(packet.group, packet);
        this.gateway?.leaderChanged();
        return;
      }
      const { group, message, wallMs } = packet;
      this.#wallClocks.set(message.from, { wallMs, heardMs: this.monotonicMs });
      this.replicas.get(group)?.receive(message);
    });
  }

  /** A frame of a node that talks to a shard's leader here, or of a leader that talks to this node. */
  receiveFrame(from: NodeId, frame: Frame): void {
    this.enter(() => {
      if (FOR_REPLICAS.has(frame.kind)) this.replicas.get(frame.group)?.receiveFrame(from, frame);
      else this.gateway?.receive(from, frame);
    });
  }

  connected(peer: NodeId): void {
    this.enter(() => {
      for (const replica of this.replicas.values()) replica.peerConnected(peer);
      this.gateway?.leaderChanged();
    });
  }

  disconnected(peer: NodeId): void {
    this.enter(() => {
      for (const replica of this.replicas.values()) replica.peerDisconnected(peer);
      this.gateway?.leaderChanged();
    });
  }

  peerGone(peer: NodeId): void {
    this.cluster.world.log('n{} believes n{} is gone', this.id, peer);
    this.enter(() => {
      for (const replica of this.replicas.values()) replica.peerGone(peer);
    });
  }

  /** The shards refuse this incarnation: its clients are cut off and a new one begins (R24). */
  endIncarnation(): void {
    this.cluster.world.log('n{} learns that it was fenced', this.id);
    this.cluster.workload.nodeLost(this);
    this.gateway = new SimGateway(this, this.cluster.nextIncarnation(this.id));
  }

  checkpointNow(): void {
    this.enter(() => {
      for (const replica of this.replicas.values()) replica.hosted.makeRoom(replica.applied.index, false);
    });
  }

  async #join(): Promise<void> {
    const life = this.life;
    for (const group of this.#held) {
      await this.#openReplica(group);
      if (this.life !== life) return;
    }
    this.#keepers = this.#createKeepers(this.#store!);
    this.gateway = new SimGateway(this, this.cluster.nextIncarnation(this.id));
    this.cluster.fencing.joined(this);
    this.cluster.streams.nodeUp(
      this.id,
      this.cluster.nodes.map(({ id }) => id),
    );
    this.#scheduleTick();
  }

  async #openReplica(group: GroupId): Promise<void> {
    const store = this.#store!;
    const { cluster } = this;
    const life = this.life;
    const isOnlyReplica = cluster.placement.isHeldByOnly(group, this.id);
    const start = await recoverReplica(group, { isOnlyReplica }, { store, logger: this.logger });
    if (this.life !== life || this.replicas.has(group)) return;
    if (start.from === 'a-leader') {
      if (!this.disk.isDamaged) {
        throw new Violation('storage', `node ${this.id} has lost what it had of group ${group}: ${start.reason}`);
      }
      cluster.statistics.lossesNoticed++;
    }
    const replica = new ReplicaFactory(this, store).create(group, start);
    if ((start.from === 'a-leader' || store.recovered.get(group)?.damaged === true) && !replica.raft.damaged) {
      throw new Violation('damage', `node ${this.id} does not know what it has lost of group ${group}`);
    }
    this.replicas.set(group, replica);
    this.host.add(replica);
    this.cluster.replicasChanged();
  }

  #createKeepers(store: SimStore): (JournalCleaner | StragglerSweep)[] {
    const { stragglerBatchBytes: batchBytes } = this.cluster.swarm.limits;
    const options = { periodMs: CLEANING_MS, batchBytes, sliceMs: SLICE_MS, pieceCount: 4, deadMax: 8 };
    const deps = {
      store,
      logger: this.logger,
      group: (id: GroupId) => this.replicas.get(id)?.hosted,
      pause: (delayMs: number) => this.pauseFor(delayMs),
      monotonicMs: () => this.monotonicMs,
    };
    return [new JournalCleaner(options, deps), new StragglerSweep(options, deps)];
  }

  #createHost(): GroupHost {
    return new GroupHost({
      defer: turn => this.cluster.world.after(this.#random.next() * TURN_MS_MAX, this.entry(turn)),
      flushJournal: () => this.#store?.flush(),
    });
  }

  #scheduleTick(): void {
    this.cluster.world.after(
      this.#tickMs,
      this.entry(() => {
        this.#scheduleTick();
        this.host.tick();
        this.gateway?.tick();
        for (const keeper of this.#keepers) keeper.tick();
        if (++this.#ticks % IDLE_TICKS === 0) this.#journal?.idle();
      }),
    );
  }

  #stop(): void {
    this.endLife();
    this.#plannedCrash = undefined;
    this.host.stop();
    for (const keeper of this.#keepers) keeper.stop();
    for (const replica of this.replicas.values()) {
      this.#knownAtStop.set(replica.group, membershipsIn(replica));
      replica.stop();
    }
    this.replicas.clear();
    this.#keepers = [];
    this.#store = undefined;
    this.#journal = undefined;
    this.cluster.replicasChanged();
    this.gateway = undefined;
    this.cluster.workload.nodeLost(this);
  }
}
