import { assert } from '../../../src/lib/assert.ts';
import { type NodeId, type QueueId, queueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { QueueConfig } from '../../../src/queue/commands.ts';
import type { Cluster } from '../cluster.ts';
import type { SimNode } from '../sim-node.ts';

/** What group 0 knows of a queue. */
export interface QueueRecord {
  readonly id: QueueId;
  readonly config: QueueConfig;
}

type Change =
  | { readonly kind: 'declared'; readonly record: QueueRecord }
  | { readonly kind: 'removed'; readonly record: QueueRecord };

interface View {
  /** Changes that this node has applied. */
  applied: number;
  readonly names: Map<string, QueueRecord>;
  /** By change: when this node applies it. */
  readonly knownAtMs: number[];
}

const DECISION_MS = { min: 1, max: 30 };
const LAG_MS_MAX = 20;
const LONG_LAG_MS_MAX = 1_200;
const LONG_LAG_RATE = 0.1;
const FAILURE_RATE = 0.1;

/**
 * Group 0 as clients and shards see it, without its replicas: one order of changes of names, which each node applies a little later,
 * and which are answered when all nodes have (R2, R3). Ids are never given again.
 */
export class Topology {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #names = new Map<string, QueueRecord>();
  readonly #records = new Map<QueueId, QueueRecord>();
  readonly #removedAt = new Map<QueueId, number>();
  readonly #changes: Change[] = [];
  readonly #views = new Map<NodeId, View>();
  #lastQueue = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#random = cluster.world.random('topology');
  }

  /** What every node knows from the beginning. */
  begin(config: QueueConfig): void {
    this.#declare(config);
    for (const { id } of this.#cluster.nodes) this.#view(id).knownAtMs[this.#changes.length - 1] = 0;
  }

  /** Answered with the queue of this name, new or not; never, if the asking node goes. */
  declare(node: SimNode, config: QueueConfig, done: (record: QueueRecord) => void): void {
    this.#decide(node, () => {
      const known = this.#names.get(config.name);
      const record = known ?? this.#declare(config);
      this.#whenKnown(node, () => done(record));
    });
  }

  /** For the leader of a shard: group 0 removes the name, or cannot decide at present. */
  removeName(node: SimNode, queue: QueueId): Promise<number> {
    return this.answer(node, () => this.#remove(queue));
  }

  /** An answer of group 0, or none at present. */
  answer(node: SimNode, decision: () => number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#decide(node, () => {
        if (!this.#cluster.isCalm && this.#random.next() < FAILURE_RATE) {
          reject(new Error('group 0 has no leader'));
          this.#cluster.world.promisesGoOn();
          return;
        }
        const index = decision();
        this.#whenKnown(node, () => {
          resolve(index);
          this.#cluster.world.promisesGoOn();
        });
      });
    });
  }

  /** The index of group 0's log that the node has applied. */
  indexAt(node: SimNode): number {
    return this.#refresh(node).applied;
  }

  /** The queue of this name as the node knows it. */
  find(node: SimNode, name: string): QueueRecord | undefined {
    return this.#refresh(node).names.get(name);
  }

  /** As group 0 has it. */
  current(name: string): QueueRecord | undefined {
    return this.#names.get(name);
  }

  recordOf(queue: QueueId): QueueRecord {
    const record = this.#records.get(queue);
    assert(record !== undefined, () => `queue ${queue} was never declared`);
    return record;
  }

  /** A new start of a node keeps nothing of what it said to the shards. */
  #refresh(node: SimNode): View {
    const view = this.#view(node.id);
    const { nowMs } = this.#cluster.world;
    while (view.applied < this.#changes.length && view.knownAtMs[view.applied]! <= nowMs) {
      const { kind, record } = this.#changes[view.applied++]!;
      const { name } = record.config;
      if (kind === 'declared') view.names.set(name, record);
      else if (view.names.get(name) === record) view.names.delete(name);
      if (kind === 'removed') node.gateway?.client(this.#cluster.group(record.id)).forget(record.id);
    }
    return view;
  }

  /** A new id. */
  record(config: QueueConfig): QueueRecord {
    const record = { id: queueId(++this.#lastQueue), config };
    this.#records.set(record.id, record);
    return record;
  }

  #declare(config: QueueConfig): QueueRecord {
    const record = this.record(config);
    this.#names.set(config.name, record);
    this.#append({ kind: 'declared', record });
    return record;
  }

  #remove(queue: QueueId): number {
    const known = this.#removedAt.get(queue);
    if (known !== undefined) return known;
    const record = this.recordOf(queue);
    if (this.#names.get(record.config.name) === record) this.#names.delete(record.config.name);
    this.#append({ kind: 'removed', record });
    this.#removedAt.set(queue, this.#changes.length);
    return this.#changes.length;
  }

  #append(change: Change): void {
    const views = this.#cluster.nodes.map(({ id }) => this.#view(id));
    this.#changes.push(change);
    const { name } = change.record.config;
    this.#cluster.world.log(`queue {} called ${name} is ${change.kind} in group 0`, change.record.id);
    for (const { knownAtMs } of views) {
      const isLong = !this.#cluster.isCalm && this.#random.next() < LONG_LAG_RATE;
      const lagMs = this.#random.next() * (isLong ? LONG_LAG_MS_MAX : LAG_MS_MAX);
      knownAtMs.push(Math.max(knownAtMs.at(-1) ?? 0, this.#cluster.world.nowMs + lagMs));
    }
  }

  #decide(node: SimNode, decision: () => void): void {
    const { min, max } = DECISION_MS;
    this.#cluster.world.after(min + (max - min) * this.#random.next(), node.entry(decision));
  }

  #whenKnown(node: SimNode, answer: () => void): void {
    const lastMs = Math.max(...[...this.#views.values()].map(({ knownAtMs }) => knownAtMs.at(-1) ?? 0));
    this.#cluster.world.after(Math.max(0, lastMs - this.#cluster.world.nowMs), node.entry(answer));
  }

  #view(node: NodeId): View {
    let view = this.#views.get(node);
    if (view === undefined) {
      // A node that joins later begins with all of it.
      view = { applied: 0, names: new Map(), knownAtMs: this.#changes.map(() => this.#cluster.world.nowMs) };
      this.#views.set(node, view);
    }
    return view;
  }
}
