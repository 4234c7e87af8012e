import { expect } from 'vitest';
import type { ConsumerId, QueueId } from '../../src/lib/ids.ts';
import { Settlement } from '../../src/queue/commands.ts';
import type { Outcome } from '../../src/queue/outcomes.ts';
import type { DeliveryRecord } from './shard-driver.ts';

interface ModelMessage {
  readonly place: number;
  readonly body: string;
  isReady: boolean;
  attempts: number;
}

interface ModelQueue {
  readonly autoDelete: boolean;
  messages: ModelMessage[];
}

interface ModelConsumer {
  readonly owner: string;
  readonly queue: QueueId;
  readonly isExclusive: boolean;
  state: 'active' | 'cancelled' | 'queue-deleted' | 'getter';
  prefetch: number;
  through: number;
  bytesThrough: number;
  last: number;
  bytes: number;
  readonly held: Map<number, ModelMessage>;
}

export interface ConsumeRequest {
  readonly queue: QueueId;
  readonly isExclusive: boolean;
  readonly prefetch: number;
  readonly through: number;
  readonly bytesThrough: number;
}

/** What a shard promises, with arrays and maps. Which consumer is served next is left open; all else is exact. */
export class ShardModel {
  readonly queues = new Map<QueueId, ModelQueue>();
  readonly deleted = new Set<QueueId>();
  readonly consumers = new Map<string, ModelConsumer>();
  readonly blockBytes: (body: string) => number;
  /** By owner and upload id. */
  readonly uploads = new Map<string, string>();
  /** Messages taken with `autoSettle` whose answer was not reported as seen. */
  #unseen: { readonly owner: string; readonly consumer: ConsumerId; readonly number: number }[] = [];
  #places = 0;
  cancelled: string[] = [];

  constructor(blockBytes: (body: string) => number) {
    this.blockBytes = blockBytes;
  }

  ensure(id: QueueId, autoDelete: boolean): Outcome | undefined {
    if (this.deleted.has(id)) return { kind: 'no-such-queue' };
    if (!this.queues.has(id)) this.queues.set(id, { autoDelete, messages: [] });
    return undefined;
  }

