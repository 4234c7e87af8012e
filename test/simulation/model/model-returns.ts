import { Settlement } from '../../../src/queue/commands.ts';
import type { ModelQueues } from './model-queues.ts';
import type { Departure, ModelConsumer, ModelSession } from './model-state.ts';

type Work =
  | {
      readonly kind: 'settle';
      readonly consumer: ModelConsumer;
      readonly how: Settlement;
      readonly first: number;
      readonly last: number;
    }
  | { readonly kind: 'release'; readonly consumer: ModelConsumer }
  | { readonly kind: 'fence'; readonly session: ModelSession };

/**
 * What is done with messages that consumers hold: a share with each entry, one message after the other. What is left over goes on with
 * the next entry in the order in which it was asked for, and nothing of a consumer is overtaken.
 */
export class ModelReturns {
  readonly #queues: ModelQueues;
  readonly #works: Work[] = [];
  /** Messages that the entry may still settle or return; -1 after the last consumer of a fenced session. */
  left = 0;

  constructor(queues: ModelQueues) {
    this.#queues = queues;
  }

  /** Sessions that are fenced, whose consumers are still being released. */
  get ending(): number {
    return this.#works.filter(({ kind }) => kind === 'fence').length;
  }

  /** How the delivery will end when its turn comes; undefined: nobody has asked for that. */
  endOf(consumer: ModelConsumer, number: number): Departure | 'returned' | undefined {
    for (const work of this.#works) {
      if (work.kind !== 'settle' || work.consumer !== consumer || number < work.first || number > work.last) continue;
      return work.how === Settlement.settle ? 'settled' : work.how === Settlement.discard ? 'discarded' : 'returned';
    }
    return undefined;
  }

  continue(): void {
    while (this.#works.length > 0 && this.left > 0 && this.#step(this.#works[0]!)) this.#works.shift();
  }

  settle(consumer: ModelConsumer, how: Settlement, first: number, last: number): void {
    this.#begin({ kind: 'settle', consumer, how, first, last: Math.min(last, consumer.last) }, this.#isBusy(consumer));
  }

  release(consumer: ModelConsumer): void {
    consumer.isLeaving = true;
    this.#begin({ kind: 'release', consumer }, this.#isBusy(consumer));
  }

  fence(session: ModelSession): void {
    this.#begin({ kind: 'fence', session }, this.#works.length > 0);
  }

  #isBusy(consumer: ModelConsumer): boolean {
    return this.#works.some(work => work.kind !== 'fence' && work.consumer === consumer);
  }

  #begin(work: Work, mustWait: boolean): void {
    if (mustWait || this.left <= 0 || !this.#step(work)) this.#works.push(work);
  }

  /** Whether that is all. */
  #step(work: Work): boolean {
    switch (work.kind) {
      case 'settle': {
        const { consumer, how, first, last } = work;
        const isDone = this.#end(consumer, how, first, last);
        this.#queues.offer(consumer);
        return isDone;
      }
      case 'release':
        return this.#release(work.consumer);
      case 'fence':
        return this.#releaseAll(work.session);
    }
  }

  #end(consumer: ModelConsumer, how: Settlement, first: number, last: number): boolean {
    for (const number of [...consumer.held.keys()]) {
      if (number < first || number > last) continue;
      if (this.left <= 0) return false;
      this.#queues.end(consumer, how, number);
      this.left--;
    }
    return true;
  }

  #release(consumer: ModelConsumer): boolean {
    const isDone = this.#end(consumer, Settlement.return, 1, consumer.last);
    if (isDone) this.#queues.forget(consumer);
    return isDone;
  }

  /** A consumer costs its share even if it holds nothing. */
  #releaseAll(session: ModelSession): boolean {
    for (const consumer of [...session.consumers.values()]) {
      if (this.left <= 0 || !this.#release(consumer)) return false;
      this.left--;
    }
    return true;
  }
}
