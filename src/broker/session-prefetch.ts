import type { Delivery } from './broker.ts';
import type { Consumer } from './consumer.ts';

interface Parked {
  readonly consumer: Consumer;
  readonly delivery: Delivery;
}

/**
 * The prefetch that all consumers of a session share (AMQP: `basic.qos` with `global`). Each of them gets an even share as
 * credit, at least one message, and a share shrinks only as its messages are settled: so the shards may hand out more than
 * the client is to have. That much waits here, in order: at most one share for each consumer. Deliveries that are
 * acknowledged automatically do not count, but wait like the others while the client has all it may have, as in RabbitMQ;
 * so many of them as their consumer may be ahead of the socket.
 */
export class SessionPrefetch {
  readonly #handOver: (consumer: Consumer, delivery: Delivery) => void;
  #limit = 0;
  #withClient = 0;
  #parked: Parked[] = [];

  constructor(handOver: (consumer: Consumer, delivery: Delivery) => void) {
    this.#handOver = handOver;
  }

  get limit(): number {
    return this.#limit;
  }

  /** 0 is unlimited. */
  setLimit(limit: number): void {
    this.#limit = limit;
    this.#release();
  }

  /** Of each of so many consumers; 0 is unlimited. */
  share(consumers: number): number {
    return this.#limit === 0 || consumers === 0 ? 0 : Math.max(1, Math.floor(this.#limit / consumers));
  }

  /** The delivery's bytes need not outlive the call. */
  delivered(consumer: Consumer, delivery: Delivery): void {
    if (this.#hasRoom()) {
      this.#handOn(consumer, delivery);
      return;
    }
    const kept = { ...delivery, content: delivery.content.slice(), more: delivery.more.map(part => part.slice()) };
    this.#parked.push({ consumer, delivery: kept });
  }

  settled(count: number): void {
    this.#withClient -= count;
    this.#release();
  }

  /** The consumer is gone with everything it had, `unsettled` messages. */
  forget(consumer: Consumer, unsettled: number): void {
    const parked = this.takeParked(consumer).length;
    if (!consumer.autoAck) this.settled(unsettled - parked);
  }

  /** Numbers of deliveries that the consumer's client has not seen and will not see. */
  takeParked(consumer: Consumer): number[] {
    if (this.#parked.length === 0) return [];
    const numbers = this.#parked.filter(one => one.consumer === consumer).map(({ delivery }) => delivery.number);
    this.#parked = this.#parked.filter(one => one.consumer !== consumer);
    return numbers;
  }

  clear(): void {
    this.#parked = [];
  }

  #hasRoom(): boolean {
    return this.#limit === 0 || this.#withClient < this.#limit;
  }

  #release(): void {
    while (this.#parked.length > 0 && this.#hasRoom()) {
      const { consumer, delivery } = this.#parked.shift()!;
      this.#handOn(consumer, delivery);
    }
  }

  #handOn(consumer: Consumer, delivery: Delivery): void {
    if (!consumer.autoAck) this.#withClient++;
    this.#handOver(consumer, delivery);
  }
}
