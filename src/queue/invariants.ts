import { assert } from '../lib/assert.ts';
import { consumersInOrder } from './consumer-rings.ts';
import { isBefore, NEVER } from './deadlines.ts';
import { nextPosition } from './delivery.ts';
import { deadlineMsOf } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { LARGE, ReferenceState } from './reference-chunks.ts';
import type { ShardState } from './shard-state.ts';

/** Recounts the state from its references and compares with what is counted on the way. Touches every message. */
export function checkInvariants(state: ShardState): void {
  const { counters } = state;
  let ready = 0;
  let checkedOut = 0;
  const large = new Map<number, number>();
  for (const queue of state.queues.values()) {
    checkQueue(state, queue);
    checkConsumers(queue);
    checkSingleActive(queue);
    ready += queue.ready;
    checkedOut += queue.unacked;
    countLarge(queue, large);
  }
  for (const queue of state.pending.deletedQueues()) countLarge(queue, large);
  assert(ready === counters.ready, () => `${ready} messages are ready, ${counters.ready} are counted`);
  assert(checkedOut === counters.checkedOut, () => `${checkedOut} are checked out, ${counters.checkedOut} are counted`);
  const gone = counters.settled + counters.purged + counters.deleted + counters.discarded + counters.expired;
  assert(
    counters.enqueued === ready + checkedOut + gone,
    () => `${counters.enqueued} enqueued, but ${ready} ready, ${checkedOut} checked out and ${gone} gone`,
  );
  for (const { id, references } of state.large.all()) {
    const found = large.get(id) ?? 0;
    assert(found === references, () => `large message ${id} has ${found} references, ${references} are counted`);
  }
  checkSessions(state);
  checkDeadlines(state);
}

interface Count {
  messages: number;
  bytes: number;
}

function checkQueue(state: ShardState, queue: QueueState): void {
  const ready: Count = { messages: 0, bytes: 0 };
  const held: Count = { messages: 0, bytes: 0 };
  let isStale = false;
  for (const chunk of queue.chunks?.values() ?? []) {
    const isCurrent = chunk.generation === queue.generation;
    isStale ||= !isCurrent;
    let alive = 0;
    for (let i = 0; i < chunk.count; i++) {
      const slot = chunk.storage!.states[i]!;
      if (slot === ReferenceState.gone) continue;
      alive++;
      if (slot === ReferenceState.ready && !isCurrent) continue;
      const count = slot === ReferenceState.ready ? ready : held;
      count.messages++;
      count.bytes += chunk.storage!.lengths[i]!;
    }
    assert(
      alive === chunk.alive,
      () => `chunk ${chunk.number} of queue ${queue.id} counts ${chunk.alive}, has ${alive}`,
    );
    assert(alive > 0 || chunk === queue.tailChunk, () => `chunk ${chunk.number} of queue ${queue.id} is empty`);
  }
  const name = `queue ${queue.id}`;
  assert(ready.messages === queue.ready, () => `${name} counts ${queue.ready} ready, has ${ready.messages}`);
  // Those of a stream are not counted: it has dropped them, and each reader knows what it holds.
  if (queue.stream !== undefined) Object.assign(held, { messages: 0, bytes: 0 });
  assert(held.messages === queue.unacked, () => `${name} counts ${queue.unacked} unacked, has ${held.messages}`);
  assert(ready.bytes === queue.readyBytes, () => `${name} counts ${queue.readyBytes} ready bytes, has ${ready.bytes}`);
  assert(held.bytes === queue.unackedBytes, () => `${name}: ${held.bytes} unacked bytes, not ${queue.unackedBytes}`);
  const returned = queue.returned?.size ?? 0;
  assert(ready.messages === queue.tail - queue.head + returned, () => `${name}: head, tail and returned do not add up`);
  const isPurging = state.pending.drops.some(work => work.queue === queue);
  assert(!isStale || isPurging, () => `${name} has purged references and no work for them`);
}

function checkConsumers(queue: QueueState): void {
  let unsettled = 0;
  let consuming = 0;
  for (const consumer of queue.consumers?.values() ?? []) {
    const { count } = consumer.unsettled;
    unsettled += count;
    if (consumer.isConsuming) consuming++;
    assert(consumer.queue === queue, () => `consumer ${consumer.serial} is in a queue that it does not know`);
    assert(count <= consumer.lastDelivery, () => `consumer ${consumer.serial} holds more than it was given`);
    let held = 0;
    for (const page of consumer.unsettled.pages()) held += page.held;
    assert(held === count, () => `consumer ${consumer.serial} counts ${count} unsettled, has ${held}`);
  }
  if (queue.stream !== undefined) checkReaders(queue);
  const counted = queue.stream === undefined ? unsettled : 0;
  assert(counted === queue.unacked, () => `consumers of queue ${queue.id} hold ${unsettled} of ${queue.unacked}`);
  assert(
    consuming === queue.consumerCount,
    () => `queue ${queue.id} counts ${queue.consumerCount} consumers, has ${consuming}`,
  );
  const order = consumersInOrder(queue);
  for (const [i, consumer] of order.entries()) {
    assert(consumer.state === 'active', 'a stopped consumer is in service order');
    assert(i === 0 || order[i - 1]!.priority >= consumer.priority, 'a lower priority comes first in service order');
  }
  const isWaiting =
    queue.stream === undefined ? order.length > 0 : order.some(one => nextPosition(queue, one) < queue.tail);
  const isServed = queue.ready === 0 || queue.isTouched || !isWaiting;
  assert(isServed, () => `queue ${queue.id} has ready messages and a consumer in service order, but is not looked at`);
}

