import type { QueueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import { writeDeleteQueue } from '../../../src/queue/commands.ts';
import type { SimNode } from '../sim-node.ts';
import type { Gone, WorkloadPart } from './part.ts';
import type { Workload } from './workload.ts';

const REVIEW_MS_MAX = 400;

export interface Conditions {
  readonly ifUnused: boolean;
  readonly ifEmpty: boolean;
}

/** The owner of all queues: deletes them when an action says so, and declares again what is gone, under the same name. */
export class Owners implements WorkloadPart {
  readonly departures = ['deleted'] as const;
  readonly #workload: Workload;
  readonly #random: Random;
  readonly #deleting = new Set<QueueId>();
  /** Names that group 0 was asked to declare, by the node that asked. */
  readonly #declaring = new Map<string, SimNode>();

  constructor(workload: Workload) {
    this.#workload = workload;
    this.#random = workload.cluster.world.random('owner');
    this.#schedule();
  }

  delete(number: number, { ifUnused, ifEmpty }: Conditions): void {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined || this.#workload.cluster.isCalm) return;
    connection.node.enter(() => {
      const record = this.#workload.find(connection, this.#workload.name(number));
      if (record === undefined || !this.#workload.isAlive(connection)) return;
      this.#deleting.add(record.id);
      const command = { queue: record.id, ifUnused, ifEmpty };
      this.#workload.ask(connection, record, 'deletion', out => writeDeleteQueue(out, command));
    });
  }

  nodeLost(node: SimNode): void {
    for (const [name, asked] of this.#declaring) if (asked === node) this.#declaring.delete(name);
  }

  calmDown(): void {}

  pending(): string | undefined {
    for (const name of this.#workload.shardNames) {
      if (this.#workload.topology.current(name) === undefined) return `${name} is to be declared again`;
    }
    const [declaring] = this.#declaring;
    return declaring && `node ${declaring[1].id} waits for the answer to the declaration of ${declaring[0]}`;
  }

  objection({ message }: Gone): string | undefined {
    if (this.#deleting.has(message.queue)) return undefined;
    if (this.#workload.topology.recordOf(message.queue).config.autoDelete) return undefined;
    return 'nobody deleted the queue';
  }

  #schedule(): void {
    this.#workload.cluster.world.after(this.#random.next() * REVIEW_MS_MAX, () => {
      for (const name of this.#workload.shardNames) this.#declare(name);
      this.#schedule();
    });
  }

  #declare(name: string): void {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined || this.#declaring.has(name)) return;
    const { node } = connection;
    node.enter(() => {
      const { topology } = this.#workload;
      if (topology.find(node, name) !== undefined || this.#declaring.has(name)) return;
      this.#declaring.set(name, node);
      topology.declare(node, this.#workload.configOf(name), () => this.#declaring.delete(name));
    });
  }
}
