import { assert } from '../lib/assert.ts';
import { reached } from '../lib/reached.ts';
import { leaveRing } from './consumer-rings.ts';
import { type Consumer, joinRing } from './consumers.ts';
import type { DeliveryList } from './effects.ts';
import { hasReady } from './expiry.ts';
import { noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { LARGE, type ReferenceChunk, ReferenceState } from './reference-chunks.ts';
import type { ShardState } from './shard-state.ts';

/** A consumer may have got credit: it joins the service order, and its queue is looked at. */
export function offer(state: ShardState, consumer: Consumer): void {
  const { queue } = consumer;
  if (!queue) return;
  state.tracker.touch(queue);
  joinRing(queue, consumer);
  if (queue.ready > 0 && queue.ringFront !== undefined) state.pending.touch(queue);
}

/** The only place where messages are handed out to consumers: by priority, round-robin over those with credit. */
export function checkoutTouched(state: ShardState): void {
  const { touched } = state.pending;
  let done = 0;
  for (; done < touched.length; done++) {
    const queue = touched[done]!;
    const isDone = queue.isDeleted || checkout(state, queue);
    noteDeadline(state, queue);
    if (!isDone) break;
    queue.isTouched = false;
  }
  if (done > 0) state.pending.touched = touched.slice(done);
}

/** Returns false if the share of this `apply` is used up before the queue has run out of messages or credit. */
function checkout(state: ShardState, queue: QueueState): boolean {
  while (hasReady(state, queue)) {
    const consumer = queue.ringFront;
    if (!consumer) return true;
    state.tracker.touch(queue);
    if (!consumer.canTake) {
      leaveRing(queue, consumer);
      continue;
    }
    if (state.deliveriesLeft === 0) {
      reached('shard.deliveries-left-over');
      return false;
    }
    state.deliveriesLeft--;
    deliver(state, queue, consumer, state.effects.deliveries);
    queue.ringFront = consumer.ringNext;
  }
  return queue.ready === 0;
}

/** Hands the queue's first ready message to `consumer`. The queue's page must have been touched. */
export function deliver(state: ShardState, queue: QueueState, consumer: Consumer, list: DeliveryList): void {
  const position = queue.takeReady();
  const chunk = queue.chunkOfTaken(position);
  state.tracker.touch(chunk);
  const i = position - chunk.origin;
  const storage = chunk.storage!;
  assert(storage.states[i] === ReferenceState.ready, () => `position ${position} of queue ${queue.id} is not ready`);
  storage.states[i] = ReferenceState.checkedOut;
  const length = storage.lengths[i]!;
  const number = ++consumer.lastDelivery;
  consumer.bytesDelivered += length;
  consumer.unsettled.add(state, number, position);
  queue.unacked++;
  queue.readyBytes -= length;
  queue.unackedBytes += length;
  state.counters.ready--;
  state.counters.checkedOut++;
  state.hash.mix(number ^ Math.imul(position, 0x85ebca6b));
  listDelivery(state, chunk, i, consumer, number, list);
}

/** Adds a message that the consumer holds, as it was or will be delivered. */
export function listDelivery(
  state: ShardState,
  chunk: ReferenceChunk,
  i: number,
  consumer: Consumer,
  number: number,
  list: DeliveryList,
): void {
  const { shares, positions, entries, lengths, deliveryCounts } = chunk.storage!;
  const count = deliveryCounts[i]!;
  if (shares[i] === LARGE) list.add(consumer.address, number, state.large.get(positions[i]!), count);
  else list.addPlain(consumer.address, number, entries[i]!, positions[i]!, lengths[i]!, count);
}