  enqueue(ids: readonly QueueId[], body: string): Outcome | undefined {
    const targets = ids.filter(id => this.queues.has(id));
    if (targets.length === 0) return { kind: 'no-such-queue' };
    for (const id of targets) {
      this.queues.get(id)!.messages.push({ place: this.#places++, body, isReady: true, attempts: 0 });
    }
    return undefined;
  }

  part(owner: string, upload: number, body: string): undefined {
    const key = `${owner}/${upload}`;
    this.uploads.set(key, (this.uploads.get(key) ?? '') + body);
    return undefined;
  }

  assemble(owner: string, upload: number, ids: readonly QueueId[], head: string): Outcome | undefined {
    const rest = this.uploads.get(`${owner}/${upload}`);
    if (rest === undefined) return { kind: 'no-such-upload' };
    this.abandon(owner, upload);
    return this.enqueue(ids, head + rest);
  }

  abandon(owner: string, upload: number): void {
    this.uploads.delete(`${owner}/${upload}`);
  }

  /** The owner has seen every answer so far. */
  seen(owner: string): void {
    for (const { consumer, number } of this.#unseen.filter(taken => taken.owner === owner)) {
      this.settle(owner, consumer, Settlement.settle, number, number);
    }
    this.#unseen = this.#unseen.filter(taken => taken.owner !== owner);
  }

  consume(owner: string, id: ConsumerId, request: ConsumeRequest): Outcome | undefined {
    if (!this.queues.has(request.queue)) return { kind: 'no-such-queue' };
    if (this.consumers.has(`${owner}/${id}`)) return { kind: 'consumer-exists' };
    const others = this.activeOf(request.queue);
    if (others.some(other => other.isExclusive) || (request.isExclusive && others.length > 0)) {
      return { kind: 'exclusive-refused' };
    }
    this.consumers.set(`${owner}/${id}`, { owner, state: 'active', last: 0, bytes: 0, held: new Map(), ...request });
    return undefined;
  }

  settle(owner: string, id: ConsumerId, how: Settlement, first: number, last: number): void {
    const consumer = this.consumers.get(`${owner}/${id}`);
    if (!consumer) return;
    for (const number of [...consumer.held.keys()]) {
      if (number >= first && number <= last) this.#settleOne(consumer, how, number);
    }
  }

  cancel(owner: string, id: ConsumerId): void {
    const consumer = this.consumers.get(`${owner}/${id}`);
    if (consumer) this.#stop(consumer);
  }

  release(owner: string, id: ConsumerId): void {
    const consumer = this.consumers.get(`${owner}/${id}`);
    if (!consumer) return;
    this.#stop(consumer);
    for (const number of [...consumer.held.keys()]) this.#settleOne(consumer, Settlement.return, number);
    this.consumers.delete(`${owner}/${id}`);
  }

  get(
    owner: string,
    id: ConsumerId,
    queueId: QueueId,
    options: { readonly autoSettle: boolean },
  ): { outcome: Outcome | undefined; body: string } {
    const queue = this.queues.get(queueId);
    if (!queue) return { outcome: { kind: 'no-such-queue' }, body: '' };
    const key = `${owner}/${id}`;
    const known = this.consumers.get(key);
    if (known && (known.queue !== queueId || known.state !== 'getter')) {
      return { outcome: { kind: 'consumer-exists' }, body: '' };
    }
    const first = this.firstReady(queueId);
    if (!first) return { outcome: { kind: 'empty' }, body: '' };
    const added: ModelConsumer = known ?? {
      owner,
      queue: queueId,
      isExclusive: false,
      state: 'getter',
      prefetch: 0,
      through: 0,
      bytesThrough: 0,
      last: 0,
      bytes: 0,
      held: new Map(),
    };
    this.consumers.set(key, added);
    this.#handOut(added, first);
    if (options.autoSettle) this.#unseen.push({ owner, consumer: id, number: added.last });
    return { outcome: undefined, body: first.body };
  }

  purge(id: QueueId): Outcome {
    const queue = this.queues.get(id);
    if (!queue) return { kind: 'no-such-queue' };
    const messages = this.readyOf(id);
    queue.messages = queue.messages.filter(message => !message.isReady);
    return { kind: 'purged', messages };
  }

  count(id: QueueId): Outcome {
    if (!this.queues.has(id)) return { kind: 'no-such-queue' };
    return { kind: 'counted', ready: this.readyOf(id), consumers: this.activeOf(id).length };
  }

  delete(id: QueueId, ifUnused: boolean, ifEmpty: boolean): Outcome {
    if (!this.queues.has(id)) return { kind: 'no-such-queue' };
    if (ifUnused && this.activeOf(id).length > 0) return { kind: 'in-use' };
    const messages = this.readyOf(id);
    if (ifEmpty && messages > 0) return { kind: 'not-empty' };
    this.#deleteQueue(id);
    return { kind: 'deleted', messages };
  }

  fence(owner: string): void {
    this.#unseen = this.#unseen.filter(taken => taken.owner !== owner);
    for (const key of this.uploads.keys()) if (key.startsWith(`${owner}/`)) this.uploads.delete(key);
    for (const [key, consumer] of [...this.consumers]) {
      if (consumer.owner !== owner) continue;
      for (const number of [...consumer.held.keys()]) this.#settleOne(consumer, Settlement.return, number);
      this.#stop(consumer);
      this.consumers.delete(key);
    }
  }

  /** The machine handed this out: was it allowed to, and was it the right message? */
  delivered(owner: string, delivery: DeliveryRecord): void {
    const consumer = this.consumers.get(`${owner}/${delivery.consumer}`)!;
    expect(consumer.state).toBe('active');
    expect(this.canTake(consumer)).toBe(true);
    const first = this.firstReady(consumer.queue)!;
    expect(delivery).toMatchObject({
      number: consumer.last + 1,
      body: first.body,
      redelivered: first.attempts > 0,
    });
    this.#handOut(consumer, first);
  }

  canTake(consumer: ModelConsumer): boolean {
    return (
      consumer.state === 'active' &&
      (consumer.prefetch === 0 || consumer.held.size < consumer.prefetch) &&
      consumer.last < consumer.through &&
      consumer.bytes < consumer.bytesThrough
    );
  }

  activeOf(id: QueueId): ModelConsumer[] {
    return [...this.consumers.values()].filter(({ queue, state }) => queue === id && state === 'active');
  }

  readyOf(id: QueueId): number {
    return this.queues.get(id)!.messages.filter(message => message.isReady).length;
  }

  firstReady(id: QueueId): ModelMessage | undefined {
    const ready = this.queues.get(id)!.messages.filter(message => message.isReady);
    return ready.sort((a, b) => a.place - b.place)[0];
  }

  #handOut(consumer: ModelConsumer, message: ModelMessage): void {
    message.isReady = false;
    consumer.last++;
    consumer.bytes += this.blockBytes(message.body);
    consumer.held.set(consumer.last, message);
  }

  #settleOne(consumer: ModelConsumer, how: Settlement, number: number): void {
    const message = consumer.held.get(number)!;
    consumer.held.delete(number);
    if (how === Settlement.return) {
      message.isReady = true;
      message.attempts++;
      return;
    }
    const queue = this.queues.get(consumer.queue)!;
    queue.messages = queue.messages.filter(other => other !== message);
  }

  #stop(consumer: ModelConsumer): void {
    if (consumer.state !== 'active') return;
    consumer.state = 'cancelled';
    const queue = this.queues.get(consumer.queue)!;
    if (queue.autoDelete && this.activeOf(consumer.queue).length === 0) this.#deleteQueue(consumer.queue);
  }

  #deleteQueue(id: QueueId): void {
    this.queues.delete(id);
    this.deleted.add(id);
    for (const [key, consumer] of this.consumers) {
      if (consumer.queue !== id) continue;
      if (consumer.state === 'active') this.cancelled.push(key);
      consumer.state = 'queue-deleted';
      consumer.held.clear();
    }
  }
}
