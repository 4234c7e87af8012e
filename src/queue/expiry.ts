import { reached } from '../lib/reached.ts';
import { firstExpiryMs, noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { dropFromStream, dropReference } from './reference-drop.ts';
import type { ShardState } from './shard-state.ts';

/** Whether there is a message to hand out. */
export const hasReady = (state: ShardState, queue: QueueState): boolean =>
  queue.deadline === undefined ? queue.ready > 0 : hasFreshFront(state, queue);

/**
 * Drops what has expired in front, and says whether the first ready message may be handed out. False: there is none, or this
 * `apply` has dropped its share. A message that came with the entry under way has its chance even if it expires at once.
 */
function hasFreshFront(state: ShardState, queue: QueueState): boolean {
  while (queue.ready > 0) {
    const expiryMs = firstExpiryMs(queue);
    if (expiryMs > state.timeMs || (expiryMs === state.timeMs && isOfThisEntry(state, queue))) return true;
    if (state.expiriesLeft === 0) return false;
    reached('shard.expired-before-hand-out');
    expireFirst(state, queue);
  }
  return false;
}

/** Drops what has expired in front. False: this `apply` has dropped its share. */
export function expireFront(state: ShardState, queue: QueueState): boolean {
  while (firstExpiryMs(queue) <= state.timeMs) {
    if (state.expiriesLeft === 0) {
      reached('shard.expiries-left-over');
      noteDeadline(state, queue);
      return false;
    }
    expireFirst(state, queue);
  }
  noteDeadline(state, queue);
  return true;
}

function isOfThisEntry(state: ShardState, queue: QueueState): boolean {
  const chunk = queue.chunkOfTaken(queue.firstReady);
  return chunk.storage!.entries[queue.firstReady - chunk.origin] === state.applied;
}

/** The one place where a message leaves its queue because its time is over. The caller notes the deadline. */
function expireFirst(state: ShardState, queue: QueueState): void {
  state.tracker.touch(queue);
  state.expiriesLeft--;
  const position = queue.takeReady();
  const chunk = queue.chunkOfTaken(position);
  const i = position - chunk.origin;
  queue.readyBytes -= chunk.storage!.lengths[i]!;
  state.counters.ready--;
  state.counters.expired++;
  state.hash.mix(~position);
  if (queue.stream === undefined) dropReference(state, chunk, i);
  else dropFromStream(state, chunk, i);
  if (chunk.alive === 0) queue.chunkEmptied(state.tracker, state.pool, chunk);
}
