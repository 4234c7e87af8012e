import { unreachable } from '../lib/assert.ts';
import { reached } from '../lib/reached.ts';
import { offer } from './checkout.ts';
import { Settlement } from './commands.ts';
import type { Consumer } from './consumers.ts';
import { forgetConsumer } from './deletion.ts';
import { DELIVERY_COUNT_MAX } from './limits.ts';
import type { ReturnWork } from './pending-work.ts';
import { noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { ReferenceState } from './reference-chunks.ts';
import { dropReference, freshen, letGo } from './reference-drop.ts';
import type { Session } from './sessions.ts';
import type { ShardState } from './shard-state.ts';

/** Settles, returns or discards the numbers from `first` to `last` that the consumer holds; others are ignored. */
export function settleRange(state: ShardState, consumer: Consumer, how: Settlement, first: number, last: number): void {
  const end = Math.min(last, consumer.lastDelivery);
  const held = consumer.unsettled.firstHeld(first, end);
  if (held === 0) {
    state.counters.ignoredSettlements++;
    return;
  }
  if (held === end && state.settlementsLeft > 0 && consumer.pendingWork === 0) {
    settleOne(state, consumer, how, held);
    offer(state, consumer);
    return;
  }
  schedule(state, { kind: 'settle', consumer, how, next: held, last: end }, consumer.pendingWork === 0);
}

/** Returns everything that the consumer holds and forgets it. Its deliveries must have stopped. */
export function releaseConsumer(state: ShardState, consumer: Consumer): void {
  consumer.isLeaving = true;
  schedule(state, { kind: 'release', consumer }, consumer.pendingWork === 0);
}

/** Releases all consumers of a fenced session, then forgets it. */
export function releaseSession(state: ShardState, session: Session): void {
  schedule(state, { kind: 'fence', session }, state.pending.returns.length === 0);
}

/** Goes on with left-over work, the oldest first, until the share of this `apply` is used up. */
export function continueReturns(state: ShardState): void {
  const { returns } = state.pending;
  let done = 0;
  while (done < returns.length && state.settlementsLeft > 0) {
    const work = returns[done]!;
    if (!step(state, work)) break;
    if (work.kind !== 'fence') work.consumer.pendingWork--;
    done++;
  }
  if (done > 0) returns.splice(0, done);
}

/** `isFirst`: nothing older concerns the same consumers, so the work may begin at once. */
function schedule(state: ShardState, work: ReturnWork, isFirst: boolean): void {
  if (isFirst && state.settlementsLeft > 0 && step(state, work)) return;
  if (work.kind !== 'fence') work.consumer.pendingWork++;
  reached('shard.return-work-left-over');
  state.pending.returns.push(work);
}

/** Returns whether the work is finished. */
function step(state: ShardState, work: ReturnWork): boolean {
  switch (work.kind) {
    case 'settle':
      return stepSettle(state, work);
    case 'release':
      return stepRelease(state, work.consumer);
    case 'fence':
      return stepFence(state, work.session);
    default:
      return unreachable(work);
  }
}

function stepSettle(state: ShardState, work: Extract<ReturnWork, { kind: 'settle' }>): boolean {
  const { consumer, how, last } = work;
  let next = consumer.unsettled.firstHeld(work.next, last);
  while (next > 0 && state.settlementsLeft > 0) {
    settleOne(state, consumer, how, next);
    next = consumer.unsettled.firstHeld(next + 1, last);
  }
  offer(state, consumer);
  if (next > 0) work.next = next;
  return next === 0;
}

function stepRelease(state: ShardState, consumer: Consumer): boolean {
  let next = consumer.unsettled.firstHeld(1, consumer.lastDelivery);
  while (next > 0 && state.settlementsLeft > 0) {
    settleOne(state, consumer, Settlement.return, next);
    next = consumer.unsettled.firstHeld(next + 1, consumer.lastDelivery);
  }
  if (next > 0) return false;
  forgetConsumer(state, consumer);
  return true;
}

function stepFence(state: ShardState, session: Session): boolean {
  for (const consumer of session.consumers.values()) {
    if (state.settlementsLeft <= 0 || !stepRelease(state, consumer)) return false;
    // A consumer costs its share even if it holds nothing.
    state.settlementsLeft--;
  }
  reached('shard.fenced-session-gone');
  state.sessions.remove(session);
  return true;
}

/** `number` must be held. */
function settleOne(state: ShardState, consumer: Consumer, how: Settlement, number: number): void {
  const queue = consumer.queue!;
  state.tracker.touch(queue);
  const position = consumer.unsettled.take(state, number);
  state.settlementsLeft--;
  state.hash.mix(position ^ how);
  if (queue.stream !== undefined) {
    letGo(state, queue, position);
    return;
  }
  state.counters.checkedOut--;
  queue.unacked--;
  if (how === Settlement.return) {
    returnReference(state, queue, position);
    return;
  }
  if (how === Settlement.settle) state.counters.settled++;
  else state.counters.discarded++;
  const chunk = queue.chunkOfHeld(position);
  const i = position - chunk.origin;
  queue.unackedBytes -= chunk.storage!.lengths[i]!;
  dropReference(state, chunk, i);
  if (chunk.alive === 0) queue.chunkEmptied(state.tracker, state.pool, chunk);
}

/** The message goes back to its place, and carries `redelivered` from now on. */
function returnReference(state: ShardState, queue: QueueState, position: number): void {
  const chunk = queue.chunkOfHeld(position);
  freshen(state, queue, chunk);
  state.tracker.touch(chunk);
  const storage = chunk.storage!;
  const i = position - chunk.origin;
  const length = storage.lengths[i]!;
  storage.states[i] = ReferenceState.ready;
  storage.counts[i] = Math.min(storage.counts[i]! + 1, DELIVERY_COUNT_MAX);
  queue.unackedBytes -= length;
  queue.readyBytes += length;
  queue.putBack(position);
  noteDeadline(state, queue);
  state.counters.ready++;
  state.pending.touch(queue);
}
