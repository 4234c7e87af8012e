import { assert } from '../../../src/lib/assert.ts';
import type { ConsumerId, QueueId } from '../../../src/lib/ids.ts';
import { CommandKind, type DecodedCommand, Settlement } from '../../../src/queue/commands.ts';
import type { BodyPart, ConsumerAddress } from '../../../src/queue/effects.ts';
import type { Outcome } from '../../../src/queue/outcomes.ts';
import type { MessageCounters } from '../../../src/queue/shard-state.ts';
import { ModelReturns } from './model-returns.ts';
import {
  bytesOf,
  consumerOf,
  type ModelConsumer,
  type ModelListener,
  type ModelMessage,
  type ModelQueue,
  type ModelSession,
} from './model-state.ts';
import { isStream, mustDrop, placeOf, unread } from './model-streams.ts';
import { ModelTombstones } from './model-tombstones.ts';

const NO_SUCH_QUEUE: Outcome = { kind: 'no-such-queue' };

/** Queues, their messages and their consumers, one message at a time. */
export class ModelQueues {
  readonly all = new Map<QueueId, ModelQueue>();
  readonly tombstones = new ModelTombstones();
  readonly returns = new ModelReturns(this);
  readonly counters: MessageCounters = {
    enqueued: 0,
    ready: 0,
    checkedOut: 0,
    settled: 0,
    purged: 0,
    deleted: 0,
    discarded: 0,
    expired: 0,
    ignoredSettlements: 0,
  };
  readonly #listener: ModelListener;
  /** Of the entry that is being followed: its index, shard time, consumers to be told that their queue is gone, and deleted queues. */
  index = 0;
  timeMs = 0;
  cancelled: ConsumerAddress[] = [];
  deleted: QueueId[] = [];

  constructor(listener: ModelListener) {
    this.#listener = listener;
  }

  /** A message that could be handed out and a consumer that could take it; undefined if there is no such pair. */
  unserved(): { readonly queue: ModelQueue; readonly consumer: ModelConsumer } | undefined {
    for (const queue of this.all.values()) {
      const consumer = queue.consumers.find(one => canTake(one) && this.offered(queue, one) !== undefined);
      if (consumer !== undefined) return { queue, consumer };
    }
    return undefined;
  }

  /** What the consumer gets if it is its turn. */
  offered(queue: ModelQueue, consumer: ModelConsumer): ModelMessage | undefined {
    return isStream(queue) ? unread(queue, consumer) : queue.ready[0];
  }

  /** Everything whose time is over goes: messages from the front of their queues, then queues that nobody has used. */
  expire(): void {
    for (const queue of this.all.values()) {
      if (isStream(queue)) while (mustDrop(queue, this.timeMs)) this.#expireFirst(queue);
      else this.#expireFront(queue, ({ expiryMs }) => expiryMs <= this.timeMs);
    }
    const unused = [...this.all.values()].filter(queue => unusedUntil(queue) <= this.timeMs);
    unused.sort((a, b) => unusedUntil(a) - unusedUntil(b) || a.id - b.id);
    for (const queue of unused) this.#deleteQueue(queue);
  }

