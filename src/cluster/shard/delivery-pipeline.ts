import type { ConsumerId } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import {
  type BodyPart,
  type BodyReference,
  type DeliveryList,
  NO_OFFSET,
  type SessionAnswer,
} from '../../queue/effects.ts';
import type { BodyReader } from './body-reader.ts';
import type { ShardLink } from './shard-link.ts';

/** What waits for a body to be read, or behind something that does. */
type Item =
  | {
      readonly kind: 'delivery';
      readonly consumer: ConsumerId;
      readonly number: number;
      readonly deliveryCount: number;
      readonly offset: number;
      readonly mayLeap: boolean;
      readonly body: BodyReference;
      /** Pieces of the body that are at hand already; a large one need not fit into the reader's cache as a whole. */
      readonly pieces: Uint8Array[];
    }
  | { readonly kind: 'answer'; readonly answer: SessionAnswer }
  | { readonly kind: 'cancelled'; readonly consumer: ConsumerId };

const READ_AHEAD = 8;

/**
 * What a leader sends to one attached node, in log order. Deliveries whose bodies are in memory go at once; a body that has
 * to be read holds what comes behind it. Answers overtake, except one that hands out a message (`get`): its body goes
 * first, so that a message whose answer was seen has arrived.
 */
export class DeliveryPipeline {
  readonly #link: ShardLink;
  readonly #bodies: BodyReader;
  readonly #isHeld: (consumer: ConsumerId, number: number) => boolean;
  #items: Item[] = [];
  #head = 0;
  #answersWaiting = 0;
  #isClosed = false;

  /** `isHeld`: whether the consumer still holds this delivery, according to the machine. */
  constructor(link: ShardLink, bodies: BodyReader, isHeld: (consumer: ConsumerId, number: number) => boolean) {
    this.#link = link;
    this.#bodies = bodies;
    this.#isHeld = isHeld;
  }

  /** The node attached anew: what waits here is sent again out of the machine's state. */
  close(): void {
    this.#isClosed = true;
    this.#items = [];
  }

  /** Delivery `i` of the list. */
  deliver(list: DeliveryList, i: number, mayLeap: boolean): void {
    const { consumer } = list.consumers[i]!;
    if (this.#head === this.#items.length && !list.large.has(i) && !this.#link.isCongested) {
      const content = this.#bodies.find(list.entries[i]!, list.positions[i]!, list.lengths[i]!);
      if (content !== undefined) {
        const offset = list.offsetAt(i);
        this.#link.deliver(consumer, list.numbers[i]!, list.deliveryCounts[i]!, offset, mayLeap, content, []);
        return;
      }
    }
    this.#enqueue({
      kind: 'delivery',
      consumer,
      number: list.numbers[i]!,
      deliveryCount: list.deliveryCounts[i]!,
      offset: list.offsetAt(i),
      mayLeap,
      body: list.bodyAt(i),
      pieces: [],
    });
  }

  /** The network may take more than at the last attempt. */
  review(): void {
    this.#pump();
  }

  answer(answer: SessionAnswer): void {
    let handsOut = false;
    for (const { outcome } of answer.outcomes) {
      if (outcome.kind !== 'message') continue;
      handsOut = true;
      const { consumer, number, deliveryCount, body } = outcome;
      const offset = NO_OFFSET;
      this.#enqueue({ kind: 'delivery', consumer, number, deliveryCount, offset, mayLeap: true, body, pieces: [] });
    }
    if (this.#head === this.#items.length || (this.#answersWaiting === 0 && !handsOut)) {
      this.#link.answered(answer.throughSequence, answer.outcomes);
      return;
    }
    reached('leader.answer-waits');
    this.#answersWaiting++;
    this.#items.push({ kind: 'answer', answer });
  }

  consumerCancelled(consumer: ConsumerId): void {
    if (this.#head === this.#items.length) this.#link.consumerCancelled(consumer);
    else this.#items.push({ kind: 'cancelled', consumer });
  }

  #enqueue(item: Item): void {
    this.#items.push(item);
    if (this.#items.length - this.#head === 1) this.#pump();
  }

  #pump(): void {
    while (!this.#isClosed && this.#head < this.#items.length) {
      const item = this.#items[this.#head]!;
      if (!this.#send(item)) break;
      this.#head++;
    }
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  /** False: its body is being read, or the network has enough to do. */
  #send(item: Item): boolean {
    if (item.kind === 'cancelled') {
      this.#link.consumerCancelled(item.consumer);
      return true;
    }
    if (item.kind === 'answer') {
      this.#answersWaiting--;
      this.#link.answered(item.answer.throughSequence, item.answer.outcomes);
      return true;
    }
    if (this.#link.isCongested) {
      reached('leader.delivery-waits-for-network');
      return false;
    }
    const { pieces, body, consumer, number, deliveryCount, offset, mayLeap } = item;
    const parts = body.parts ?? [body];
    while (pieces.length < parts.length) {
      const part = parts[pieces.length]!;
      const piece = this.#bodies.find(part.entry, part.position, part.length);
      if (piece === undefined) {
        this.#bodies.load(part, isThere => (isThere ? this.#pump() : this.#withdraw(item, part)));
        reached('leader.delivery-waits-for-body');
        this.#readAhead();
        return false;
      }
      pieces.push(piece);
    }
    this.#link.deliver(consumer, number, deliveryCount, offset, mayLeap, pieces[0]!, pieces.slice(1));
    return true;
  }

  /** Settled while its body was to be read, by way of another consumer. What the machine holds must have a body. */
  #withdraw(item: Extract<Item, { kind: 'delivery' }>, part: BodyPart): void {
    if (this.#isClosed || this.#items[this.#head] !== item) return;
    if (this.#isHeld(item.consumer, item.number)) {
      this.#bodies.lost(part);
      return;
    }
    this.#head++;
    this.#pump();
  }

  /** The next few entries are asked for while the first is under way, so that a backlog is read in a stream. */
  #readAhead(): void {
    const entries = new Set<number>();
    for (let i = this.#head + 1; i < this.#items.length && entries.size < READ_AHEAD; i++) {
      const item = this.#items[i]!;
      if (item.kind !== 'delivery' || item.body.parts !== undefined || entries.has(item.body.entry)) continue;
      entries.add(item.body.entry);
      const { entry, position, length } = item.body;
      if (this.#bodies.find(entry, position, length) === undefined) this.#bodies.load(item.body, () => {});
    }
  }
}
