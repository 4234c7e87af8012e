import { assert } from '../../src/lib/assert.ts';
import { type GroupId, groupId, type Incarnation, incarnation, type NodeId, nodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Membership } from '../../src/raft/messages.ts';
import { Auditor } from './auditor.ts';
import type { Checker } from './checkers/checker.ts';
import { createCheckers } from './checkers/index.ts';
import type { RaftPacket } from './packet.ts';
import { SimNetwork } from './sim-network.ts';
import { type CrashLoss, type CrashMoment, SimNode } from './sim-node.ts';
import type { SimReplica } from './sim-replica.ts';
import { SimStreams } from './sim-streams.ts';
import { Statistics } from './statistics.ts';
import type { Swarm } from './swarm.ts';
import { Workload } from './workload/workload.ts';
import type { World } from './world.ts';

const FIRST_GROUP = 1;
const LEADER_DOWN_MS = { min: 0, max: 1_500 };
/** A node that is down for so long is fenced. */
const NODE_LEASE_MS = 3_000;
/** Broken connections tell the others that a process is gone, after so long at most, and in this share of crashes. */
const GONE_HINT_MS_MAX = 50;
const GONE_HINT_RATE = 0.6;

/** All nodes, what connects them, and who watches. Actions and checkers see the simulated system through this class. */
export class Cluster {
  readonly world: World;
  readonly swarm: Swarm;
  readonly nodes: readonly SimNode[];
  readonly groups: readonly GroupId[];
  readonly network: SimNetwork<RaftPacket>;
  readonly streams: SimStreams;
  readonly workload: Workload;
  readonly auditor: Auditor;
  readonly statistics = new Statistics();
  readonly checkers: readonly Checker[];
  readonly #random: Random;
  /** By node: its latest incarnation, and the latest that is fenced (R24). */
  readonly #incarnations = new Map<NodeId, number>();
  readonly #fences = new Map<NodeId, number>();
  #isCalm = false;
  readonly #afterStep = (): void => {
    for (const checker of this.checkers) checker.onStep();
  };

  constructor(world: World, swarm: Swarm) {
    this.world = world;
    this.swarm = swarm;
    this.#random = world.random('cluster');
    this.groups = Array.from({ length: swarm.groups }, (_, i) => groupId(FIRST_GROUP + i));
    this.nodes = Array.from({ length: swarm.nodes }, (_, i) => new SimNode(this, nodeId(i + 1)));
    this.network = new SimNetwork<RaftPacket>(world, swarm.network, {
      lifeOf: node => this.node(node).life,
      deliver: (to, packet) => this.node(to).receive(packet),
    });
    this.streams = new SimStreams(world, swarm.network.breaks, {
      isUp: node => this.node(node).isUp,
      isCut: (from, to) => this.network.isCut(from, to),
      delayMs: (from, to) => this.network.delayMs(from, to),
      deliver: (from, to, frame) => this.node(to).receiveFrame(from, frame),
      connected: (node, peer) => this.node(node).connected(peer),
      disconnected: (node, peer) => this.node(node).disconnected(peer),
    });
    this.auditor = new Auditor(this);
    this.workload = new Workload(this);
    this.checkers = [...createCheckers(this), this.auditor];
    for (const node of this.nodes) node.start();
  }

  /** Who takes part in every group. */
  get membership(): Membership {
    return { voters: this.nodes.map(node => node.id), outgoing: [], learners: [] };
  }

  /** No more faults: the liveness phase. */
  get isCalm(): boolean {
    return this.#isCalm;
  }

  advance(durationMs: number): void {
    this.world.advance(durationMs, this.#afterStep);
  }

  node(id: NodeId): SimNode {
    const node = this.nodes[id - 1];
    assert(node !== undefined, () => `no node ${id}`);
    return node;
  }

  group(number: number): GroupId {
    return this.groups[number % this.groups.length]!;
  }

  liveNode(number: number): SimNode | undefined {
    const live = this.nodes.filter(node => node.isUp);
    return live[number % live.length];
  }

  /** All replicas on nodes that are up. */
  *replicas(): Generator<SimReplica> {
    for (const node of this.nodes) yield* node.replicas.values();
  }

  replicasOf(group: GroupId): SimReplica[] {
    return this.nodes.flatMap(node => node.replicas.get(group) ?? []);
  }

  /** The leader of the highest term, if one is up. */
  leaderOf(group: GroupId): SimReplica | undefined {
    let leader: SimReplica | undefined;
    for (const replica of this.replicasOf(group)) {
      if (replica.raft.role === 'leader' && (leader === undefined || replica.raft.term > leader.raft.term))
        leader = replica;
    }
    return leader;
  }

  /** Group 0 counts the starts of a node; the earlier ones are over (R24). */
  nextIncarnation(node: NodeId): Incarnation {
    const next = (this.#incarnations.get(node) ?? 0) + 1;
    this.#incarnations.set(node, next);
    this.#fence(node, next - 1);
    return incarnation(next);
  }

  /** Group 0 takes the node's present incarnation for dead, rightly or not. */
  fenceNode(node: SimNode): void {
    this.world.log('n{} is fenced', node.id);
    this.#fence(node.id, this.#incarnations.get(node.id) ?? 0);
  }

  /** What group 0 says about dead incarnations. */
  fences(): readonly { readonly node: NodeId; readonly through: number }[] {
    return [...this.#fences].map(([node, through]) => ({ node, through }));
  }

  #fence(node: NodeId, through: number): void {
    if (through <= (this.#fences.get(node) ?? 0)) return;
    this.#fences.set(node, through);
    for (const replica of this.replicas()) replica.reviewFences();
  }

  crash(node: SimNode, loss: CrashLoss, downMs: number): void {
    if (!node.isUp) return;
    if (loss === 'process') this.statistics.processCrashes++;
    else this.statistics.powerLosses++;
    node.crash(loss);
    this.#fenceIfSilent(node);
    for (const checker of this.checkers) checker.onCrash(node.id, loss);
    this.#hintGone(node);
    this.restartAfter(node, downMs);
  }

  restartAfter(node: SimNode, downMs: number): void {
    const { life } = node;
    this.world.after(downMs, () => {
      if (node.life === life) this.restart(node);
    });
  }

  restart(node: SimNode): void {
    if (node.isUp || node.isGone) return;
    this.statistics.restarts++;
    node.start();
  }

  /** Nodes whose bit is set in `side` cannot reach the others; both ways, or only from the side to the others. */
  partition(side: number, options: { readonly oneWay: boolean; readonly durationMs: number }): void {
    const isInside = (node: SimNode): boolean => (side & (1 << (node.id - 1))) !== 0;
    for (const from of this.nodes) {
      for (const to of this.nodes) {
        if (!isInside(from) || isInside(to)) continue;
        this.network.cut(from.id, to.id);
        if (!options.oneWay) this.network.cut(to.id, from.id);
      }
    }
    this.statistics.partitions++;
    this.world.log('partition {} one-way={}', side, options.oneWay);
    this.world.after(options.durationMs, () => this.network.heal());
  }

  /** The liveness phase begins: a majority is restarted and healed, everybody else is gone for good. */
  calmDown(): void {
    this.#isCalm = true;
    const random = this.world.random('core');
    const order = [...this.nodes];
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.integer(0, i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    const core = random.integer(Math.floor(order.length / 2) + 1, order.length);
    for (const node of order.slice(core)) {
      node.leaveForGood();
      this.#fenceIfSilent(node);
    }
    this.network.endFaults();
    this.streams.endFaults();
    for (const node of order.slice(0, core)) {
      node.calmDown();
      this.restart(node);
    }
    this.workload.calmDown();
    this.world.log('calm: {} of {} nodes remain', core, order.length);
  }

  /** In some runs leaders do not live long. */
  elected({ node }: SimReplica): void {
    const { leaderLifeMs } = this.swarm;
    if (leaderLifeMs === undefined || this.#isCalm) return;
    const { min, max } = leaderLifeMs;
    const { life } = node;
    const loss = this.#random.next() < 0.5 ? 'process' : 'power';
    const downMs = this.#random.integer(LEADER_DOWN_MS.min, LEADER_DOWN_MS.max);
    this.world.after(min + (max - min) * this.#random.next() ** 2, () => {
      if (node.life === life && !this.#isCalm) this.crash(node, loss, downMs);
    });
  }

  /** Waits for the next moment of this kind on the node. */
  crashAt(node: SimNode, when: CrashMoment, loss: CrashLoss, downMs: number): void {
    node.planCrash({ when, loss, downMs });
  }

  /** What must still happen before the run is over, as a sentence; undefined if nothing is. */
  pending(): string | undefined {
    for (const group of this.groups) {
      const leader = this.leaderOf(group);
      if (leader === undefined) return `group ${group} has no leader`;
      for (const replica of this.replicasOf(group)) {
        const { index } = replica.applied;
        if (index < leader.raft.lastId.index) {
          return `node ${replica.node.id} has applied ${index} of ${leader.raft.lastId.index} of group ${group}`;
        }
      }
    }
    for (const node of this.nodes)
      if (!node.isGone && node.replicas.size === 0) return `node ${node.id} is still recovering`;
    return this.workload.pending();
  }

  /** The lease of a node that is down runs out. */
  #fenceIfSilent(node: SimNode): void {
    const { life } = node;
    this.world.after(NODE_LEASE_MS, () => {
      if (node.life === life) this.fenceNode(node);
    });
  }

  #hintGone(gone: SimNode): void {
    for (const node of this.nodes) {
      if (node === gone || !node.isUp || this.#random.next() >= GONE_HINT_RATE) continue;
      this.world.after(this.#random.next() * GONE_HINT_MS_MAX, () => {
        if (!this.network.isCut(gone.id, node.id)) node.peerGone(gone.id);
      });
    }
  }
}
