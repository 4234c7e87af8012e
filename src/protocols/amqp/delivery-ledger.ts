import type { ConsumerHandle } from '../../broker/broker.ts';
import { assert } from '../../lib/assert.ts';

/** Deliveries of one page; a page goes when all of them are settled. */
const PAGE_TAGS = 512;
const NOBODY = 0;
/** Stands for consumers whose deliveries the broker took back: settling them does nothing, as with RabbitMQ. */
export const GONE_CONSUMER = 0xffff_ffff;

interface Page {
  firstTag: number;
  /** Index of the first delivery that may be unsettled. */
  low: number;
  unsettled: number;
  readonly consumers: Uint32Array;
  readonly numbers: Float64Array;
}

/** Receives each delivery that is settled. */
export type Settled = (consumer: ConsumerHandle, number: number, tag: number) => void;

/** A delivery under its tag. */
export interface Tagged {
  readonly tag: number;
  readonly consumer: ConsumerHandle;
  readonly number: number;
}

/**
 * Delivery tags of a channel (1.8.3.13): ascending from 1, one per message sent, each standing for a consumer's delivery
 * number until it is settled. Pages keep a long-unsettled delivery from holding the room of all that came after it.
 */
export class DeliveryLedger {
  readonly #pages = new Map<number, Page>();
  /** A settled page to be used again: all of its places are free. */
  #spare: Page | undefined;
  #lastTag = 0;
  #unsettled = 0;

  get unsettled(): number {
    return this.#unsettled;
  }

  /** A tag for a delivery that needs no acknowledgement. */
  skip(): number {
    return ++this.#lastTag;
  }

  /** A tag for a delivery to be settled. */
  add(consumer: ConsumerHandle, number: number): number {
    assert(consumer > NOBODY && consumer < GONE_CONSUMER, () => `consumer handle ${consumer}`);
    const tag = ++this.#lastTag;
    const page = this.#pages.get(Math.floor(tag / PAGE_TAGS)) ?? this.#newPage(tag);
    const at = tag - page.firstTag;
    page.consumers[at] = consumer;
    page.numbers[at] = number;
    page.unsettled++;
    this.#unsettled++;
    return tag;
  }

  has(tag: number): boolean {
    const page = this.#pages.get(Math.floor(tag / PAGE_TAGS));
    return page !== undefined && page.consumers[tag - page.firstTag] !== NOBODY;
  }

  /** False when the tag is not outstanding. */
  settle(tag: number, settled: Settled): boolean {
    const page = this.#pages.get(Math.floor(tag / PAGE_TAGS));
    if (page === undefined) return false;
    const at = tag - page.firstTag;
    if (page.consumers[at] === NOBODY) return false;
    this.#settleAt(page, at, settled);
    this.#dropIfSettled(page);
    return true;
  }

  /** Settles all outstanding deliveries up to a tag, in their order. */
  settleUpTo(tag: number, settled: Settled): void {
    for (const page of this.#pages.values()) {
      if (page.firstTag > tag) return;
      const last = Math.min(tag - page.firstTag, PAGE_TAGS - 1);
      for (let at = page.low; at <= last && page.unsettled > 0; at++) {
        if (page.consumers[at] !== NOBODY) this.#settleAt(page, at, settled);
        page.low = at + 1;
      }
      this.#dropIfSettled(page);
    }
  }

  settleAll(settled: Settled): void {
    this.settleUpTo(this.#lastTag, settled);
  }

  /** Deliveries that were settled, under their old tags, are not settled. */
  restore(deliveries: readonly Tagged[]): void {
    if (deliveries.length === 0) return;
    for (const { tag, consumer, number } of deliveries) {
      const page = this.#pages.get(Math.floor(tag / PAGE_TAGS)) ?? this.#newPage(tag);
      const at = tag - page.firstTag;
      page.consumers[at] = consumer;
      page.numbers[at] = number;
      page.low = Math.min(page.low, at);
      page.unsettled++;
      this.#unsettled++;
    }
    // Pages are walked in their order.
    const pages = [...this.#pages].sort(([a], [b]) => a - b);
    this.#pages.clear();
    for (const [number, page] of pages) this.#pages.set(number, page);
  }

  /** The broker took a consumer's deliveries back: their tags stay valid and mean nothing. */
  forget(consumer: ConsumerHandle): void {
    for (const page of this.#pages.values()) {
      for (let at = page.low; at < PAGE_TAGS; at++) {
        if (page.consumers[at] === consumer) page.consumers[at] = GONE_CONSUMER;
      }
    }
  }

  #newPage(tag: number): Page {
    const number = Math.floor(tag / PAGE_TAGS);
    const page = this.#spare ?? {
      firstTag: 0,
      low: 0,
      unsettled: 0,
      consumers: new Uint32Array(PAGE_TAGS),
      numbers: new Float64Array(PAGE_TAGS),
    };
    this.#spare = undefined;
    page.firstTag = number * PAGE_TAGS;
    page.low = tag - page.firstTag;
    this.#pages.set(number, page);
    return page;
  }

  #settleAt(page: Page, at: number, settled: Settled): void {
    const consumer = page.consumers[at]!;
    page.consumers[at] = NOBODY;
    page.unsettled--;
    this.#unsettled--;
    if (consumer !== GONE_CONSUMER) settled(consumer, page.numbers[at]!, page.firstTag + at);
  }

  #dropIfSettled(page: Page): void {
    // The page that tags are being added to goes too: the next delivery opens it again.
    if (page.unsettled > 0) return;
    this.#pages.delete(page.firstTag / PAGE_TAGS);
    this.#spare = page;
  }
}
