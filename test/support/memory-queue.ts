import {
  type ConsumeRequest,
  type Delivery,
  NO_OFFSET,
  type QueueDeclare,
  type SettleHow,
} from '../../src/broker/broker.ts';
import type { BrokerError } from '../../src/broker/broker-error.ts';
import { isQuorumQueue } from '../../src/broker/queue-arguments.ts';
import type { MemoryConnection, MemorySession } from './memory-broker.ts';

export interface MemoryMessage {
  readonly content: Uint8Array;
  deliveryCount: number;
  isRedelivered: boolean;
}

export interface MemoryConsumer {
  readonly session: MemorySession;
  readonly request: ConsumeRequest;
  readonly window: number;
  lastNumber: number;
  readonly unsettled: Map<number, MemoryMessage>;
}

/** A queue as two arrays: what is ready and who consumes. Consumers are served in turn. */
export class MemoryQueue {
  readonly declared: QueueDeclare;
  readonly owner: MemoryConnection | undefined;
  readonly ready: MemoryMessage[] = [];
  consumers: MemoryConsumer[] = [];

  constructor(declared: QueueDeclare, owner: MemoryConnection | undefined) {
    this.declared = declared;
    this.owner = owner;
  }

  enqueue(content: Uint8Array): void {
    this.ready.push({ content, deliveryCount: 0, isRedelivered: false });
    this.checkout();
  }

  /** Hands out what is ready to consumers with room, one message each in turn. */
  checkout(): void {
    let idle = 0;
    while (this.ready.length > 0 && idle < this.consumers.length) {
      const consumer = this.consumers.shift()!;
      this.consumers.push(consumer);
      if (!this.#hasRoom(consumer)) {
        idle++;
        continue;
      }
      idle = 0;
      consumer.session.connection.deliveredCount++;
      consumer.session.listener.deliver(this.take(consumer, consumer.request.autoAck));
    }
  }

  #hasRoom({ session, window, unsettled }: MemoryConsumer): boolean {
    if (session.connection.isAheadOfSocket) return false;
    if (session.sessionWindow > 0 && session.unsettledCount >= session.sessionWindow) return false;
    return window === 0 || unsettled.size < window;
  }

  take(consumer: MemoryConsumer, autoAck: boolean): Delivery {
    const message = this.ready.shift()!;
    const number = ++consumer.lastNumber;
    if (!autoAck) consumer.unsettled.set(number, message);
    const { isRedelivered: redelivered, deliveryCount, content } = message;
    const isOfQuorumQueue = isQuorumQueue(this.declared.arguments);
    return {
      consumer: consumer.request.consumer,
      number,
      redelivered,
      deliveryCount,
      offset: consumer.session.connection.memory.streams.has(this.declared.name) ? number - 1 : NO_OFFSET,
      isOfQuorumQueue,
      content,
      more: [],
    };
  }

  settle(consumer: MemoryConsumer, number: number, how: SettleHow): void {
    const message = consumer.unsettled.get(number);
    if (message === undefined)
      throw new Error(`delivery ${number} of consumer ${consumer.request.consumer} is not outstanding`);
    consumer.unsettled.delete(number);
    if (how !== 'return') return;
    message.isRedelivered = true;
    message.deliveryCount++;
    this.ready.unshift(message);
  }

  /** All of a consumer's unsettled messages, the oldest first. */
  returnAll(consumer: MemoryConsumer): void {
    for (const number of [...consumer.unsettled.keys()].reverse()) this.settle(consumer, number, 'return');
  }

  inequivalent(vhost: string, declare: QueueDeclare): BrokerError | undefined {
    for (const argument of ['durable', 'exclusive', 'autoDelete'] as const) {
      const [received, current] = [declare[argument], this.declared[argument]];
      if (received === current) continue;
      const name = argument === 'autoDelete' ? 'auto_delete' : argument;
      return {
        code: 'inequivalent',
        kind: 'queue',
        vhost,
        name: declare.name,
        argument: name,
        received: `'${received}'`,
        current: `'${current}'`,
      };
    }
    return undefined;
  }
}
