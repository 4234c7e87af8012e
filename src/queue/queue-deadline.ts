import type { Retention } from './commands.ts';
import { NEVER } from './deadlines.ts';
import type { QueueState } from './queue-state.ts';
import type { ShardState } from './shard-state.ts';

/**
 * Shard time at which the first ready message expires. Messages behind it wait for it, as in RabbitMQ. A stream drops its
 * first one for its age, or at once because of its bytes.
 */
export function firstExpiryMs(queue: QueueState): number {
  if (queue.ready === 0) return NEVER;
  const position = queue.firstReady;
  const chunk = queue.chunkOfTaken(position);
  const timeMs = chunk.storage!.times?.[position - chunk.origin] ?? NEVER;
  return queue.stream === undefined ? timeMs : keptUntilMs(queue, queue.stream, timeMs);
}

function keptUntilMs({ ready, readyBytes }: QueueState, { maxAgeMs, maxBytes }: Retention, cameMs: number): number {
  if (maxBytes !== undefined && readyBytes > maxBytes && ready > 1) return 0;
  return maxAgeMs === undefined ? NEVER : cameMs + maxAgeMs;
}

/** Shard time at which the queue goes because nobody used it. */
export function unusedUntilMs({ config: { expiresMs }, consumerCount, usedMs }: QueueState): number {
  return expiresMs === undefined || consumerCount > 0 ? NEVER : usedMs + expiresMs;
}

export const deadlineMsOf = (queue: QueueState): number => Math.min(firstExpiryMs(queue), unusedUntilMs(queue));

/** To be called when the queue's first ready message is another one. */
export function noteDeadline(state: ShardState, queue: QueueState): void {
  if (queue.deadline !== undefined) state.deadlines.set(queue.deadline, deadlineMsOf(queue));
}

/** Somebody gets, declares, begins or stops to consume: the time of a queue that expires unused starts again. */
export function noteUse(state: ShardState, queue: QueueState): void {
  if (queue.config.expiresMs === undefined) return;
  state.tracker.touch(queue);
  queue.usedMs = state.timeMs;
  noteDeadline(state, queue);
}
