import type { Received, ShellClient } from '../shell-cluster.ts';
import type { Slot } from './slots.ts';

/** A message in one queue. */
interface Copy {
  readonly slot: Slot;
  readonly epoch: number;
  /** Nobody promised that it enters this queue, or stays in it. */
  readonly isExcused: boolean;
  /** Deliveries without the redelivered flag. */
  firsts: number;
  deliveries: number;
  /** By a client whose node's incarnation has to see to it that it never comes again. */
  settledBy: ShellClient | undefined;
}

export interface Message {
  readonly id: string;
  /** The connection that published it, and its place there. */
  readonly publisher: string;
  readonly number: number;
  outcome: 'unanswered' | 'confirmed' | 'rejected' | 'unknown';
  /** By the name of the queue; those that it must enter are there from the start. */
  readonly copies: Map<string, Copy>;
  readonly mayEnter: (slot: Slot) => boolean;
  /** It may have gone to a queue in the memory of a node that then died. */
  readonly mayBeRejected: boolean;
}

/** What clients may have seen, and what they may not. */
export class Auditor {
  readonly #messages = new Map<string, Message>();
  readonly violations: string[] = [];

  violation(text: string): void {
    this.violations.push(text);
  }

  published(
    id: string,
    from: { readonly publisher: string; readonly number: number },
    must: readonly Slot[],
    mayEnter: (slot: Slot) => boolean,
    mayBeRejected: boolean,
  ): Message {
    const copies = new Map(must.map(slot => [slot.name, newCopy(slot, slot.ending > 0)]));
    const message: Message = { id, ...from, outcome: 'unanswered', copies, mayEnter, mayBeRejected };
    this.#messages.set(id, message);
    return message;
  }

  /** `order` remembers what the consumer got last from each publisher. */
  delivered(slot: Slot, received: Received, order: Map<string, number>): void {
    const message = this.#messages.get(received.body);
    if (message === undefined) {
      this.violation(`${received.body} was never published`);
      return;
    }
    const copy = this.#copyIn(message, slot);
    copy.deliveries++;
    if (!received.redelivered) {
      if (++copy.firsts > 1) this.violation(`${message.id} was delivered first twice from ${slot.name}`);
      else if (copy.deliveries > 1)
        this.violation(`${message.id} came first from ${slot.name} after it had come again`);
      const last = order.get(message.publisher) ?? 0;
      if (message.number < last) this.violation(`${message.id} came from ${slot.name} behind a later one`);
      order.set(message.publisher, Math.max(last, message.number));
    }
    if (copy.settledBy !== undefined && isStillResponsible(copy.settledBy)) {
      this.violation(`${message.id} came again from ${slot.name} after it was settled`);
    }
  }

  settled(slot: Slot, body: string, client: ShellClient): void {
    const copy = this.#messages.get(body)?.copies.get(slot.name);
    if (copy !== undefined) copy.settledBy = client;
  }

  /** At the end, when every queue is empty. */
  finish(): void {
    for (const { id, outcome, copies, mayBeRejected } of this.#messages.values()) {
      for (const { slot, epoch, isExcused, deliveries } of copies.values()) {
        if (outcome === 'confirmed' && deliveries === 0 && !isExcused && epoch === slot.epoch && slot.ending === 0) {
          this.violation(`${id} was confirmed and is lost from ${slot.name}`);
        }
      }
      const isHealthy =
        copies.size > 0 && !mayBeRejected && [...copies.values()].every(({ slot }) => slot.kind === 'durable');
      if (outcome === 'rejected' && isHealthy) this.violation(`${id} was rejected by a healthy queue`);
    }
  }

  get confirmed(): number {
    return [...this.#messages.values()].filter(({ outcome }) => outcome === 'confirmed').length;
  }

  get settledCount(): number {
    let count = 0;
    for (const { copies } of this.#messages.values()) {
      for (const { settledBy } of copies.values()) if (settledBy !== undefined) count++;
    }
    return count;
  }

  #copyIn(message: Message, slot: Slot): Copy {
    let copy = message.copies.get(slot.name);
    if (copy === undefined) {
      if (!message.mayEnter(slot)) this.violation(`${message.id} came from ${slot.name}, where it was not sent`);
      copy = newCopy(slot, true);
      message.copies.set(slot.name, copy);
    }
    return copy;
  }
}

const newCopy = (slot: Slot, isExcused: boolean): Copy => ({
  slot,
  epoch: slot.epoch,
  isExcused,
  firsts: 0,
  deliveries: 0,
  settledBy: undefined,
});

/** What a client has settled is repeated until the shard has it, as long as its node's incarnation lives. */
const isStillResponsible = (client: ShellClient): boolean => !client.node.life.isOver && !client.gateway.isEnded;