/** What a reader holds is there, in its order and behind its cursor; each message knows how many readers hold it. */
function checkReaders(queue: QueueState): void {
  const holders = new Map<number, number>();
  for (const { serial, cursor, unsettled } of queue.consumers?.values() ?? []) {
    assert(cursor >= 0 && cursor <= queue.tail, () => `reader ${serial} of stream ${queue.id} is at ${cursor}`);
    let previous = -1;
    for (const { positions } of unsettled.pages()) {
      for (const slot of positions) {
        if (slot === 0) continue;
        const position = slot - 1;
        assert(position > previous && position < cursor, () => `reader ${serial} holds ${position} at ${cursor}`);
        holders.set(position, (holders.get(position) ?? 0) + 1);
        previous = position;
      }
    }
  }
  for (const chunk of queue.chunks?.values() ?? []) {
    for (let i = 0; i < chunk.count; i++) {
      const state = chunk.storage!.states[i]!;
      if (state === ReferenceState.gone) continue;
      const position = chunk.origin + i;
      const held = holders.get(position) ?? 0;
      holders.delete(position);
      const counted = chunk.storage!.counts[i]!;
      assert(counted === held, () => `${held} readers hold ${position} of stream ${queue.id}, counted are ${counted}`);
      const isDropped = state === ReferenceState.checkedOut;
      assert(!isDropped || held > 0, () => `nobody holds ${position}, which stream ${queue.id} has dropped`);
    }
  }
  assert(holders.size === 0, () => `readers of stream ${queue.id} hold ${[...holders.keys()]}, which are gone`);
}

/** One takes messages; while others wait there is one, or one that is about to be forgotten. */
function checkSingleActive(queue: QueueState): void {
  const { config, singleActive, id } = queue;
  const consumers = [...(queue.consumers?.values() ?? [])];
  const waiting = consumers.filter(({ state }) => state === 'waiting');
  if (!config.singleActive) {
    assert(singleActive === undefined && waiting.length === 0, () => `consumers wait for their turn in queue ${id}`);
    return;
  }
  const active = consumers.filter(({ state }) => state === 'active');
  assert(active.length <= 1, () => `queue ${id} has ${active.length} active consumers`);
  assert(active.length === 0 || active[0] === singleActive, () => `queue ${id} knows another active consumer`);
  assert(waiting.length === 0 || singleActive !== undefined, () => `queue ${id} has nobody to wait for`);
  const isGoing = singleActive?.state === 'cancelled' && singleActive.pendingWork > 0;
  assert(singleActive === undefined || active.length === 1 || isGoing, () => `queue ${id} is held by who has gone`);
  const inLine = queue.waiting ? consumersInOrder(queue.waiting) : [];
  waiting.sort((a, b) => b.priority - a.priority || a.serial - b.serial);
  const isLine = inLine.length === waiting.length && inLine.every((consumer, i) => consumer === waiting[i]);
  assert(isLine, () => `those who wait in queue ${id} are not in line`);
}

function countLarge(queue: QueueState, large: Map<number, number>): void {
  for (const chunk of queue.chunks?.values() ?? []) {
    for (let i = 0; i < chunk.count; i++) {
      if (chunk.storage!.states[i] === ReferenceState.gone || chunk.storage!.shares[i] !== LARGE) continue;
      const id = chunk.storage!.positions[i]!;
      large.set(id, (large.get(id) ?? 0) + 1);
    }
  }
}

function checkDeadlines(state: ShardState): void {
  const deadlines = state.deadlines.all();
  for (const [slot, deadline] of deadlines.entries()) {
    const { queue, atMs } = deadline;
    const parent = deadlines[(slot - 1) >> 1];
    assert(deadline.slot === slot && queue.deadline === deadline, 'a deadline is not where it takes itself to be');
    assert(parent === undefined || isBefore(parent, deadline), 'a later deadline stands above an earlier one');
    assert(atMs !== NEVER && state.queues.get(queue.id) === queue, () => `queue ${queue.id} has a deadline and no end`);
  }
  for (const queue of state.queues.values()) {
    const atMs = deadlineMsOf(queue);
    const noted = queue.deadline?.atMs ?? NEVER;
    assert(noted === atMs, () => `queue ${queue.id} is to be looked at by ${atMs}; noted is ${noted}`);
  }
}

function checkSessions(state: ShardState): void {
  for (const session of state.sessions.all()) {
    assert(session.seenThrough <= session.lastSequence, 'a sender has seen outcomes of the future');
    let previous = session.seenThrough;
    for (const { sequence } of session.outcomes) {
      assert(sequence > previous && sequence <= session.lastSequence, 'recorded outcomes are out of order');
      previous = sequence;
    }
    const isFenced = state.sessions.isFenced(session.node, session.incarnation);
    assert(isFenced === session.isEnded, 'a session is ended if and only if its incarnation is fenced');
    assert(
      !session.isEnded || state.pending.returns.some(work => work.kind === 'fence' && work.session === session),
      'an ended session waits for nothing',
    );
  }
}
