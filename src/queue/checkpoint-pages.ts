import { assert } from '../lib/assert.ts';
import { ByteWriter } from '../lib/bytes.ts';
import { reached } from '../lib/reached.ts';
import type { CheckpointCut, CheckpointScope, Page, PageKey } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';

/** What a page of the shard's state holds. On disk for ever. */
export const PageKind = {
  shard: 1,
  sessions: 2,
  pending: 3,
  tombstones: 4,
  largeMessages: 5,
  queue: 16,
  references: 17,
  unsettled: 18,
} as const;

const DIRTY = 1;
/** Belongs to an open cut and was not encoded yet: encode before changing. */
const PENDING_CHANGES = 2;
const PENDING_ALL = 4;
const GONE = 8;
/** Some checkpoint may hold it, so that its end must be told. */
const PERSISTED = 16;
/** So many pages are forgotten at once. */
const FORGET_MIN = 1_024;
const STATE = DIRTY | PENDING_CHANGES | PENDING_ALL;

/** A part of the state that is encoded as one page. Whoever changes it tells the tracker first. */
export abstract class StatePage {
  /** Owned by the tracker. */
  marks = 0;
  abstract readonly pageKey: PageKey;
  /** Canonical: equal states give equal bytes. */
  abstract encode(out: ByteWriter): void;
}

/** Knows which pages changed, and keeps what open cuts need of the past (R14). */
export class PageTracker {
  #dirty: StatePage[] = [];
  /** Pages of the list that came and went between two cuts: no checkpoint has to know of them. */
  #forgettable = 0;
  #changes: Cut | undefined;
  #all: Cut | undefined;
  readonly #writer = new ByteWriter(1 << 16);

  /** To be called before each change of a page, also of a new one. */
  touch(page: StatePage): void {
    if ((page.marks & STATE) !== DIRTY) this.#prepareChange(page);
  }

  /** The page is not part of the state any more. Its key is not used again before a checkpoint has told so. */
  remove(page: StatePage): void {
    this.touch(page);
    page.marks |= GONE;
    if ((page.marks & PERSISTED) === 0) this.#forget();
  }

  /** A page that came from a checkpoint: nothing to write until it changes. */
  restored(page: StatePage): void {
    page.marks = PERSISTED;
  }

  /** `pages` lists every page of the state. */
  open(scope: CheckpointScope, at: EntryId, pages: () => Iterable<StatePage>): CheckpointCut {
    assert(
      (scope === 'all' ? this.#all : this.#changes) === undefined,
      () => `a cut of scope ${scope} is already open`,
    );
    const bit = scope === 'all' ? PENDING_ALL : PENDING_CHANGES;
    const list = scope === 'all' ? [...pages()] : this.#takeDirty();
    for (const page of list) if ((page.marks & GONE) === 0) page.marks |= bit;
    const cut = new Cut(at, list, {
      bit,
      encode: page => this.#encode(page),
      close: outcome => this.#close(scope, outcome),
    });
    if (scope === 'all') this.#all = cut;
    else this.#changes = cut;
    return cut;
  }

  #takeDirty(): StatePage[] {
    const list: StatePage[] = [];
    for (const page of this.#dirty) {
      // Listed twice: it was restored after its first change.
      if ((page.marks & DIRTY) === 0) continue;
      page.marks &= ~DIRTY;
      if ((page.marks & (GONE | PERSISTED)) === GONE) continue;
      page.marks |= PERSISTED;
      list.push(page);
    }
    this.#dirty = [];
    this.#forgettable = 0;
    return list;
  }

  #forget(): void {
    this.#forgettable++;
    if (this.#forgettable < FORGET_MIN || this.#forgettable * 2 < this.#dirty.length) return;
    this.#dirty = this.#dirty.filter(page => (page.marks & (GONE | PERSISTED)) !== GONE);
    this.#forgettable = 0;
  }

  #prepareChange(page: StatePage): void {
    if ((page.marks & (PENDING_CHANGES | PENDING_ALL)) !== 0) {
      reached('checkpoint.page-captured-before-change');
      const bytes = this.#encode(page);
      if ((page.marks & PENDING_CHANGES) !== 0) this.#changes?.capture(page, bytes);
      if ((page.marks & PENDING_ALL) !== 0) this.#all?.capture(page, bytes);
    }
    this.#markDirty(page);
  }

  #markDirty(page: StatePage): void {
    if ((page.marks & DIRTY) !== 0) return;
    page.marks |= DIRTY;
    this.#dirty.push(page);
  }

  #encode(page: StatePage): Uint8Array {
    this.#writer.reset();
    page.encode(this.#writer);
    return this.#writer.finish();
  }

  #close(scope: CheckpointScope, outcome: 'completed' | 'abandoned'): void {
    const cut = scope === 'all' ? this.#all : this.#changes;
    assert(cut !== undefined, 'the cut is not open');
    if (scope === 'all') this.#all = undefined;
    else this.#changes = undefined;
    if (outcome === 'completed') return;
    for (const page of cut.pages) {
      page.marks &= ~cut.bit;
      if (scope === 'changes') this.#markDirty(page);
    }
  }
}

interface CutDependencies {
  readonly bit: number;
  readonly encode: (page: StatePage) => Uint8Array;
  readonly close: (outcome: 'completed' | 'abandoned') => void;
}

class Cut implements CheckpointCut {
  readonly at: EntryId;
  readonly pages: readonly StatePage[];
  readonly #dependencies: CutDependencies;
  /** Pages that changed after the cut, as they were. */
  readonly #captured = new Map<StatePage, Uint8Array>();
  #cursor = 0;

  constructor(at: EntryId, pages: readonly StatePage[], dependencies: CutDependencies) {
    this.at = at;
    this.pages = pages;
    this.#dependencies = dependencies;
  }

  get bit(): number {
    return this.#dependencies.bit;
  }

  capture(page: StatePage, bytes: Uint8Array): void {
    page.marks &= ~this.bit;
    this.#captured.set(page, bytes);
  }

  nextPages(bytesMax: number): readonly Page[] {
    const next: Page[] = [];
    let bytesTotal = 0;
    while (this.#cursor < this.pages.length && bytesTotal < bytesMax) {
      const page = this.pages[this.#cursor++]!;
      const bytes = this.#take(page);
      bytesTotal += bytes?.length ?? 0;
      next.push({ key: page.pageKey, bytes });
    }
    return next;
  }

  /** Undefined: the page was gone when the state was cut. */
  #take(page: StatePage): Uint8Array | undefined {
    if ((page.marks & this.bit) !== 0) {
      page.marks &= ~this.bit;
      return this.#dependencies.encode(page);
    }
    const bytes = this.#captured.get(page);
    this.#captured.delete(page);
    return bytes;
  }

  completed(): void {
    assert(this.#cursor === this.pages.length, 'a cut is completed before its last page was taken');
    this.#dependencies.close('completed');
  }

  abandoned(): void {
    this.#dependencies.close('abandoned');
  }
}
