import { assert } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, type PageTracker, StatePage } from './checkpoint-pages.ts';
import { UNSETTLED_COLUMNS_KEPT, UNSETTLED_PER_PAGE } from './limits.ts';

/** What the pages of a consumer's unsettled deliveries have in common. */
export interface UnsettledOwner {
  readonly serial: number;
  /** Where the pages are counted. */
  readonly space: number;
  /** A number for a new page, not in use in its space. */
  nextPageNumber(): number;
}

/** What the pages of a shard share. */
export interface UnsettledMemory {
  readonly tracker: PageTracker;
  /** Columns of pages that hold nothing, all zero, for the next page that needs one. */
  readonly unsettledColumns: Float64Array[];
}

const NO_POSITIONS = new Float64Array(0);

/** `UNSETTLED_PER_PAGE` delivery numbers of one consumer; each holds its message's queue position, or nothing. */
export class UnsettledPage extends StatePage {
  readonly pageKey: PageKey;
  readonly serial: number;
  /** Delivery numbers from `index * UNSETTLED_PER_PAGE + 1` on. */
  readonly index: number;
  /** Position + 1; 0 is a number that is not held. Without memory while nothing is held. */
  positions: Float64Array = NO_POSITIONS;
  held = 0;

  constructor(pageKey: PageKey, serial: number, index: number) {
    super();
    this.pageKey = pageKey;
    this.serial = serial;
    this.index = index;
  }

  encode(out: ByteWriter): void {
    out.u48(this.serial);
    out.u48(this.index);
    out.u16(this.held);
    for (let i = 0; i < this.positions.length; i++) {
      if (this.positions[i] === 0) continue;
      out.u8(i);
      out.u48(this.positions[i]! - 1);
    }
  }

  static decode(from: ByteReader, pageKey: PageKey): UnsettledPage {
    const page = new UnsettledPage(pageKey, from.u48(), from.u48());
    page.held = from.u16();
    if (page.held > 0) page.positions = new Float64Array(UNSETTLED_PER_PAGE);
    for (let i = 0; i < page.held; i++) {
      const slot = from.u8();
      page.positions[slot] = from.u48() + 1;
    }
    return page;
  }
}

const pageIndexOf = (number: number): number => Math.floor((number - 1) / UNSETTLED_PER_PAGE);

/**
 * Deliveries that a consumer holds, by delivery number. Pages come and go on their own, so one number that is never
 * settled keeps its page only.
 */
export class Unsettled {
  readonly #owner: UnsettledOwner;
  /** Ascending by index: numbers only grow, and a page never comes back. */
  readonly #pages = new Map<number, UnsettledPage>();
  #lastPage: UnsettledPage | undefined;
  /** Stays when it runs empty, because the next delivery goes into it. */
  #newestPage: UnsettledPage | undefined;
  #count = 0;

  constructor(owner: UnsettledOwner) {
    this.#owner = owner;
  }

  get count(): number {
    return this.#count;
  }

  pages(): IterableIterator<UnsettledPage> {
    return this.#pages.values();
  }

  /** `number` must be above all that were added before. */
  add(memory: UnsettledMemory, number: number, position: number): void {
    const index = pageIndexOf(number);
    const page = this.#pageAt(index) ?? this.#addPage(memory, index);
    memory.tracker.touch(page);
    if (page.held === 0) page.positions = memory.unsettledColumns.pop() ?? new Float64Array(UNSETTLED_PER_PAGE);
    page.positions[number - 1 - index * UNSETTLED_PER_PAGE] = position + 1;
    page.held++;
    this.#count++;
  }

  /** The queue position of a held delivery, which is then not held any more; -1 if it is not held. */
  take(memory: UnsettledMemory, number: number): number {
    const index = pageIndexOf(number);
    const page = this.#pageAt(index);
    if (!page || page.held === 0) return -1;
    const slot = number - 1 - index * UNSETTLED_PER_PAGE;
    const position = page.positions[slot]! - 1;
    if (position < 0) return -1;
    memory.tracker.touch(page);
    page.positions[slot] = 0;
    page.held--;
    this.#count--;
    if (page.held === 0) this.#pageEmptied(memory, page);
    return position;
  }

  /** The lowest held number from `first` to `last`; 0 if there is none. */
  firstHeld(first: number, last: number): number {
    if (this.#count === 0) return 0;
    const direct = this.#heldIn(this.#pageAt(pageIndexOf(first)), first, last);
    if (direct > 0) return direct;
    for (const page of this.#pages.values()) {
      if ((page.index + 1) * UNSETTLED_PER_PAGE < first) continue;
      if (page.index * UNSETTLED_PER_PAGE >= last) return 0;
      const held = this.#heldIn(page, first, last);
      if (held > 0) return held;
    }
    return 0;
  }

  /** Forgets all of them: their messages went with the queue, or the consumer goes. */
  clear({ tracker }: UnsettledMemory): void {
    for (const page of this.#pages.values()) {
      tracker.remove(page);
      page.positions = NO_POSITIONS;
    }
    this.#pages.clear();
    this.#lastPage = undefined;
    this.#newestPage = undefined;
    this.#count = 0;
  }

  /** Pages must come in ascending order of their index. */
  restore(page: UnsettledPage): void {
    this.#pages.set(page.index, page);
    this.#newestPage = page;
    this.#count += page.held;
  }

  #heldIn(page: UnsettledPage | undefined, first: number, last: number): number {
    if (!page || page.held === 0) return 0;
    const base = page.index * UNSETTLED_PER_PAGE + 1;
    const end = Math.min(last - base, UNSETTLED_PER_PAGE - 1);
    for (let slot = Math.max(first - base, 0); slot <= end; slot++) if (page.positions[slot] !== 0) return base + slot;
    return 0;
  }

  #pageAt(index: number): UnsettledPage | undefined {
    const last = this.#lastPage;
    if (last !== undefined && last.index === index) return last;
    const page = this.#pages.get(index);
    if (page) this.#lastPage = page;
    return page;
  }

  #addPage(memory: UnsettledMemory, index: number): UnsettledPage {
    const owner = this.#owner;
    assert(index > (this.#newestPage?.index ?? -1), () => `unsettled page ${index} comes too late`);
    if (this.#newestPage?.held === 0) this.#removePage(memory.tracker, this.#newestPage);
    const key = { space: owner.space, kind: PageKind.unsettled, number: owner.nextPageNumber() };
    const page = new UnsettledPage(key, owner.serial, index);
    this.#pages.set(index, page);
    this.#lastPage = page;
    this.#newestPage = page;
    return page;
  }

  #pageEmptied(memory: UnsettledMemory, page: UnsettledPage): void {
    if (memory.unsettledColumns.length < UNSETTLED_COLUMNS_KEPT) memory.unsettledColumns.push(page.positions);
    page.positions = NO_POSITIONS;
    if (page !== this.#newestPage) this.#removePage(memory.tracker, page);
  }

  #removePage(tracker: PageTracker, page: UnsettledPage): void {
    tracker.remove(page);
    this.#pages.delete(page.index);
    if (this.#lastPage === page) this.#lastPage = undefined;
  }
}
