import type { ShellClient } from '../shell-cluster.ts';
import type { Message } from './auditor.ts';
import type { Slot } from './slots.ts';
import { pick, Worker, type WorkerContext } from './worker.ts';

/** Durable queues hang on some of the keys from the start, others come and go. */
export const EXCHANGE = 'x';
export const KEYS = ['k0', 'k1', 'k2'];

/** Publishes with confirms, to queues by name and through an exchange to several. */
export class Publisher extends Worker {
  readonly #name: string;
  readonly #pending = new Map<number, Message>();
  #connection = 0;
  #count = 0;
  isActive = true;

  constructor(name: string, context: WorkerContext) {
    super(context);
    this.#name = name;
  }

  override get unanswered(): string[] {
    return [...super.unanswered, ...[...this.#pending.values()].map(({ id }) => `the confirm of ${id}`)];
  }

  /** A publish to this queue alone, right now; because somebody was told a moment ago that it is there. */
  publishTo(slot: Slot): void {
    const { client } = this;
    if (client === undefined || client.closedReason !== undefined) return;
    if (client.node.life.isOver || client.node.life.isPaused || !client.connection.mayPublish) return;
    const id = this.#nextId();
    const must = slot.isSure ? [slot] : [];
    this.#sent(client, client.publish(slot.name, id), id, slot.name, must, other => other === slot);
  }

  /** The same through the exchange. */
  publishBy(key: string): void {
    const { client } = this;
    if (client === undefined || client.closedReason !== undefined) return;
    if (client.node.life.isOver || client.node.life.isPaused || !client.connection.mayPublish) return;
    const id = this.#nextId();
    const must = this.slots.all.filter(slot => slot.isBoundFor(key));
    this.#sent(client, client.publish(key, id, EXCHANGE), id, key, must, slot => slot.bindings.has(key));
  }

  protected override connected(): void {
    this.#connection++;
  }

  protected work(client: ShellClient): void {
    this.#collect(client);
    if (!this.isActive) return;
    if (this.random.next() < 0.004) {
      this.close(client);
      return;
    }
    for (let i = this.random.integer(0, 4); i > 0 && client.connection.mayPublish; i--) {
      if (this.random.next() < 0.6) this.publishTo(pick(this.random, this.slots.all));
      else this.publishBy(pick(this.random, KEYS));
    }
  }

  protected override lost(client: ShellClient): void {
    this.#collect(client);
    for (const message of this.#pending.values()) message.outcome = 'unknown';
    this.#pending.clear();
  }

  #nextId(): string {
    return `${this.#name}-${++this.#count}`;
  }

  #sent(
    client: ShellClient,
    answer: number | string,
    id: string,
    where: string,
    must: readonly Slot[],
    mayEnter: (slot: Slot) => boolean,
  ): void {
    if (typeof answer === 'number') {
      const from = { publisher: `${this.#name}/${this.#connection}`, number: this.#count };
      const mayBeRejected = this.slots.of('volatile').some(mayEnter);
      this.#pending.set(answer, this.auditor.published(id, from, must, mayEnter, mayBeRejected));
    } else if (must.length > 0) {
      const names = must.map(({ name }) => name).join(', ');
      this.auditor.violation(
        `${id} to ${where} found nothing at ${client.node.name} (${answer}), but ${names} was promised`,
      );
    }
  }

  #collect(client: ShellClient): void {
    for (const [number, message] of this.#pending) {
      if (client.confirmedNumbers.has(number)) message.outcome = 'confirmed';
      else if (client.rejectedNumbers.has(number)) message.outcome = client.closedReason ? 'unknown' : 'rejected';
      else continue;
      this.#pending.delete(number);
    }
  }
}
