import { reached } from '../lib/reached.ts';
import { offer } from './checkout.ts';
import { appendToRing, leaveRing } from './consumer-rings.ts';
import type { Consumer } from './consumers.ts';
import type { QueueState } from './queue-state.ts';
import type { ShardState } from './shard-state.ts';

/** A consumer of a queue that serves one at a time: it takes messages or waits, as its state says. */
export function joinLine(queue: QueueState, consumer: Consumer): void {
  if (consumer.state === 'active') {
    queue.singleActive = consumer;
    return;
  }
  queue.waiting ??= { ringFront: undefined, lowerFronts: undefined };
  appendToRing(queue.waiting, consumer);
}

/**
 * The consumer takes nothing more, and what comes back of it is back: if it was the one, the next takes over, by priority
 * and then by age. Who comes later with a higher priority waits like all others until that moment.
 */
export function handOverFrom(state: ShardState, queue: QueueState, consumer: Consumer): void {
  if (queue.singleActive !== consumer) return;
  const next = queue.waiting?.ringFront;
  queue.singleActive = next;
  if (next === undefined) return;
  reached('shard.waiting-consumer-takes-over');
  leaveRing(queue.waiting!, next);
  if (queue.waiting!.ringFront === undefined) queue.waiting = undefined;
  next.state = 'active';
  state.hash.mixWide(next.serial);
  offer(state, next);
}
