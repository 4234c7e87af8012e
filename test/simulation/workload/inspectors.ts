import type { QueueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import { writeCount, writePurge } from '../../../src/queue/commands.ts';
import type { Gone, WorkloadPart } from './part.ts';
import type { Workload } from './workload.ts';

/** Clients that count the messages of queues, now and then, and purge them when an action says so. */
export class Inspectors implements WorkloadPart {
  readonly departures = ['purged'] as const;
  readonly #workload: Workload;
  readonly #random: Random;
  readonly #purging = new Set<QueueId>();
  #isCalm = false;

  constructor(workload: Workload) {
    this.#workload = workload;
    this.#random = workload.cluster.world.random('inspector');
    this.#schedule();
  }

  purge(number: number): void {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined || this.#isCalm) return;
    connection.node.enter(() => {
      const record = this.#workload.find(connection, this.#workload.name(number));
      if (record === undefined || !this.#workload.isAlive(connection)) return;
      this.#purging.add(record.id);
      this.#workload.ask(connection, record, 'purge', out => writePurge(out, record.id));
    });
  }

  nodeLost(): void {}

  calmDown(): void {
    this.#isCalm = true;
  }

  pending(): undefined {
    return undefined;
  }

  objection({ message }: Gone): string | undefined {
    return this.#purging.has(message.queue) ? undefined : 'nobody purged the queue';
  }

  #schedule(): void {
    const { countMs } = this.#workload.swarm;
    if (countMs === undefined || this.#isCalm) return;
    const delayMs = countMs.min + (countMs.max - countMs.min) * this.#random.next();
    this.#workload.cluster.world.after(delayMs, () => {
      this.#count();
      this.#schedule();
    });
  }

  #count(): void {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined) return;
    connection.node.enter(() => {
      const name = this.#workload.name(this.#random.integer(0, this.#workload.names.length - 1));
      const record = this.#workload.find(connection, name);
      if (record === undefined || !this.#workload.isAlive(connection)) return;
      this.#workload.ask(connection, record, 'count', out => writeCount(out, record.id));
    });
  }
}
