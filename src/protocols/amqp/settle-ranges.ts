import type { BrokerSession, ConsumerHandle, SettleHow } from '../../broker/broker.ts';

interface Range {
  first: number;
  last: number;
  how: SettleHow;
}

/**
 * Gathers the settlements of a channel into one call per consumer and run of numbers, until `flush`. The order of a
 * consumer's settlements is kept.
 */
export class SettleRanges {
  readonly #session: BrokerSession;
  readonly #ranges = new Map<ConsumerHandle, Range>();
  #lastConsumer: ConsumerHandle = 0;
  #lastRange: Range | undefined;

  constructor(session: BrokerSession) {
    this.#session = session;
  }

  add(consumer: ConsumerHandle, number: number, how: SettleHow): void {
    let range = consumer === this.#lastConsumer ? this.#lastRange : this.#ranges.get(consumer);
    if (range === undefined) {
      range = { first: number, last: number, how };
      this.#ranges.set(consumer, range);
    } else if (range.how === how && range.last + 1 === number) {
      range.last = number;
    } else {
      this.#session.settle(consumer, range.first, range.last, range.how);
      range.first = number;
      range.last = number;
      range.how = how;
    }
    this.#lastConsumer = consumer;
    this.#lastRange = range;
  }

  flush(): void {
    if (this.#lastRange === undefined) return;
    for (const [consumer, range] of this.#ranges) {
      this.#session.settle(consumer, range.first, range.last, range.how);
    }
    this.#ranges.clear();
    this.#lastRange = undefined;
    this.#lastConsumer = 0;
  }

  /** The broker took this consumer's deliveries back. */
  forget(consumer: ConsumerHandle): void {
    this.#ranges.delete(consumer);
    if (this.#lastConsumer !== consumer) return;
    this.#lastConsumer = 0;
    this.#lastRange = undefined;
    for (const [other, range] of this.#ranges) {
      this.#lastConsumer = other;
      this.#lastRange = range;
    }
  }
}
