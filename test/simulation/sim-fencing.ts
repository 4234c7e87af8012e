import { type GroupId, type Incarnation, incarnation, type NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Cluster } from './cluster.ts';
import type { SimNode } from './sim-node.ts';
import type { SimReplica } from './sim-replica.ts';

/** A node that is down for so long is fenced. */
const NODE_LEASE_MS = 3_000;
const CALM_DELAY_MS_MAX = 50;

export interface Fence {
  readonly node: NodeId;
  /** This incarnation and all before it. */
  readonly through: number;
}

/**
 * What group 0 decides about incarnations (R24), and what each node knows of it: decisions reach the nodes late and at different
 * times, some when the fenced node is back under a new incarnation; a node that restarts hears all of it anew.
 */
export class SimFencing {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #latest = new Map<NodeId, number>();
  readonly #decreed = new Map<NodeId, number>();
  /** By node: what it knows, in this life of it. */
  readonly #known = new Map<NodeId, { readonly life: number; readonly fences: Map<NodeId, number> }>();

  #repeats: { readonly group: GroupId; readonly fence: Fence }[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#random = cluster.world.random('fencing');
  }

  /** Group 0 counts the starts of a node; the earlier ones are over. */
  nextIncarnation(node: NodeId): Incarnation {
    const next = this.latestOf(node) + 1;
    this.#latest.set(node, next);
    this.#decree(node, next - 1);
    return incarnation(next);
  }

  latestOf(node: NodeId): number {
    return this.#latest.get(node) ?? 0;
  }

  /** The highest incarnation that may be fenced anywhere. */
  decreedFor(node: NodeId): number {
    return this.#decreed.get(node) ?? 0;
  }

  /** Takes the node's present incarnation for dead, rightly or not. */
  fence(node: SimNode): void {
    const latest = this.latestOf(node.id);
    if (latest <= this.decreedFor(node.id)) return;
    if (node.gateway?.incarnation === latest) this.#cluster.statistics.livingFenced++;
    this.#cluster.world.log('n{} is fenced', node.id);
    this.#decree(node.id, latest);
  }

  /** The lease of a node that is down runs out. */
  fenceIfSilent(node: SimNode): void {
    const { life } = node;
    this.#cluster.world.after(NODE_LEASE_MS, () => {
      if (node.life === life) this.fence(node);
    });
  }

  /** What the group 0 of this node has applied. */
  knownTo(node: SimNode): readonly Fence[] {
    return [...this.#knownBy(node)].map(([fenced, through]) => ({ node: fenced, through }));
  }

  /** A node that starts hears of everything that was decided so far. */
  joined(node: SimNode): void {
    for (const [fenced, through] of this.#decreed) this.#tell(node, fenced, through);
  }

  /** Nothing takes long any more: who has not heard hears now. */
  calmDown(): void {
    for (const node of this.#cluster.nodes) if (node.isUp) this.joined(node);
  }

  /** The next leader of the group that serves fences once more who is fenced already: it has not heard that it was done. */
  repeat(group: GroupId, fence: Fence): void {
    this.#repeats.push({ group, fence });
  }

  /** A leader that serves looks what it has to fence. */
  review(leader: SimReplica): void {
    const due = this.#repeats.filter(({ group }) => group === leader.group);
    if (due.length === 0) return;
    this.#repeats = this.#repeats.filter(({ group }) => group !== leader.group);
    this.#cluster.statistics.fencesRepeated += due.length;
    for (const { fence } of due) leader.proposeFence(fence.node, fence.through);
  }

  /** What a group's machine has still to be told, as a sentence. */
  pending(): string | undefined {
    for (const group of this.#cluster.groups) {
      const machine = this.#cluster.leaderOf(group)?.machine;
      for (const [node, through] of this.#decreed) {
        if (through > 0 && machine?.isFenced(node, incarnation(through)) === false)
          return `group ${group} has not fenced incarnation ${through} of node ${node}`;
      }
    }
    return undefined;
  }

  #decree(node: NodeId, through: number): void {
    if (through <= this.decreedFor(node)) return;
    this.#decreed.set(node, through);
    for (const other of this.#cluster.nodes) if (other.isUp) this.#tell(other, node, through);
  }

  #tell(node: SimNode, fenced: NodeId, through: number): void {
    const { life } = node;
    this.#cluster.world.after(this.#delayMs(), () => {
      if (node.life !== life) return;
      node.enter(() => {
        const known = this.#knownBy(node);
        if ((known.get(fenced) ?? 0) >= through) return;
        known.set(fenced, through);
        for (const replica of node.replicas.values()) replica.reviewFences();
      });
    });
  }

  #delayMs(): number {
    const { fenceDelayMs } = this.#cluster.swarm;
    if (this.#cluster.isCalm || fenceDelayMs === undefined) return CALM_DELAY_MS_MAX * this.#random.next();
    return fenceDelayMs.min + (fenceDelayMs.max - fenceDelayMs.min) * this.#random.next();
  }

  #knownBy(node: SimNode): Map<NodeId, number> {
    const { life } = node;
    let known = this.#known.get(node.id);
    if (known?.life !== life) {
      known = { life, fences: new Map() };
      this.#known.set(node.id, known);
    }
    return known.fences;
  }
}
