import { reached } from '../lib/reached.ts';
import { consumersInOrder, leaveRing } from './consumer-rings.ts';
import type { Consumer } from './consumers.ts';
import { deliverFromStream, nextPosition } from './delivery.ts';
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
 * before all have caught up or run out of credit. Those who have read everything are looked at once.
 */
export function serveReaders(state: ShardState, queue: QueueState): boolean {
  state.tracker.touch(queue);
  for (let behind = readersBehind(queue); behind.length > 0; ) {
    const still: Consumer[] = [];
    for (const reader of behind) {
      if (state.deliveriesLeft === 0) {
        reached('shard.reading-left-over');
        queue.ringFront = reader;
        return false;
      }
      state.deliveriesLeft--;
      queue.ringFront = reader.ringNext;
      deliverFromStream(state, queue, reader, state.effects.deliveries);
      if (!reader.canTake) leaveRing(queue, reader);
      else if (hasUnread(queue, reader)) still.push(reader);
    }
    behind = still;
  }
  return true;
}

/** Readers with credit that have something to read, the next to be served first. The others without credit lose their turn. */
function readersBehind(queue: QueueState): Consumer[] {
  const behind: Consumer[] = [];
  for (const reader of consumersInOrder(queue)) {
    if (!reader.canTake) leaveRing(queue, reader);
    else if (hasUnread(queue, reader)) behind.push(reader);
  }
  return behind;
}

const hasUnread = (queue: QueueState, reader: Consumer): boolean => nextPosition(queue, reader) < queue.tail;
