import { reached } from '../lib/reached.ts';
import { leaveRing } from './consumer-rings.ts';
import { type Consumer, joinRing } from './consumers.ts';
import { deliver } from './delivery.ts';
import { hasReady } from './expiry.ts';
import { noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import type { ShardState } from './shard-state.ts';
import { serveReaders } from './streams.ts';

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
  for (let done = 0; done < touched.length; done++) {
    const queue = touched[done]!;
    const before = state.deliveriesLeft;
    const isDone = queue.isDeleted || checkout(state, queue);
    noteDeadline(state, queue);
    if (!isDone) {
      // Who has had a share comes after the others the next time.
      const others = touched.slice(done + 1);
      state.pending.touched = state.deliveriesLeft < before ? [...others, queue] : [queue, ...others];
      return;
    }
    queue.isTouched = false;
  }
  if (touched.length > 0) state.pending.touched = [];
}

/** Returns false if the share of this `apply` is used up before the queue has run out of messages or credit. */
function checkout(state: ShardState, queue: QueueState): boolean {
  if (queue.stream !== undefined) return serveReaders(state, queue);
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
