import { assert } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, type PageTracker, StatePage } from './checkpoint-pages.ts';
import type { BodyAccount, BodyPart, BodyReference } from './effects.ts';
import { LARGE_MESSAGES_PER_PAGE } from './limits.ts';
import { readBodyParts, writeBodyParts } from './outcomes.ts';

interface LargeMessage {
  /** In order: the head's block first. */
  readonly parts: readonly BodyPart[];
  /** References in queues. */
  references: number;
}

class LargeMessagePage extends StatePage {
  readonly pageKey: PageKey;
  readonly number: number;
  /** Ascending by id: ids only grow. */
  readonly messages = new Map<number, LargeMessage>();

  constructor(number: number) {
    super();
    this.number = number;
    this.pageKey = { space: 0, kind: PageKind.largeMessages, number };
  }

  encode(out: ByteWriter): void {
    out.u32(this.messages.size);
    for (const [id, message] of this.messages) {
      out.u32(id);
      out.u32(message.references);
      writeBodyParts(out, message.parts);
    }
  }
}

const pageNumberOf = (id: number): number => Math.floor(id / LARGE_MESSAGES_PER_PAGE);

/** Messages that lie in several entries (R6, R8); references name them by an id of this table. */
export class LargeMessages {
  readonly #pages = new Map<number, LargeMessagePage>();
  nextId = 0;

  pages(): IterableIterator<StatePage> {
    return this.#pages.values();
  }

  /** Returns the new message's id. */
  add(tracker: PageTracker, parts: readonly BodyPart[], references: number): number {
    const id = this.nextId++;
    assert(id <= 0xffff_ffff, 'ids of large messages are used up');
    const page = this.#pages.get(pageNumberOf(id)) ?? new LargeMessagePage(pageNumberOf(id));
    tracker.touch(page);
    page.messages.set(id, { parts, references });
    this.#pages.set(page.number, page);
    return id;
  }

  get(id: number): BodyReference {
    const { parts } = this.#find(id);
    const { entry, position } = parts[0]!;
    return { entry, position, length: parts.reduce((sum, part) => sum + part.length, 0), parts };
  }

  /** One reference less; with the last one the parts are released. */
  release(tracker: PageTracker, id: number, released: BodyAccount): void {
    const message = this.#find(id);
    const page = this.#pages.get(pageNumberOf(id))!;
    tracker.touch(page);
    message.references--;
    if (message.references > 0) return;
    for (const part of message.parts) released.add(part.entry, part.length);
    page.messages.delete(id);
    // The page that grows stays, so that its key never belongs to two pages in turn.
    if (page.messages.size > 0 || page.number === pageNumberOf(this.nextId)) return;
    tracker.remove(page);
    this.#pages.delete(page.number);
  }

  /** Id and references of every message, ascending by id. */
  *all(): IterableIterator<{ readonly id: number; readonly references: number; readonly parts: readonly BodyPart[] }> {
    for (const page of this.#pages.values()) for (const [id, message] of page.messages) yield { id, ...message };
  }

  /** Pages must come in ascending order. */
  restore(tracker: PageTracker, number: number, from: ByteReader): void {
    const page = new LargeMessagePage(number);
    for (let count = from.u32(); count > 0; count--) {
      const id = from.u32();
      const references = from.u32();
      page.messages.set(id, { references, parts: readBodyParts(from) });
    }
    tracker.restored(page);
    this.#pages.set(number, page);
  }

  #find(id: number): LargeMessage {
    const message = this.#pages.get(pageNumberOf(id))?.messages.get(id);
    assert(message !== undefined, () => `large message ${id} is unknown`);
    return message;
  }
}