  /** The same for messages that nobody may get any more. One of the entry that is being followed may still be got. */
  expireUndeliverable(): void {
    for (const queue of this.all.values()) {
      if (isStream(queue)) continue;
      this.#expireFront(
        queue,
        ({ expiryMs, parts }) => expiryMs < this.timeMs || (expiryMs === this.timeMs && parts[0]!.entry !== this.index),
      );
    }
  }

  #expireFront(queue: ModelQueue, isOver: (message: ModelMessage) => boolean): void {
    while (queue.ready.length > 0 && isOver(queue.ready[0]!)) this.#expireFirst(queue);
  }

  #expireFirst(queue: ModelQueue): void {
    this.counters.ready--;
    this.counters.expired++;
    this.#listener.departed(queue.ready.shift()!, 'expired', undefined, undefined);
  }

  /** Who is served next, if anybody. Those who cannot take a message any more lose their turn; those who have read all of a stream wait. */
  next(queue: ModelQueue): ModelConsumer | undefined {
    if (isStream(queue)) return nextReader(queue);
    while (queue.ring.length > 0 && !canTake(queue.ring[0]!)) queue.ring.shift();
    return queue.ring[0];
  }

  /** Who got a message is the last one of its priority now. */
  rotate(queue: ModelQueue, consumer: ModelConsumer): void {
    queue.ring = queue.ring.filter(other => other !== consumer);
    takeTurn(queue.ring, consumer);
  }

  /** Perhaps it can take a message now: its turn comes after all others of its priority. */
  offer(consumer: ModelConsumer): void {
    const ring = consumer.queue?.ring;
    if (canTake(consumer) && ring?.includes(consumer) === false) takeTurn(ring, consumer);
  }

  handOut(queue: ModelQueue, consumer: ModelConsumer): number {
    const message = this.offered(queue, consumer)!;
    const number = ++consumer.last;
    consumer.bytes += message.bytes;
    consumer.held.set(number, message);
    if (isStream(queue)) consumer.cursor = message.place + 1;
    else {
      queue.ready.shift();
      this.counters.ready--;
      this.counters.checkedOut++;
    }
    this.#listener.handedOut(message, consumer, number);
    return number;
  }

  enqueue(
    session: ModelSession,
    queues: readonly QueueId[],
    head: BodyPart,
    upload: number | undefined,
    ttlMs: number,
  ): Outcome | undefined {
    const parts = [head];
    if (upload !== undefined) {
      const uploaded = session.uploads.get(upload);
      if (uploaded === undefined) return { kind: 'no-such-upload' };
      session.uploads.delete(upload);
      parts.push(...uploaded.parts);
    }
    const targets = queues.flatMap(id => this.all.get(id) ?? []);
    const shares = targets.length;
    for (const queue of targets) {
      const place = queue.places++;
      const isAssembled = upload !== undefined;
      const expiryMs = this.timeMs + Math.min(ttlMs, queue.config.messageTtlMs ?? Number.POSITIVE_INFINITY);
      const bytes = bytesOf(parts);
      const cameMs = this.timeMs;
      const message = { queue: queue.id, place, parts, bytes, isAssembled, shares, cameMs, expiryMs, attempts: 0 };
      queue.ready.push(message);
      this.counters.enqueued++;
      this.counters.ready++;
      this.#listener.entered(message, session);
    }
    return shares === 0 ? NO_SUCH_QUEUE : undefined;
  }

  settleRange(consumer: ModelConsumer, how: Settlement, first: number, last: number): void {
    const holdsAny = [...consumer.held.keys()].some(number => number >= first && number <= last);
    if (holdsAny) this.returns.settle(consumer, how, first, last);
    else this.counters.ignoredSettlements++;
  }

  /** The consumer does not hold the message any more. */
  end(consumer: ModelConsumer, how: Settlement, number: number): void {
    const message = consumer.held.get(number)!;
    consumer.held.delete(number);
    const departure = how === Settlement.settle ? 'settled' : 'discarded';
    if (isStream(consumer.queue!)) {
      this.#listener.letGo(message, how === Settlement.return ? 'returned' : departure, consumer, number);
      return;
    }
    this.counters.checkedOut--;
    if (how === Settlement.return) {
      message.attempts++;
      this.counters.ready++;
      const { ready } = consumer.queue!;
      const behind = ready.findIndex(other => other.place > message.place);
      ready.splice(behind === -1 ? ready.length : behind, 0, message);
      this.#listener.returned(message, consumer, number);
      return;
    }
    this.counters[departure]++;
    this.#listener.departed(message, departure, consumer, number);
  }

  execute(session: ModelSession, command: DecodedCommand): Outcome | undefined {
    switch (command.kind) {
      case CommandKind.ensureQueue:
        if (this.all.has(command.queue)) return undefined;
        if (this.tombstones.has(command.queue)) return NO_SUCH_QUEUE;
        if (session.topologyIndex < this.tombstones.prunedThrough) return { kind: 'stale-topology' };
        this.all.set(command.queue, {
          id: command.queue,
          config: command.config,
          ready: [],
          consumers: [],
          ring: [],
          turn: undefined,
          places: 0,
          usedMs: this.timeMs,
        });
        return undefined;
      case CommandKind.abandonUpload:
        session.uploads.delete(command.upload);
        return undefined;
      case CommandKind.consume:
        return this.#consume(session, command);
      case CommandKind.credit: {
        const consumer = consumerOf(session, command.consumer);
        if (consumer === undefined) return undefined;
        consumer.credit = command;
        this.offer(consumer);
        return undefined;
      }
      case CommandKind.cancel:
      case CommandKind.release: {
        const consumer = consumerOf(session, command.consumer);
        if (consumer === undefined) return undefined;
        this.#stop(consumer);
        if (command.kind === CommandKind.release) this.returns.release(consumer);
        else this.#handOver(consumer);
        return undefined;
      }
      default:
        return this.#executeOnQueue(session, command);
    }
  }

  #executeOnQueue(session: ModelSession, command: DecodedCommand): Outcome {
    assert('queue' in command, 'a command of a leader in a batch of a node');
    const queue = this.all.get(command.queue);
    if (queue === undefined) return NO_SUCH_QUEUE;
    const consumers = queue.consumers.filter(isConsuming).length;
    switch (command.kind) {
      case CommandKind.get:
        if (isStream(queue)) return { kind: 'no-get' };
        queue.usedMs = this.timeMs;
        return this.#get(session, queue, command.consumer, command.autoSettle);
      case CommandKind.count:
        queue.usedMs = this.timeMs;
        return { kind: 'counted', ready: queue.ready.length, consumers };
      case CommandKind.purge: {
        const purged = queue.ready;
        queue.ready = [];
        this.counters.ready -= purged.length;
        this.counters.purged += purged.length;
        for (const message of purged) this.#listener.departed(message, 'purged', undefined, undefined);
        return { kind: 'purged', messages: purged.length };
      }
      case CommandKind.deleteQueue: {
        if (command.ifUnused && consumers > 0) return { kind: 'in-use' };
        const messages = queue.ready.length;
        if (command.ifEmpty && messages > 0) return { kind: 'not-empty' };
        this.#deleteQueue(queue);
        return { kind: 'deleted', messages };
      }
      default:
        assert(false, () => `command ${command.kind} from a node`);
    }
  }

  #consume(
    session: ModelSession,
    command: Extract<DecodedCommand, { kind: typeof CommandKind.consume }>,
  ): Outcome | undefined {
    const queue = this.all.get(command.queue);
    if (queue === undefined) return NO_SUCH_QUEUE;
    if (session.consumers.has(command.consumer)) return { kind: 'consumer-exists' };
    const { singleActive } = queue.config;
    const others = queue.consumers.filter(isConsuming);
    if (others.some(other => other.isExclusive) || (command.exclusive && (others.length > 0 || singleActive))) {
      return { kind: 'exclusive-refused' };
    }
    queue.usedMs = this.timeMs;
    const { consumer: id, tag, exclusive: isExclusive } = command;
    const state = singleActive && queue.turn !== undefined ? 'waiting' : 'active';
    const priority = isStream(queue) ? 0 : command.priority;
    const cursor = isStream(queue) ? placeOf(queue, command.offset, this.timeMs) : -1;
    const added = { id, tag, isExclusive, priority, cursor, state, credit: command } as const;
    const consumer = this.#addConsumer(session, queue, added);
    if (singleActive && state === 'active') queue.turn = consumer;
    this.offer(consumer);
    return undefined;
  }

  #get(session: ModelSession, queue: ModelQueue, id: ConsumerId, autoSettle: boolean): Outcome {
    const known = session.consumers.get(id);
    if (known !== undefined && (known.queue !== queue || known.state !== 'getter' || known.isLeaving))
      return { kind: 'consumer-exists' };
    const message = queue.ready[0];
    if (message === undefined) return { kind: 'empty' };
    const credit = { prefetch: 0, deliverThrough: 0, bytesThrough: 0 };
    const getter =
      known ??
      this.#addConsumer(session, queue, {
        id,
        tag: '',
        isExclusive: false,
        priority: 0,
        cursor: -1,
        state: 'getter',
        credit,
      });
    const number = this.handOut(queue, getter);
    const { entry, position } = message.parts[0]!;
    const parts = message.parts.length > 1 ? message.parts : undefined;
    return {
      kind: 'message',
      consumer: id,
      number,
      body: { entry, position, length: message.bytes, parts },
      deliveryCount: message.attempts,
      readyLeft: queue.ready.length,
      autoSettle,
    };
  }

  #addConsumer(
    session: ModelSession,
    queue: ModelQueue,
    added: Pick<ModelConsumer, 'id' | 'tag' | 'isExclusive' | 'priority' | 'cursor' | 'state' | 'credit'>,
  ): ModelConsumer {
    const start = { queueId: queue.id, isLeaving: false, last: 0, bytes: 0, held: new Map() };
    const consumer: ModelConsumer = { session, queue, ...start, ...added };
    session.consumers.set(added.id, consumer);
    queue.consumers.push(consumer);
    return consumer;
  }

  /** Nothing more is handed out to it; an auto-delete queue goes with its last consumer. */
  #stop(consumer: ModelConsumer): void {
    const { queue } = consumer;
    if (!isConsuming(consumer) || queue === undefined) return;
    consumer.state = 'cancelled';
    queue.usedMs = this.timeMs;
    queue.ring = queue.ring.filter(other => other !== consumer);
    if (queue.config.autoDelete && !queue.consumers.some(isConsuming)) this.#deleteQueue(queue);
  }

  /** If it was its turn, it is now that of whoever waits longest with the highest priority. */
  #handOver(consumer: ModelConsumer): void {
    const { queue } = consumer;
    if (queue === undefined || queue.turn !== consumer) return;
    const waiting = queue.consumers.filter(({ state }) => state === 'waiting');
    const highest = Math.max(...waiting.map(({ priority }) => priority));
    queue.turn = waiting.find(({ priority }) => priority === highest);
    if (queue.turn === undefined) return;
    queue.turn.state = 'active';
    this.offer(queue.turn);
  }

  /** It holds nothing any more. */
  forget(consumer: ModelConsumer): void {
    this.#stop(consumer);
    consumer.session.consumers.delete(consumer.id);
    const { queue } = consumer;
    queue?.consumers.splice(queue.consumers.indexOf(consumer), 1);
    this.#handOver(consumer);
  }

  #deleteQueue(queue: ModelQueue): void {
    this.all.delete(queue.id);
    this.tombstones.add(queue.id);
    this.deleted.push(queue.id);
    for (const message of queue.ready) {
      this.counters.ready--;
      this.counters.deleted++;
      this.#listener.departed(message, 'deleted', undefined, undefined);
    }
    for (const consumer of queue.consumers) {
      for (const [number, message] of consumer.held) {
        if (isStream(queue)) {
          this.#listener.letGo(message, 'deleted', consumer, number);
          continue;
        }
        this.counters.checkedOut--;
        this.counters.deleted++;
        this.#listener.departed(message, 'deleted', consumer, number);
      }
      consumer.held.clear();
      if (isConsuming(consumer)) {
        const { node, incarnation } = consumer.session;
        this.cancelled.push({ node, incarnation, consumer: consumer.id, queue: queue.id });
      }
      consumer.state = 'queue-deleted';
      consumer.queue = undefined;
    }
    this.#listener.queueDeleted(queue);
  }
}

