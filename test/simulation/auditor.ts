import type { GroupId, LogIndex, QueueId } from '../../src/lib/ids.ts';
import type { DeliveryList, ShardEffects } from '../../src/queue/effects.ts';
import type { ApplyMeta } from '../../src/raft/state-machine.ts';
import { Checker } from './checkers/checker.ts';
import type { SimReplica } from './sim-replica.ts';
import { type Message, readMessage } from './workload/message.ts';

interface Record {
  readonly message: Message;
  outcome: 'unknown' | 'confirmed' | 'refused';
}

/** What became of a message in one queue. */
interface Fate {
  /** Entry and position of its one enqueue. */
  readonly place: string;
  wasDelivered: boolean;
  /** A settlement or a discard of it was answered. */
  isAnswered: boolean;
}

/** Names one delivery for ever. */
export const deliveryKey = (node: number, incarnation: number, consumer: number, number: number): string =>
  `${node}/${incarnation}/${consumer}/${number}`;

/**
 * What clients are promised (DESIGN section 1): a confirmed message is delivered at least once; what was settled never comes again;
 * a message enters a queue once, whatever the broker repeated inside; first deliveries keep the order of the publisher's connection;
 * a delivery that is not the first is flagged. Deliveries are read from the log's effects, where their order is certain, and
 * compared with what arrived at the consumers.
 */
export class Auditor extends Checker {
  readonly title = 'auditor';
  readonly #records = new Map<number, Record>();
  readonly #fates = new Map<string, Fate>();
  /** By connection and queue: the last message that was delivered for the first time. */
  readonly #order = new Map<string, number>();
  /** Message id by delivery key, as the log has it. */
  readonly #deliveries = new Map<string, number>();
  readonly #payloads = new Map<GroupId, Map<LogIndex, Uint8Array>>();
  readonly #audited = new Map<GroupId, LogIndex>();

  published(message: Message): void {
    this.#records.set(message.id, { message, outcome: 'unknown' });
    this.cluster.statistics.published++;
  }

  confirmed(message: Message): void {
    const record = this.#records.get(message.id)!;
    if (record.outcome === 'refused') this.fail(`message ${message.id} was refused and is confirmed`);
    record.outcome = 'confirmed';
    this.cluster.statistics.confirmed++;
  }

  refused(message: Message): void {
    this.#records.get(message.id)!.outcome = 'refused';
  }

  /** A delivery arrived at a consumer of `queue`. Returns the message's id. */
  delivered(key: string, queue: QueueId, deliveryCount: number, content: Uint8Array): number {
    const { statistics } = this.cluster;
    statistics.delivered++;
    if (deliveryCount > 0) statistics.redelivered++;
    const { id } = this.#identify(content, queue);
    const sent = this.#deliveries.get(key);
    if (sent !== id) this.fail(`delivery ${key} brought message ${id}; the log has message ${sent} there`);
    return id;
  }

  /** A settlement or a discard of this message was answered. */
  answered(queue: QueueId, id: number): void {
    this.#fates.get(fateKey(queue, id))!.isAnswered = true;
  }

  override onApply(replica: SimReplica, { index }: ApplyMeta, payload: Uint8Array, effects: ShardEffects): void {
    const { group } = replica;
    if (index <= (this.#audited.get(group) ?? 0)) return;
    this.#audited.set(group, index);
    let payloads = this.#payloads.get(group);
    if (payloads === undefined) {
      payloads = new Map();
      this.#payloads.set(group, payloads);
    }
    payloads.set(index, payload);
    for (let i = 0; i < effects.deliveries.length; i++) this.#audit(payloads, effects.deliveries, i);
  }

  override atEnd(): void {
    for (const { message, outcome } of this.#records.values()) {
      if (outcome !== 'confirmed') continue;
      for (const queue of message.queues) {
        if (this.#fates.get(fateKey(queue, message.id))?.wasDelivered) continue;
        this.fail(`message ${message.id} was confirmed and never delivered from queue ${queue}`);
      }
    }
  }

  #audit(payloads: ReadonlyMap<LogIndex, Uint8Array>, list: DeliveryList, i: number): void {
    const { node, incarnation, consumer, queue } = list.consumers[i]!;
    const { entry, position, length } = list.bodyAt(i);
    const payload = payloads.get(entry);
    if (payload === undefined) this.fail(`a delivery refers to entry ${entry}, which nobody applied`);
    const { id, connection } = this.#identify(payload.subarray(position, position + length), queue);
    this.#deliveries.set(deliveryKey(node, incarnation, consumer, list.numbers[i]!), id);

    const place = `${entry}/${position}`;
    const key = fateKey(queue, id);
    let fate = this.#fates.get(key);
    if (fate === undefined) {
      fate = { place, wasDelivered: false, isAnswered: false };
      this.#fates.set(key, fate);
    }
    if (fate.place !== place) this.fail(`message ${id} entered queue ${queue} twice, at ${fate.place} and at ${place}`);
    if (fate.isAnswered) this.fail(`message ${id} of queue ${queue} is delivered after its settlement was answered`);
    const isFirst = list.deliveryCounts[i] === 0;
    if (isFirst && fate.wasDelivered) this.fail(`message ${id} of queue ${queue} is delivered again and not flagged`);
    if (!isFirst && !fate.wasDelivered) this.fail(`the first delivery of message ${id} of queue ${queue} is flagged`);
    fate.wasDelivered = true;
    if (isFirst) this.#noteFirst(connection, queue, id);
  }

  #noteFirst(connection: number, queue: QueueId, id: number): void {
    const key = `${connection}/${queue}`;
    const previous = this.#order.get(key) ?? 0;
    if (id < previous)
      this.fail(`connection ${connection} published ${id} before ${previous}; queue ${queue} delivers it after`);
    this.#order.set(key, id);
  }

  #identify(block: Uint8Array, queue: QueueId): Message {
    const read = readMessage(block);
    const record = read && this.#records.get(read.id);
    if (record === undefined) this.fail(`queue ${queue} delivers ${block.length} bytes that nobody published`);
    const { message, outcome } = record;
    if (read?.bodyBytes !== message.bodyBytes) this.fail(`message ${message.id} has lost bytes`);
    if (!message.queues.includes(queue)) this.fail(`message ${message.id} was not published to queue ${queue}`);
    if (outcome === 'refused') this.fail(`message ${message.id} was refused and is delivered from queue ${queue}`);
    return message;
  }
}

const fateKey = (queue: QueueId, id: number): string => `${queue}/${id}`;
