import { reached } from '../lib/reached.ts';
import { leaveRing } from './consumer-rings.ts';
import type { Consumer } from './consumers.ts';
import { deliverFromStream } from './delivery.ts';
import type { QueueState } from './queue-state.ts';
import type { ShardState } from './shard-state.ts';
import type { StreamOffset } from './stream-offset.ts';

/** Where in the stream a consumer begins to read; at the next message if it does not say. */
export function cursorFor(state: ShardState, queue: QueueState, offset: StreamOffset | undefined): number {
  const { head, tail } = queue;
  switch (offset?.from) {
    case 'first':
      return head;
    case 'last':
      return Math.max(head, tail - 1);
    case 'offset':
      return Math.min(Math.max(head, offset.offset), tail);
    case 'time':
      return firstSince(queue, offset.timeMs);
    case 'age':
      return firstSince(queue, state.timeMs - offset.ageMs);
    default:
      return tail;
  }
}

/** Position of the first message that came at `timeMs` or later; the tail if there is none. Shard time never goes back. */
function firstSince(queue: QueueState, timeMs: number): number {
  let low = queue.head;
  let high = queue.tail;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const chunk = queue.chunkOfHeld(middle);
    if (chunk.storage!.times![middle - chunk.origin]! < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Hands out what readers have not read yet, one message each in turn. Returns false if the share of this `apply` is used up
 * before all have caught up or run out of credit.
 */
export function serveReaders(state: ShardState, queue: QueueState): boolean {
  state.tracker.touch(queue);
  /** The first of those in turn that have read everything: all others have been looked at when it comes again. */
  let caughtUp: Consumer | undefined;
  for (let reader = queue.ringFront; reader !== undefined; reader = queue.ringFront) {
    if (!reader.canTake) {
      leaveRing(queue, reader);
      continue;
    }
    if (reader.cursor >= queue.tail) {
      if (caughtUp === reader) return true;
      caughtUp ??= reader;
    } else {
      if (state.deliveriesLeft === 0) {
        reached('shard.reading-left-over');
        return false;
      }
      state.deliveriesLeft--;
      deliverFromStream(state, queue, reader, state.effects.deliveries);
      caughtUp = undefined;
    }
    queue.ringFront = reader.ringNext;
  }
  return true;
}
