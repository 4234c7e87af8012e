import type { GroupId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { CheckpointCut, Page } from '../../src/raft/checkpoint.ts';
import type { EntryId } from '../../src/raft/messages.ts';

export interface StoredCheckpoint {
  readonly at: EntryId;
  readonly pages: readonly Page[];
}

interface StoredPages {
  at: EntryId;
  readonly pages: Map<string, Page>;
}

export interface PageBatch {
  readonly group: GroupId;
  /** Pages of another generation belong to another history (R17). */
  readonly generation: number;
  readonly at: EntryId;
  readonly pages: readonly Page[];
}

/** What the synced batches of checkpoints left: each is there entirely or not at all. */
export class SimStore {
  readonly #stored = new Map<string, StoredPages>();
  #pending: PageBatch[] = [];

  load(group: GroupId, generation: number): StoredCheckpoint | undefined {
    const stored = this.#stored.get(`${group}/${generation}`);
    return stored && { at: stored.at, pages: [...stored.pages.values()] };
  }

  /** Begins a generation: what an earlier attempt left of it is not part of it. */
  clear(group: GroupId, generation: number): void {
    this.#stored.delete(`${group}/${generation}`);
  }

  /** Under way until `complete`: a crash decides by chance. */
  begin(batch: PageBatch): void {
    this.#pending.push(batch);
  }

  complete(batch: PageBatch): void {
    this.#pending = this.#pending.filter(one => one !== batch);
    const { group, generation, at, pages } = batch;
    const name = `${group}/${generation}`;
    let stored = this.#stored.get(name);
    if (stored === undefined) {
      stored = { at, pages: new Map() };
      this.#stored.set(name, stored);
    }
    stored.at = at;
    for (const page of pages) {
      const key = `${page.key.space}/${page.key.kind}/${page.key.number}`;
      if (page.bytes === undefined) stored.pages.delete(key);
      else stored.pages.set(key, { key: page.key, bytes: page.bytes.slice() });
    }
  }

  crash(random: Random): void {
    for (const batch of [...this.#pending]) if (random.next() < 0.5) this.complete(batch);
    this.#pending = [];
  }
}

/** Takes all pages of a cut, a slice at a time, with `pause` between two of them. */
export function takePages(
  cut: CheckpointCut,
  bytesMax: number,
  pause: (next: () => void) => void,
  done: (pages: Page[]) => void,
): void {
  const pages: Page[] = [];
  const take = (): void => {
    const slice = cut.nextPages(bytesMax);
    pages.push(...slice);
    if (slice.length === 0) done(pages);
    else pause(take);
  };
  take();
}