/** Shard time at which the queue has been without any use for too long. */
const unusedUntil = ({ config: { expiresMs }, consumers, usedMs }: ModelQueue): number =>
  expiresMs === undefined || consumers.some(isConsuming) ? Number.POSITIVE_INFINITY : usedMs + expiresMs;

const isConsuming = ({ state }: ModelConsumer): boolean => state === 'active' || state === 'waiting';

/** Those who have read everything keep their places in turn. */
function nextReader(queue: ModelQueue): ModelConsumer | undefined {
  const { ring } = queue;
  for (let waiting = 0; waiting < ring.length; ) {
    const first = ring[0]!;
    if (canTake(first) && unread(queue, first) !== undefined) return first;
    ring.shift();
    if (!canTake(first)) continue;
    ring.push(first);
    waiting++;
  }
  return undefined;
}

/** Its turn is behind everybody of its priority or of a higher one. */
function takeTurn(ring: ModelConsumer[], consumer: ModelConsumer): void {
  const behind = ring.findIndex(({ priority }) => priority < consumer.priority);
  ring.splice(behind === -1 ? ring.length : behind, 0, consumer);
}

export const canTake = ({ session, state, credit, held, last, bytes }: ModelConsumer): boolean =>
  state === 'active' &&
  !session.isEnded &&
  (credit.prefetch === 0 || held.size < credit.prefetch) &&
  last < credit.deliverThrough &&
  bytes < credit.bytesThrough;
