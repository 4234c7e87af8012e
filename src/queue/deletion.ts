import { reached } from '../lib/reached.ts';
import { leaveRing } from './consumer-rings.ts';
import type { Consumer } from './consumers.ts';
import { NEVER } from './deadlines.ts';
import { noteUse } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { continueDrops } from './reference-drop.ts';
import type { ShardState } from './shard-state.ts';
import { handOverFrom } from './single-active.ts';

/** Removes a queue with everything in it, and leaves its tombstone (R3). Returns how many messages were ready. */
export function deleteQueue(state: ShardState, queue: QueueState): number {
  const { id, config } = queue;
  const messages = queue.ready;
  state.counters.deleted += messages + queue.unacked;
  state.counters.ready -= messages;
  state.counters.checkedOut -= queue.unacked;
  state.queues.delete(id);
  state.tracker.remove(queue);
  queue.isDeleted = true;
  if (queue.deadline !== undefined) state.deadlines.set(queue.deadline, NEVER);
  queue.deadline = undefined;
  if (queue.consumers) for (const consumer of queue.consumers.values()) loseQueue(state, queue, consumer);
  queue.consumers = undefined;
  queue.singleActive = undefined;
  queue.waiting = undefined;
  const named = { id, vhost: config.vhost, name: config.name };
  state.tracker.touch(state.tombstones);
  state.tombstones.add(named);
  state.effects.queuesDeleted.push(named);
  state.hash.mixWide(id);
  dropAll(state, queue);
  return messages;
}

function dropAll(state: ShardState, queue: QueueState): void {
  if (!queue.chunks) return;
  const { drops } = state.pending;
  const purge = drops.findIndex(work => work.queue === queue);
  if (purge >= 0) drops.splice(purge, 1);
  drops.push({ kind: 'delete', queue });
  continueDrops(state);
}

function loseQueue(state: ShardState, queue: QueueState, consumer: Consumer): void {
  leaveOrder(queue, consumer);
  consumer.unsettled.clear(state);
  reached('shard.consumer-lost-its-queue');
  if (consumer.isConsuming) state.effects.consumersCancelled.push(consumer.address);
  consumer.state = 'queue-deleted';
  consumer.queue = undefined;
}

function leaveOrder(queue: QueueState, consumer: Consumer): void {
  leaveRing(consumer.state === 'waiting' ? queue.waiting! : queue, consumer);
}

/** Stops deliveries. Takes an auto-delete queue with it, if this was its last consumer. */
export function stopConsumer(state: ShardState, consumer: Consumer): void {
  const { queue } = consumer;
  if (!consumer.isConsuming || !queue) return;
  state.tracker.touch(queue);
  leaveOrder(queue, consumer);
  consumer.state = 'cancelled';
  queue.consumerCount--;
  noteUse(state, queue);
  if (queue.exclusiveConsumer === consumer) queue.exclusiveConsumer = undefined;
  if (queue.consumerCount === 0 && queue.config.autoDelete) deleteQueue(state, queue);
}

/** The consumer holds nothing any more. */
export function forgetConsumer(state: ShardState, consumer: Consumer): void {
  stopConsumer(state, consumer);
  consumer.session.consumers.delete(consumer.address.consumer);
  const { queue } = consumer;
  if (!queue) return;
  state.tracker.touch(queue);
  consumer.unsettled.clear(state);
  queue.consumers!.delete(consumer.serial);
  if (queue.consumers!.size === 0) queue.consumers = undefined;
  handOverFrom(state, queue, consumer);
}

/** Forgets tombstones whose removal every session has seen. */
export function pruneTombstones(state: ShardState): void {
  const { tombstones, sessions, tracker } = state;
  const min = sessions.topologyIndexMin;
  if (!tombstones.canPrune(min)) return;
  tracker.touch(tombstones);
  tombstones.prune(min);
}
