import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { Page } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';
import {
  assembleCheckpoint,
  type Manifest,
  manifestOperation,
  openValue,
  pageChecksum,
  pageOperation,
  readManifest,
  sealValue,
} from './checkpoint-codec.ts';
import type { KeyValueOperation, KeyValueStore } from './key-value-store.ts';
import { manifestKey, pageKey, pagesOf, stragglerKey, stragglersOf } from './keyspace.ts';

interface KnownPage {
  readonly checkpoint: number;
  readonly checksum: number;
}

/** What the store knows of one group's latest complete checkpoint, so that the next can be an increment. */
interface GroupState {
  readonly generation: number;
  manifest: Manifest;
  readonly pages: Map<string, KnownPage>;
}

const NO_CHECKPOINT: Manifest = { number: 0, predecessor: 0, at: { term: 0, index: 0 }, pageCount: 0, pageSum: 0 };
const nameOf = ({ space, kind, number }: Page['key']): string => `${space}/${kind}/${number}`;

/** Checkpoints and stragglers of all groups of a node, over a key-value store (R13, R14, R16). */
export class CheckpointStore {
  readonly #store: KeyValueStore;
  readonly #groups = new Map<GroupId, GroupState>();

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  /** The latest complete checkpoint. Must be called before the first `begin` of a group that may have one. */
  async load(group: GroupId, generation: number): Promise<{ at: EntryId; pages: Page[] } | 'none' | 'damaged'> {
    const key = manifestKey(group, generation);
    const sealed = await this.#store.get(key);
    const manifest = sealed === undefined ? NO_CHECKPOINT : readManifest(key, sealed);
    if (manifest === undefined) return 'damaged';
    const stored: (readonly [Uint8Array, Uint8Array])[] = [];
    for await (const item of this.#store.iterate(pagesOf(group, generation))) stored.push(item);
    const found = assembleCheckpoint(manifest, stored);
    if (found === undefined) return 'damaged';
    const pages = new Map(
      found.pages.map(({ page, checkpoint }) => [nameOf(page.key), { checkpoint, checksum: pageChecksum(page) }]),
    );
    this.#groups.set(group, { generation, manifest, pages });
    if (found.leftovers.length > 0) {
      await this.#store.batch(
        found.leftovers.map(leftover => ({ type: 'del', key: leftover })),
        { sync: false },
      );
    }
    if (manifest.number === 0) return 'none';
    return { at: manifest.at, pages: found.pages.map(({ page }) => page) };
  }

  begin(group: GroupId, generation: number, at: EntryId): CheckpointWriter {
    let state = this.#groups.get(group);
    if (state?.generation !== generation) {
      state = { generation, manifest: NO_CHECKPOINT, pages: new Map() };
      this.#groups.set(group, state);
    }
    return new CheckpointWriter(this.#store, group, state, at);
  }

  /** Durable when it resolves. */
  async putStragglers(
    stragglers: readonly { group: GroupId; entry: LogIndex; position: number; bytes: Uint8Array }[],
  ): Promise<void> {
    await this.#store.batch(
      stragglers.map(({ group, entry, position, bytes }) => {
        const key = stragglerKey(group, entry, position);
        return { type: 'put', key, value: sealValue(key, bytes) };
      }),
      { sync: true },
    );
  }

  /** Undefined: not there, or damaged. */
  async getStraggler(group: GroupId, entry: LogIndex, position: number): Promise<Uint8Array | undefined> {
    const key = stragglerKey(group, entry, position);
    const sealed = await this.#store.get(key);
    return sealed === undefined ? undefined : openValue(key, sealed);
  }

  /** Forgets stragglers of entries `first` to `last` that `isAlive` does not know. */
  async dropStragglers(
    group: GroupId,
    first: LogIndex,
    last: LogIndex,
    isAlive: (key: Uint8Array) => boolean,
  ): Promise<number> {
    const dead: KeyValueOperation[] = [];
    for await (const [key] of this.#store.iterate(stragglersOf(group, first, last))) {
      if (!isAlive(key)) dead.push({ type: 'del', key });
    }
    if (dead.length > 0) await this.#store.batch(dead, { sync: false });
    return dead.length;
  }
}

/** One checkpoint being written: pages in pieces, then the manifest that makes them count. */
export class CheckpointWriter {
  readonly #store: KeyValueStore;
  readonly #group: GroupId;
  readonly #state: GroupState;
  readonly #at: EntryId;
  readonly #number: number;
  readonly #written = new Map<string, { readonly page: Page['key']; readonly checksum: number | undefined }>();

  constructor(store: KeyValueStore, group: GroupId, state: GroupState, at: EntryId) {
    this.#store = store;
    this.#group = group;
    this.#state = state;
    this.#at = at;
    this.#number = state.manifest.number + 1;
  }

  async add(pages: readonly Page[]): Promise<void> {
    const { generation } = this.#state;
    const operations = pages.map(page => pageOperation(this.#group, generation, this.#number, page));
    await this.#store.batch(operations, { sync: true });
    for (const page of pages) {
      const checksum = page.bytes === undefined ? undefined : pageChecksum(page);
      this.#written.set(nameOf(page.key), { page: page.key, checksum });
    }
  }

  async finish(): Promise<void> {
    const { generation, manifest: predecessor, pages } = this.#state;
    let { pageCount, pageSum } = predecessor;
    const outdated: KeyValueOperation[] = [];
    const outdate = (page: Page['key'], checkpoint: number): void => {
      outdated.push({ type: 'del', key: pageKey(this.#group, generation, page, checkpoint) });
    };
    for (const [name, { page, checksum }] of this.#written) {
      const known = pages.get(name);
      if (known !== undefined) {
        pageCount--;
        pageSum = (pageSum - known.checksum) >>> 0;
        outdate(page, known.checkpoint);
      }
      if (checksum === undefined) {
        outdate(page, this.#number);
        continue;
      }
      pageCount++;
      pageSum = (pageSum + checksum) >>> 0;
    }
    const manifest = { number: this.#number, predecessor: predecessor.number, at: this.#at, pageCount, pageSum };
    await this.#store.batch([manifestOperation(this.#group, generation, manifest)], { sync: true });
    this.#state.manifest = manifest;
    for (const [name, { checksum }] of this.#written) {
      if (checksum === undefined) pages.delete(name);
      else pages.set(name, { checkpoint: this.#number, checksum });
    }
    if (outdated.length > 0) await this.#store.batch(outdated, { sync: false });
  }
}
