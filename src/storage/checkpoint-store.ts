import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { Page, PageKey } from '../raft/checkpoint.ts';
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
import {
  checkpointsBeside,
  manifestKey,
  pageKey,
  pagesOf,
  readStragglerKey,
  stragglerKey,
  stragglersFrom,
} from './keyspace.ts';

interface KnownPage {
  readonly checkpoint: number;
  readonly checksum: number;
}

/** Which message of a group's log. */
export interface StragglerId {
  readonly entry: LogIndex;
  readonly position: number;
}

/** What the store knows of one group's latest complete checkpoint, so that the next can be an increment. */
interface GroupState {
  readonly generation: number;
  manifest: Manifest;
  readonly pages: Map<string, KnownPage>;
  /** Pages stored for the next checkpoint, also by a writer that was given up: those that it has no use for must go. */
  readonly stored: Map<string, PageKey>;
}

const NO_CHECKPOINT: Manifest = { number: 0, predecessor: 0, at: { term: 0, index: 0 }, pageCount: 0, pageSum: 0 };
const stateKey = (group: GroupId, generation: number): string => `${group}/${generation}`;
const nameOf = ({ space, kind, number }: PageKey): string => `${space}/${kind}/${number}`;

/** Checkpoints and stragglers of all groups of a node, over a key-value store (R13, R14, R16). */
export class CheckpointStore {
  readonly #store: KeyValueStore;
  /** By group and generation: while a snapshot comes in, the state it will replace is still checkpointed. */
  readonly #states = new Map<string, GroupState>();
  /** The latest `keepGeneration` of each group. */
  readonly #forgetting = new Map<GroupId, Promise<void>>();

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
      found.pages.map(page => [nameOf(page.key), { checkpoint: page.checkpoint, checksum: pageChecksum(page) }]),
    );
    this.#states.set(stateKey(group, generation), { generation, manifest, pages, stored: new Map() });
    // Synced: pages of a checkpoint that was cut short must not come back under the next one, which has the same number.
    await this.#delete(found.leftovers, { sync: true });
    if (manifest.number === 0) return 'none';
    return { at: manifest.at, pages: [...found.pages] };
  }

  begin(group: GroupId, generation: number, at: EntryId): CheckpointWriter {
    const key = stateKey(group, generation);
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { generation, manifest: NO_CHECKPOINT, pages: new Map(), stored: new Map() };
      this.#states.set(key, state);
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

  /** The group's stragglers from one on, at most `countMax`. */
  async listStragglers(group: GroupId, from: StragglerId, countMax: number): Promise<StragglerId[]> {
    const keys = await this.#store.keys(stragglersFrom(group, from), countMax);
    return keys.map(key => {
      const { index, position } = readStragglerKey(key);
      return { entry: index, position };
    });
  }

  /** Need not be durable: one that comes back is found dead again. */
  deleteStragglers(group: GroupId, stragglers: readonly StragglerId[]): Promise<void> {
    return this.#delete(
      stragglers.map(({ entry, position }) => stragglerKey(group, entry, position)),
      { sync: false },
    );
  }

  /**
   * Forgets the checkpoints of all generations of a group but this one, or of all: those that an installed snapshot has
   * replaced, and what a transfer left that was given up (R17). Durable when it resolves. One after the other: a slow one
   * must not meet the generation that somebody begins when a later one is through.
   */
  keepGeneration(group: GroupId, generation: number | undefined): Promise<void> {
    const before = this.#forgetting.get(group) ?? Promise.resolve();
    const done = before.then(() => this.#forgetOthers(group, generation));
    this.#forgetting.set(group, done);
    return done;
  }

  async #forgetOthers(group: GroupId, generation: number | undefined): Promise<void> {
    const kept = generation === undefined ? undefined : stateKey(group, generation);
    for (const key of this.#states.keys()) {
      if (key.startsWith(`${group}/`) && key !== kept) this.#states.delete(key);
    }
    for (const range of checkpointsBeside(group, generation)) {
      const keys: Uint8Array[] = [];
      for await (const [key] of this.#store.iterate(range)) keys.push(key);
      await this.#delete(keys, { sync: true });
    }
  }

  async #delete(keys: readonly Uint8Array[], options: { readonly sync: boolean }): Promise<void> {
    if (keys.length === 0) return;
    await this.#store.batch(
      keys.map(key => ({ type: 'del', key })),
      options,
    );
  }
}

/** One checkpoint being written: pages in pieces, then the manifest that makes them count. */
export class CheckpointWriter {
  readonly #store: KeyValueStore;
  readonly #group: GroupId;
  readonly #state: GroupState;
  readonly #at: EntryId;
  readonly #number: number;
  readonly #written = new Map<string, { readonly key: PageKey; readonly checksum: number | undefined }>();

  constructor(store: KeyValueStore, group: GroupId, state: GroupState, at: EntryId) {
    this.#store = store;
    this.#group = group;
    this.#state = state;
    this.#at = at;
    this.#number = state.manifest.number + 1;
  }

  /** Durable, but not counting, when it resolves. */
  async add(pages: readonly Page[]): Promise<void> {
    const operations: KeyValueOperation[] = [];
    for (const { key, bytes } of pages) {
      if (bytes === undefined) {
        this.#written.set(nameOf(key), { key, checksum: undefined });
        continue;
      }
      const page = { key, bytes };
      operations.push(pageOperation(this.#group, this.#state.generation, this.#number, page));
      this.#written.set(nameOf(key), { key, checksum: pageChecksum(page) });
      this.#state.stored.set(nameOf(key), key);
    }
    if (operations.length > 0) await this.#store.batch(operations, { sync: true });
  }

  /** The checkpoint counts, and its predecessor does not any more, when it resolves. */
  async finish(): Promise<void> {
    const { generation, manifest: predecessor, pages, stored } = this.#state;
    let { pageCount, pageSum } = predecessor;
    const replaced: KeyValueOperation[] = [];
    for (const [name, { key, checksum }] of this.#written) {
      const known = pages.get(name);
      if (known !== undefined) {
        pageCount--;
        pageSum = (pageSum - known.checksum) >>> 0;
        replaced.push({ type: 'del', key: pageKey(this.#group, generation, key, known.checkpoint) });
      }
      if (checksum === undefined) continue;
      pageCount++;
      pageSum = (pageSum + checksum) >>> 0;
    }
    for (const [name, key] of stored) {
      if (this.#written.get(name)?.checksum !== undefined) continue;
      replaced.push({ type: 'del', key: pageKey(this.#group, generation, key, this.#number) });
    }
    const manifest = { number: this.#number, predecessor: predecessor.number, at: this.#at, pageCount, pageSum };
    const operations = [manifestOperation(this.#group, generation, manifest), ...replaced];
    await this.#store.batch(operations, { sync: true });
    this.#state.manifest = manifest;
    stored.clear();
    for (const [name, { checksum }] of this.#written) {
      if (checksum === undefined) pages.delete(name);
      else pages.set(name, { checkpoint: this.#number, checksum });
    }
  }
}
