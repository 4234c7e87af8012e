import type { ConsumerId, QueueId } from '../lib/ids.ts';
import { offer } from './checkout.ts';
import type { Cancel, Consume, Credit, Get, Release, SetCredit } from './commands.ts';
import { Consumer, type ConsumerState, NO_CURSOR } from './consumers.ts';
import { stopConsumer } from './deletion.ts';
import { deliver } from './delivery.ts';
import { DeliveryList } from './effects.ts';
import { hasReady } from './expiry.ts';
import { READERS_MAX } from './limits.ts';
import type { Outcome } from './outcomes.ts';
import { noteDeadline, noteUse } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import type { Session } from './sessions.ts';
import { releaseConsumer } from './settlement.ts';
import type { ShardState } from './shard-state.ts';
import { handOverFrom, joinLine } from './single-active.ts';
import { cursorFor } from './streams.ts';

const NO_CREDIT: Credit = { prefetch: 0, deliverThrough: 0, bytesThrough: 0 };

export function consume(state: ShardState, session: Session, command: Consume): Outcome | undefined {
  const queue = state.queues.get(command.queue);
  if (!queue) return { kind: 'no-such-queue' };
  if (session.consumers.has(command.consumer)) return { kind: 'consumer-exists' };
  const { singleActive } = queue.config;
  if (queue.exclusiveConsumer !== undefined || (command.exclusive && (queue.consumerCount > 0 || singleActive))) {
    return { kind: 'exclusive-refused' };
  }
  if (queue.stream !== undefined && (queue.consumers?.size ?? 0) >= READERS_MAX) return { kind: 'too-many-readers' };
  const consumer = addConsumer(state, session, queue, {
    id: command.consumer,
    state: singleActive && queue.singleActive !== undefined ? 'waiting' : 'active',
    isExclusive: command.exclusive,
    // Readers of a stream take nothing away from each other.
    priority: queue.stream === undefined ? command.priority : 0,
    tag: command.tag,
    cursor: queue.stream === undefined ? NO_CURSOR : cursorFor(state, queue, command.offset),
    credit: command,
  });
  queue.consumerCount++;
  noteUse(state, queue);
  if (command.exclusive) queue.exclusiveConsumer = consumer;
  if (singleActive) joinLine(queue, consumer);
  offer(state, consumer);
  return undefined;
}

export function setCredit(state: ShardState, session: Session, command: SetCredit): void {
  const consumer = session.consumer(command.consumer);
  if (!consumer) return;
  state.tracker.touch(consumer.queue ?? state.sessions);
  consumer.setCredit(command);
  offer(state, consumer);
}

export function cancel(state: ShardState, session: Session, command: Cancel): void {
  const consumer = session.consumer(command.consumer);
  if (!consumer) return;
  stopConsumer(state, consumer);
  if (consumer.queue) handOverFrom(state, consumer.queue, consumer);
}

export function release(state: ShardState, session: Session, command: Release): void {
  const consumer = session.consumer(command.consumer);
  if (!consumer) return;
  stopConsumer(state, consumer);
  releaseConsumer(state, consumer);
}

export function get(state: ShardState, session: Session, command: Get): Outcome {
  const queue = state.queues.get(command.queue);
  if (!queue) return { kind: 'no-such-queue' };
  if (queue.stream !== undefined) return { kind: 'no-get' };
  noteUse(state, queue);
  const known = session.consumers.get(command.consumer);
  if (known && (known.queue !== queue || known.state !== 'getter' || known.isLeaving))
    return { kind: 'consumer-exists' };
  if (!hasReady(state, queue)) return { kind: 'empty' };
  const getter =
    known ??
    addConsumer(state, session, queue, {
      id: command.consumer,
      state: 'getter',
      isExclusive: false,
      priority: 0,
      tag: '',
      cursor: NO_CURSOR,
      credit: NO_CREDIT,
    });
  state.tracker.touch(queue);
  const list = new DeliveryList();
  deliver(state, queue, getter, list);
  noteDeadline(state, queue);
  return {
    kind: 'message',
    consumer: command.consumer,
    number: list.numbers[0]!,
    body: list.bodyAt(0),
    deliveryCount: list.deliveryCounts[0]!,
    readyLeft: queue.ready,
    autoSettle: command.autoSettle,
  };
}

interface NewConsumer {
  readonly id: ConsumerId;
  readonly state: ConsumerState;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly tag: string;
  readonly cursor: number;
  readonly credit: Credit;
}

function addConsumer(state: ShardState, session: Session, queue: QueueState, added: NewConsumer): Consumer {
  state.tracker.touch(queue);
  const serial = state.nextSerial++;
  const queueOf: QueueId = queue.id;
  const address = { node: session.node, incarnation: session.incarnation, consumer: added.id, queue: queueOf };
  const consumer = new Consumer({ serial, address, ...added }, session, queue);
  session.consumers.set(added.id, consumer);
  queue.consumers ??= new Map();
  queue.consumers.set(serial, consumer);
  return consumer;
}
