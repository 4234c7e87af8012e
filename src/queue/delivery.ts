import { assert } from '../lib/assert.ts';
import type { Consumer } from './consumers.ts';
import type { DeliveryList } from './effects.ts';
import type { QueueState } from './queue-state.ts';
import { LARGE, type ReferenceChunk, ReferenceState } from './reference-chunks.ts';
import type { ShardState } from './shard-state.ts';

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

/** Where a reader goes on; the tail if the stream has nothing for it. */
export const nextPosition = ({ head }: QueueState, { cursor }: Consumer): number => Math.max(cursor, head);

/** Hands `consumer` the next message, which stays in the stream. There must be one. */
export function deliverFromStream(state: ShardState, queue: QueueState, consumer: Consumer, list: DeliveryList): void {
  const position = nextPosition(queue, consumer);
  consumer.cursor = position + 1;
  const chunk = queue.chunkOfHeld(position);
  state.tracker.touch(chunk);
  const i = position - chunk.origin;
  const storage = chunk.storage!;
  storage.counts[i]!++;
  const number = ++consumer.lastDelivery;
  consumer.bytesDelivered += storage.lengths[i]!;
  consumer.unsettled.add(state, number, position);
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
  const { shares, positions, entries, lengths, counts } = chunk.storage!;
  const count = consumer.isReader ? 0 : counts[i]!;
  if (consumer.isReader) list.offsets.set(list.length, chunk.origin + i);
  if (shares[i] === LARGE) list.add(consumer.address, number, state.large.get(positions[i]!), count);
  else list.addPlain(consumer.address, number, entries[i]!, positions[i]!, lengths[i]!, count);
}
