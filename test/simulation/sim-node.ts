import { FrameKind } from '../../src/cluster/frames.ts';
import { GroupHost } from '../../src/cluster/group/group-host.ts';
import { assert } from '../../src/lib/assert.ts';
import type { GroupId, NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { RecoveredGroup } from '../../src/raft/log-store.ts';
import type { Cluster } from './cluster.ts';
import type { Frame, RaftPacket } from './packet.ts';
import { SimDisk } from './sim-disk.ts';
import { SimGateway } from './sim-gateway.ts';
import { SimReplica } from './sim-replica.ts';

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

/** One process and its disk. It has the driver's duties: one turn for all groups, ticks, start and stop. */
export class SimNode {
  readonly id: NodeId;
  readonly cluster: Cluster;
  readonly disk: SimDisk;
  /** Empty while the node is down or still recovering. */
  readonly replicas = new Map<GroupId, SimReplica>();
  /** The turns of the event loop. One object per life. */
  host!: GroupHost;
  /** Undefined while the node is down or still recovering. */
  gateway: SimGateway | undefined;
  readonly #random: Random;
  readonly #tickMs: number;
  #isUp = false;
  #isGone = false;
  #life = 0;
  #pausedUntilMs = 0;
  /** Inputs that wait for the end of a pause. */
  #held: (() => void)[] = [];
  #plannedCrash: PlannedCrash | undefined;

  constructor(cluster: Cluster, id: NodeId) {
    this.cluster = cluster;
    this.id = id;
    this.#random = cluster.world.random(`node:${id}`);
    const skew = cluster.swarm.clockSkew ?? 0;
    this.#tickMs = TICK_MS * (1 + skew * (2 * this.#random.next() - 1));
    this.disk = new SimDisk(this);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Never comes back. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Counts starts and stops: what was begun in one life has no effect in the next. */
  get life(): number {
    return this.#life;
  }

  /** This node's own clock, which runs at its own speed. */
  get monotonicMs(): number {
    return (this.cluster.world.nowMs * TICK_MS) / this.#tickMs;
  }

  /** Recovery as after a start of the process: only the disk is known. */
  start(): void {
    assert(!this.#isUp && !this.#isGone, () => `node ${this.id} cannot start`);
    this.#isUp = true;
    this.#life++;
    this.#pausedUntilMs = 0;
    this.#held = [];
    this.host = this.#createHost();
    const { world, checkers, groups } = this.cluster;
    const recovered = this.disk.open();
    world.log('n{} starts with {} groups', this.id, recovered.size);
    for (const group of groups) for (const checker of checkers) checker.onRecover(this.id, group, recovered.get(group));
    const life = this.#life;
    // What recovery found may be in the system's memory only: nothing is said about it before the first work is done.
    this.disk.whenSettled(() => {
      if (this.#life === life) this.#join(recovered);
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
  stopOnDiskFailure(downMs: number): void {
    this.cluster.statistics.syncFailures++;
    this.cluster.world.log('n{} stops: a sync failed', this.id);
    this.#stop();
    this.disk.crash('power');
    this.cluster.streams.nodeDown(this.id, RESET_MS_MAX);
    this.cluster.restartAfter(this, downMs);
  }

  leaveForGood(): void {
    if (this.#isUp) this.crash('process');
    this.#isGone = true;
  }

  /** The faults that this node waits for or is in the middle of are over. */
  calmDown(): void {
    this.#plannedCrash = undefined;
    this.disk.endFaults();
    if (this.#pausedUntilMs > this.cluster.world.nowMs) this.#resume();
  }

  pause(durationMs: number): void {
    this.cluster.statistics.pauses++;
    this.cluster.world.log('n{} pauses for {} ms', this.id, durationMs);
    const life = this.#life;
    this.#pausedUntilMs = this.cluster.world.nowMs + durationMs;
    this.cluster.world.after(durationMs, () => {
      if (this.#life === life && this.#pausedUntilMs <= this.cluster.world.nowMs) this.#resume();
    });
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
    const life = this.#life;
    this.cluster.world.after(delayMs, () => {
      if (this.#life === life) this.cluster.crash(this, planned.loss, planned.downMs);
    });
  }

  receive({ group, message }: RaftPacket): void {
    this.enter(() => this.replicas.get(group)?.receive(message));
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
      for (const replica of this.replicas.values()) replica.checkpoint();
    });
  }

  /** Every input of the process passes here: none arrives while it is paused, all of them afterwards. */
  enter(input: () => void): void {
    if (!this.#isUp) return;
    if (this.#pausedUntilMs > this.cluster.world.nowMs) this.#held.push(input);
    else input();
  }

  /** The same for what was asked for in this life and arrives later. */
  entry(input: () => void): () => void {
    const life = this.#life;
    return () => {
      if (this.#life === life) this.enter(input);
    };
  }

  #join(recovered: ReadonlyMap<GroupId, RecoveredGroup>): void {
    for (const group of this.cluster.groups) {
      const replica = new SimReplica(this, group, recovered.get(group));
      this.replicas.set(group, replica);
      this.host.add(replica);
    }
    this.gateway = new SimGateway(this, this.cluster.nextIncarnation(this.id));
    this.cluster.streams.nodeUp(this.id, this.cluster.membership.voters);
    this.#scheduleTick();
  }

  #createHost(): GroupHost {
    return new GroupHost({
      defer: turn => this.cluster.world.after(this.#random.next() * TURN_MS_MAX, this.entry(turn)),
      flushJournal: () => this.disk.flush(),
    });
  }

  #scheduleTick(): void {
    this.cluster.world.after(
      this.#tickMs,
      this.entry(() => {
        this.#scheduleTick();
        this.host.tick();
        this.gateway?.tick();
      }),
    );
  }

  #resume(): void {
    this.#pausedUntilMs = 0;
    const held = this.#held;
    this.#held = [];
    const life = this.#life;
    for (const input of held) if (this.#life === life) input();
  }

  #stop(): void {
    this.#isUp = false;
    this.#life++;
    this.#held = [];
    this.#plannedCrash = undefined;
    this.host.stop();
    for (const replica of this.replicas.values()) replica.stop();
    this.replicas.clear();
    this.gateway = undefined;
    this.cluster.workload.nodeLost(this);
  }
}
