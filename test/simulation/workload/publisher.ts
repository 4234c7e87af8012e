import type { PublishOrigin } from '../../../src/broker/gateway.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { Outcome } from '../../../src/queue/outcomes.ts';
import type { SimNode } from '../sim-node.ts';
import { fieldsOf, type Message } from './message.ts';
import type { Workload } from './workload.ts';

const OUTSTANDING_MAX = 100;
const RECONNECT_MS_MAX = 300;

/** A client connection: its publishes keep their order, and their outcomes are unknown when it breaks. */
interface Connection extends PublishOrigin {
  readonly id: number;
  readonly node: SimNode;
  readonly outstanding: Map<number, Message>;
}

/** A client that publishes, waits for confirms, and publishes again whatever has no certain outcome. */
export class Publisher {
  readonly #workload: Workload;
  readonly #random: Random;
  #connection: Connection | undefined;
  /** Publishes that are to be repeated: their connection broke before they were confirmed. */
  #repeats = 0;
  #isDone = false;

  constructor(workload: Workload, index: number) {
    this.#workload = workload;
    this.#random = workload.cluster.world.random(`publisher:${index}`);
    this.#schedule();
  }

  /** What has no certain outcome yet. */
  get pending(): number {
    return this.#repeats + (this.#connection?.outstanding.size ?? 0);
  }

  /** No new messages; the old ones are still brought to an end. */
  finish(): void {
    this.#isDone = true;
  }

  /** Publishes so many in one go. */
  burst(count: number): void {
    for (let i = 0; i < count; i++) this.#publish();
  }

  nodeLost(node: SimNode): void {
    if (this.#connection?.node !== node) return;
    const { outstanding } = this.#connection;
    this.#workload.cluster.statistics.unknownOutcomes += outstanding.size;
    this.#repeats += outstanding.size;
    this.#connection = undefined;
  }

  #schedule(): void {
    const { publishMs } = this.#workload.swarm;
    const isReconnecting = this.#connection === undefined;
    const delayMs = isReconnecting
      ? this.#random.next() * RECONNECT_MS_MAX
      : publishMs.min + (publishMs.max - publishMs.min) * this.#random.next();
    this.#workload.cluster.world.after(delayMs, () => {
      this.#connection ??= this.#connect();
      if (this.#repeats > 0 || !this.#isDone) this.#publish();
      this.#schedule();
    });
  }

  #connect(): Connection | undefined {
    const node = this.#workload.pickNode(this.#random);
    if (node === undefined) return undefined;
    const outstanding = new Map<number, Message>();
    const published = (first: number, last: number, refusal: Outcome | undefined): void => {
      for (let id = first; id <= last; id++) this.#decided(outstanding, id, refusal);
    };
    return { id: this.#workload.nextConnection(), node, outstanding, published };
  }

  #publish(): void {
    const connection = this.#connection;
    if (connection === undefined || connection.outstanding.size >= OUTSTANDING_MAX) return;
    const queues = this.#workload.pickQueues(this.#random);
    const client = connection.node.gateway?.client(this.#workload.groupOf(queues[0]!));
    if (client === undefined || client.outbox.isFull) return;
    if (this.#repeats > 0) this.#repeats--;
    const message: Message = {
      id: this.#workload.nextMessage(),
      connection: connection.id,
      queues,
      bodyBytes: this.#random.integer(0, this.#workload.swarm.bodyBytesMax),
    };
    connection.outstanding.set(message.id, message);
    this.#workload.auditor.published(message);
    connection.node.enter(() => {
      if (this.#connection !== connection) return;
      for (const queue of queues) this.#workload.introduce(client, queue);
      client.publish(queues, fieldsOf(message), connection, message.id);
    });
  }

  #decided(outstanding: Map<number, Message>, id: number, refusal: Outcome | undefined): void {
    const message = outstanding.get(id);
    if (message === undefined) return;
    outstanding.delete(id);
    if (refusal === undefined) {
      this.#workload.auditor.confirmed(message);
      return;
    }
    this.#workload.auditor.refused(message);
    this.#repeats++;
  }
}
