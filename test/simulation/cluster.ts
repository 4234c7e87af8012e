import { assert } from '../../src/lib/assert.ts';
import { type GroupId, groupId, type Incarnation, type NodeId, nodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { StepShares } from '../../src/queue/limits.ts';
import { Auditor } from './auditor.ts';
import type { Checker } from './checkers/checker.ts';
import { createCheckers } from './checkers/index.ts';
import type { Packet } from './packet.ts';
import type { DiskDamage } from './sim-disk.ts';
import { type Fence, SimFencing } from './sim-fencing.ts';
import { SimNetwork } from './sim-network.ts';
import { type CrashLoss, type CrashMoment, SimNode } from './sim-node.ts';
import { SimPlacement } from './sim-placement.ts';
import type { SimReplica } from './sim-replica.ts';
import { SimStreams } from './sim-streams.ts';
import { SimWeather } from './sim-weather.ts';
import { Statistics } from './statistics.ts';
import { type Swarm, stepSharesOf } from './swarm.ts';
import { Workload } from './workload/workload.ts';
import type { World } from './world.ts';

const FIRST_GROUP = 1;
const LEADER_DOWN_MS = { min: 0, max: 1_500 };
/** Broken connections tell the others that a process is gone, after so long at most, and in this share of crashes. */
const GONE_HINT_MS_MAX = 50;
const GONE_HINT_RATE = 0.6;

/** All nodes, what connects them, and who watches. Actions and checkers see the simulated system through this class. */
export class Cluster {
  readonly world: World;
  readonly swarm: Swarm;
  /** In the order of their ids, from 1. Those that are gone stay; new ones come to the end. */
  readonly nodes: SimNode[] = [];
  readonly groups: readonly GroupId[];
  /** How much every replica of a shard does with one entry. */
  readonly stepShares: StepShares;
  readonly network: SimNetwork<Packet>;
  readonly weather: SimWeather;
  readonly streams: SimStreams;
  readonly fencing: SimFencing;
  readonly placement: SimPlacement;
  readonly workload: Workload;
  readonly auditor: Auditor;
  readonly statistics = new Statistics();
  readonly checkers: readonly Checker[];
  readonly #random: Random;
  #replicas: readonly SimReplica[] | undefined;
  #isCalm = false;
  readonly #afterStep = (): void => {
    for (const checker of this.checkers) checker.onStep();
  };

  constructor(world: World, swarm: Swarm) {
    this.world = world;
    this.swarm = swarm;
    this.#random = world.random('cluster');
    this.stepShares = stepSharesOf(swarm.limits);
    this.groups = Array.from({ length: swarm.groups }, (_, i) => groupId(FIRST_GROUP + i));
    this.network = new SimNetwork<Packet>(world, swarm.network, this.statistics, {
      lifeOf: node => this.node(node).life,
      deliver: (to, packet) => this.node(to).receive(packet),
    });
    this.streams = new SimStreams(world, swarm.network.breaks, this.statistics, {
      isUp: node => this.node(node).isUp,
      isCut: (from, to) => this.network.isCut(from, to),
      cloggedUntilMs: (from, to) => this.network.cloggedUntilMs(from, to),
      delayMs: (from, to) => this.network.delayMs(from, to),
      deliver: (from, to, frame) => this.node(to).receiveFrame(from, frame),
      connected: (node, peer) => this.node(node).connected(peer),
      disconnected: (node, peer) => this.node(node).disconnected(peer),
    });
    this.fencing = new SimFencing(this);
    for (let i = 0; i < swarm.nodes + (swarm.spares ?? 0); i++) this.#createNode();
    this.placement = new SimPlacement(this);
    for (const node of this.nodes) for (const group of this.groups) if (this.#isFounder(node)) node.hold(group);
    this.weather = new SimWeather(this);
    this.auditor = new Auditor(this);
    this.workload = new Workload(this);
    this.checkers = [...createCheckers(this), this.auditor];
    for (const node of this.nodes) node.start();
  }

  /** Publishers are held while a node says that its disk has no room (R18). */
  get isShortOfSpace(): boolean {
    return this.nodes.some(({ isUp, disk }) => isUp && disk.isFull);
  }

  /** No more faults: the liveness phase. */
  get isCalm(): boolean {
    return this.#isCalm;
  }

  advance(durationMs: number): Promise<void> {
    return this.world.advance(durationMs, this.#afterStep);
  }

  node(id: NodeId): SimNode {
    const node = this.nodes[id - 1];
    assert(node !== undefined, () => `no node ${id}`);
    return node;
  }

  /** An empty machine joins the cluster. */
  addNode(): SimNode {
    const node = this.#createNode();
    this.world.log('n{} is new', node.id);
    node.start();
    return node;
  }

  group(number: number): GroupId {
    return this.groups[number % this.groups.length]!;
  }

  liveNode(number: number): SimNode | undefined {
    const live = this.nodes.filter(node => node.isUp);
    return live[number % live.length];
  }

  /** One with replicas, which writes: where a fault of the disk shows. */
  liveHolder(number: number): SimNode | undefined {
    const live = this.nodes.filter(node => node.isUp && node.isHolder);
    return live[number % live.length];
  }

  /** All replicas on nodes that are up, members or not. */
  replicas(): readonly SimReplica[] {
    this.#replicas ??= this.nodes.flatMap(node => [...node.replicas.values()]);
    return this.#replicas;
  }

  /** A node started or stopped, or opened a replica. */
  replicasChanged(): void {
    this.#replicas = undefined;
  }

  replicasOf(group: GroupId): SimReplica[] {
    return this.replicas().filter(replica => replica.group === group);
  }

  /** Those of the replicas that take part, as the leader sees it; all of them if there is no leader. */
  membersOf(group: GroupId): SimReplica[] {
    const membership = this.leaderOf(group)?.raft.membership;
    const replicas = this.replicasOf(group);
    if (membership === undefined) return replicas;
    const { voters, outgoing, learners } = membership;
    return replicas.filter(({ node }) => [voters, outgoing, learners].some(list => list.includes(node.id)));
  }

  /** The leader of the highest term, if one is up. */
  leaderOf(group: GroupId): SimReplica | undefined {
    let leader: SimReplica | undefined;
    for (const replica of this.replicas()) {
      if (replica.group !== group || replica.raft.role !== 'leader') continue;
      if (leader === undefined || replica.raft.term > leader.raft.term) leader = replica;
    }
    return leader;
  }

  /** Every group has a leader that takes proposals. */
  get isServed(): boolean {
    return this.groups.every(group => this.leaderOf(group)?.isServing === true);
  }

  /** Group 0 counts the starts of a node; the earlier ones are over (R24). */
  nextIncarnation(node: NodeId): Incarnation {
    return this.fencing.nextIncarnation(node);
  }

  /** Group 0 takes the node's present incarnation for dead, rightly or not. */
  fenceNode(node: SimNode): void {
    this.fencing.fence(node);
  }

  /** What group 0 says about dead incarnations; nodes hear of it later. */
  fences(): readonly Fence[] {
    return this.nodes.map(({ id }) => ({ node: id, through: this.fencing.decreedFor(id) }));
  }

  crash(node: SimNode, loss: CrashLoss, downMs: number): void {
    if (!node.isUp) return;
    if (loss === 'process') this.statistics.processCrashes++;
    else this.statistics.powerLosses++;
    this.#crash(node, loss);
    this.restartAfter(node, downMs);
  }

  /**
   * The machine comes back with an empty disk: as another node, since a participant is a name with a directory (R9). False: one of
   * the groups would lose a majority of its disks.
   */
  wipe(node: SimNode, downMs: number): boolean {
    if (node.isGone || this.#isCalm || !this.placement.mayLose(node)) return false;
    this.statistics.wipes++;
    if (node.isUp) this.#crash(node, 'power');
    node.wipe();
    this.fencing.fenceIfSilent(node);
    this.world.after(downMs, () => {
      if (!this.#isCalm) this.placement.replaceEverywhere(node, this.addNode());
    });
    return true;
  }

  /**
   * A disk loses what it had synced. In every group a majority of disks stays as it is, so nothing is lost that was confirmed; a
   * disk that was damaged once may be damaged again. `first`: of the nodes from this one on, the first that may.
   */
  damage(first: number, what: DiskDamage, crash: CrashLoss | 'blackout' | 'none', downMs: number): void {
    if (this.swarm.disk.damage === undefined || this.#isCalm) return;
    const { nodes, placement } = this;
    const node = nodes
      .map((_, i) => nodes[(first + i) % nodes.length]!)
      .find(one => !one.isGone && one.disk.canLose && (one.disk.isDamaged || placement.mayLose(one)));
    if (node === undefined) return;
    if (crash === 'blackout') for (const one of this.nodes) this.crash(one, 'power', downMs);
    else if (crash !== 'none') this.crash(node, crash, downMs);
    const done = [what, 'record' as const, 'value' as const].find(one => node.disk.damage(one));
    if (done === undefined) return;
    this.statistics.damages++;
    this.world.log('n{} loses a {}', node.id, done);
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
    this.weather.partition(this.weather.side('some', side), options);
  }

  /** The liveness phase begins: a majority is restarted and healed, everybody else is gone for good. */
  calmDown(): void {
    this.#isCalm = true;
    const order = this.nodes.filter(node => !node.isGone);
    const core = this.#drawCore(order);
    for (const node of order) {
      if (core.includes(node)) continue;
      node.leaveForGood();
      this.fencing.fenceIfSilent(node);
    }
    this.network.endFaults();
    this.streams.endFaults();
    this.placement.calmDown();
    for (const node of core) {
      node.calmDown();
      this.restart(node);
    }
    this.fencing.calmDown();
    this.workload.calmDown();
    this.world.log('calm: n{} remain', core.map(node => node.id).join());
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
      for (const replica of this.membersOf(group)) {
        const { index } = replica.applied;
        if (index < leader.raft.lastId.index) {
          return `node ${replica.node.id} has applied ${index} of ${leader.raft.lastId.index} of group ${group}`;
        }
      }
    }
    for (const node of this.nodes)
      if (!node.isGone && node.gateway === undefined) return `node ${node.id} is still recovering`;
    return this.placement.pending() ?? this.fencing.pending() ?? this.workload.pending();
  }

  #isFounder(node: SimNode): boolean {
    return this.placement.isFounder(node.id);
  }

  #createNode(): SimNode {
    const node = new SimNode(this, nodeId(this.nodes.length + 1));
    this.nodes.push(node);
    return node;
  }

  #crash(node: SimNode, loss: CrashLoss): void {
    node.crash(loss);
    this.fencing.fenceIfSilent(node);
    for (const checker of this.checkers) checker.onCrash(node.id, loss);
    this.#hintGone(node);
  }

  /** Nodes in any order, until they are a majority of every membership that may be in force; and some more. */
  #drawCore(order: readonly SimNode[]): SimNode[] {
    const random = this.world.random('core');
    const shuffled = [...order];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = random.integer(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    let count = random.integer(1, shuffled.length);
    while (count < shuffled.length && !this.#hasMajorities(shuffled.slice(0, count))) count++;
    return shuffled.slice(0, count);
  }

  #hasMajorities(nodes: readonly SimNode[]): boolean {
    const isWhole = (id: NodeId): boolean => nodes.some(node => node.id === id && !node.hasLostData);
    return this.groups.every(group => this.placement.hasMajorities(group, isWhole));
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
