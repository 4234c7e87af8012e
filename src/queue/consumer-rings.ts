import type { Consumer } from './consumers.ts';

/**
 * Consumers in the order of their priorities; those of one priority form a ring, so that each of them has its turn. Most
 * queues know one priority only, and their consumers are one ring. A consumer is in one order at a time.
 */
export interface ConsumerRings {
  /** First in order: of the highest priority. */
  ringFront: Consumer | undefined;
  /** First ones of the other rings, by ascending priority. Empty or undefined while there is one priority. */
  lowerFronts: Consumer[] | undefined;
}

/** Puts a consumer behind the others of its priority. */
export function appendToRing(rings: ConsumerRings, consumer: Consumer): void {
  const front = rings.ringFront;
  if (front === undefined) rings.ringFront = alone(consumer);
  else if (front.priority === consumer.priority) linkBehind(front, consumer);
  else if (front.priority < consumer.priority) {
    rings.lowerFronts ??= [];
    rings.lowerFronts.push(front);
    rings.ringFront = alone(consumer);
  } else appendToLower(rings, consumer);
}

function appendToLower(rings: ConsumerRings, consumer: Consumer): void {
  rings.lowerFronts ??= [];
  const lower = rings.lowerFronts;
  const at = placeOf(lower, consumer.priority);
  const front = lower[at];
  if (front?.priority === consumer.priority) linkBehind(front, consumer);
  else lower.splice(at, 0, alone(consumer));
}

/** Does nothing if the consumer is in no ring. */
export function leaveRing(rings: ConsumerRings, consumer: Consumer): void {
  const next = consumer.ringNext;
  if (next === undefined) return;
  const others = next === consumer ? undefined : next;
  if (others !== undefined) {
    consumer.ringPrevious!.ringNext = next;
    next.ringPrevious = consumer.ringPrevious;
  }
  if (rings.ringFront === consumer) rings.ringFront = others ?? rings.lowerFronts?.pop();
  else if (rings.ringFront!.priority !== consumer.priority) leaveLower(rings.lowerFronts!, consumer, others);
  consumer.ringNext = undefined;
  consumer.ringPrevious = undefined;
}

function leaveLower(lower: Consumer[], consumer: Consumer, others: Consumer | undefined): void {
  const at = placeOf(lower, consumer.priority);
  if (lower[at] !== consumer) return;
  if (others === undefined) lower.splice(at, 1);
  else lower[at] = others;
}

/** All of them, the first one first. */
export function consumersInOrder(rings: ConsumerRings): Consumer[] {
  const order: Consumer[] = [];
  if (rings.ringFront === undefined) return order;
  for (const front of [...(rings.lowerFronts ?? []), rings.ringFront].reverse()) {
    let consumer = front;
    do {
      order.push(consumer);
      consumer = consumer.ringNext!;
    } while (consumer !== front);
  }
  return order;
}

function alone(consumer: Consumer): Consumer {
  consumer.ringNext = consumer;
  consumer.ringPrevious = consumer;
  return consumer;
}

function linkBehind(front: Consumer, consumer: Consumer): void {
  const back = front.ringPrevious!;
  consumer.ringNext = front;
  consumer.ringPrevious = back;
  back.ringNext = consumer;
  front.ringPrevious = consumer;
}

/** Where the ring of this priority is, or belongs. */
function placeOf(fronts: readonly Consumer[], priority: number): number {
  let low = 0;
  let high = fronts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fronts[middle]!.priority < priority) low = middle + 1;
    else high = middle;
  }
  return low;
}
