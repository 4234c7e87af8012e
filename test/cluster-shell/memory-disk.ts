import type {
  CheckpointWriter,
  LoadedCheckpoint,
  NodeStore,
  SnapshotPin,
  SpaceWanted,
  Straggler,
  StragglerId,
} from '../../src/cluster/group/node-store.ts';
import { assert } from '../../src/lib/assert.ts';
import type { GroupId, LogIndex } from '../../src/lib/ids.ts';
import type { BodyPart } from '../../src/queue/effects.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import type { GroupWrite, LogBase, RecoveredGroup } from '../../src/raft/log-store.ts';
import { decodeMembership } from '../../src/raft/membership.ts';
import { type Entry, type EntryId, EntryKind, type HardState, type Membership } from '../../src/raft/messages.ts';
import type { TermRun } from '../../src/raft/ready.ts';

const NOBODY: Membership = { voters: [], outgoing: [], learners: [] };

interface Checkpoint {
  readonly generation: number;
  readonly at: EntryId;
  readonly pages: ReadonlyMap<string, Page>;
}

/** What is on the disk of one group. Entries below the base stay, because bodies in them may live. */
class StoredGroup {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  base: LogBase = { last: { term: 0, index: 0 }, membership: NOBODY, generation: 0 };
  last: LogIndex = 0;
  isDamaged = false;
  readonly entries = new Map<LogIndex, Entry>();
  readonly stragglers = new Map<string, Straggler>();
  checkpoint: Checkpoint | undefined;

  apply(write: GroupWrite): void {
    if (write.hardState !== undefined) this.hardState = write.hardState;
    for (const entry of write.entries) {
      for (let index = entry.index + 1; index <= this.last; index++) this.entries.delete(index);
      this.entries.set(entry.index, { ...entry, payload: entry.payload.slice() });
      this.last = entry.index;
    }
    if (write.base !== undefined) this.#begin(write.base);
  }

  /** A base that the log does not contain takes the place of the whole log. */
  #begin(base: LogBase): void {
    if (this.entries.get(base.last.index)?.term !== base.last.term) {
      for (let index = base.last.index + 1; index <= this.last; index++) this.entries.delete(index);
      this.last = base.last.index;
    }
    this.base = base;
  }

  recovered(group: GroupId): RecoveredGroup {
    const log: TermRun[] = [];
    const configurations: { index: LogIndex; membership: Membership }[] = [];
    for (let index = this.base.last.index + 1; index <= this.last; index++) {
      const { term, kind, payload } = this.entries.get(index)!;
      addToRuns(log, term, index);
      if (kind === EntryKind.configuration) configurations.push({ index, membership: decodeMembership(payload)! });
    }
    return { group, hardState: this.hardState, base: this.base, log, configurations, damaged: this.isDamaged };
  }
}

function addToRuns(runs: TermRun[], term: number, index: LogIndex): void {
  const run = runs.at(-1);
  if (run?.term === term && run.last === index - 1) runs[runs.length - 1] = { ...run, last: index };
  else runs.push({ term, first: index, last: index });
}

/** The disk of one node over all lives of its process. */
export class MemoryDisk {
  readonly groups = new Map<GroupId, StoredGroup>();
  readonly directoryId: string;
  formation: Uint8Array | undefined;

  constructor(directoryId: string) {
    this.directoryId = directoryId;
  }

  group(group: GroupId): StoredGroup {
    let stored = this.groups.get(group);
    if (stored === undefined) {
      stored = new StoredGroup();
      this.groups.set(group, stored);
    }
    return stored;
  }
}

/**
 * A node's disk as one life of its process sees it. `later` runs a callback in a later turn, after the time that the disk
 * takes, in order; not at all once the process is gone: what was not durable then is lost.
 */
export class MemoryDiskStore implements NodeStore {
  readonly #disk: MemoryDisk;
  readonly #later: (callback: () => void) => void;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  /** Written and not durable; what is read includes it. */
  readonly #unsynced = new Map<GroupId, Map<LogIndex, Entry>>();
  readonly #states = new Map<GroupId, Pick<RecoveredGroup, 'hardState' | 'base'>>();
  #appended: { readonly write: GroupWrite; readonly durable: () => void }[] = [];
  /** Handed to the disk and not durable yet. */
  readonly #underWay: { readonly write: GroupWrite }[][] = [];
  isShortOfSpace = false;

  constructor(disk: MemoryDisk, later: (callback: () => void) => void) {
    this.#disk = disk;
    this.#later = later;
    this.recovered = new Map([...disk.groups].map(([group, stored]) => [group, stored.recovered(group)]));
  }

  get directoryId(): string {
    return this.#disk.directoryId;
  }
  get formation(): Uint8Array | undefined {
    return this.#disk.formation;
  }
  get journal(): this {
    return this;
  }

  async saveFormation(bytes: Uint8Array): Promise<void> {
    await this.#synced();
    this.#disk.formation = bytes.slice();
  }

  // ---- Journal ----

  append(write: GroupWrite, durable: () => void): void {
    this.#appended.push({ write, durable });
    const { hardState, base } = this.writtenState(write.group) ?? this.#disk.group(write.group);
    this.#states.set(write.group, { hardState: write.hardState ?? hardState, base: write.base ?? base });
    let unsynced = this.#unsynced.get(write.group);
    if (unsynced === undefined) {
      unsynced = new Map();
      this.#unsynced.set(write.group, unsynced);
    }
    for (const entry of write.entries) unsynced.set(entry.index, entry);
  }

  flush(): void {
    if (this.#appended.length === 0) return;
    const appended = this.#appended;
    this.#appended = [];
    this.#underWay.push(appended);
    this.#later(() => {
      this.#underWay.shift();
      for (const { write } of appended) {
        this.#disk.group(write.group).apply(write);
        const unsynced = this.#unsynced.get(write.group)!;
        for (const entry of write.entries) if (unsynced.get(entry.index) === entry) unsynced.delete(entry.index);
      }
      for (const { durable } of appended) durable();
    });
  }

  /** The process is gone, and the machine lives on: what it had written is in the disk's cache, in order up to some write. */
  survive(writesMax: number): void {
    for (const appended of this.#underWay.slice(0, writesMax)) {
      for (const { write } of appended) this.#disk.group(write.group).apply(write);
    }
  }

  readEntries(
    group: GroupId,
    from: LogIndex,
    to: LogIndex,
    bytesMax: number,
    done: (entries: readonly Entry[]) => void,
  ): void {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const entry = this.#entry(group, index);
      assert(entry !== undefined, () => `group ${group}: entry ${index} is not in the journal`);
      bytes += entry.payload.length;
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    this.#later(() => done(entries));
  }

  readPayload(group: GroupId, index: LogIndex, done: (payload: Uint8Array | undefined) => void): void {
    const payload = this.#entry(group, index)?.payload;
    this.#later(() => done(payload));
  }

  addLive(): void {}
  releaseLive(): void {}
  accounted(): void {}
  checkpointed(): void {}
  resetLive(): void {}

  allocate(_group: GroupId, bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  #entry(group: GroupId, index: LogIndex): Entry | undefined {
    return this.#unsynced.get(group)?.get(index) ?? this.#disk.groups.get(group)?.entries.get(index);
  }

  // ---- Checkpoints ----

  async loadCheckpoint(group: GroupId, generation: number): Promise<LoadedCheckpoint | 'none' | 'damaged'> {
    await this.#synced();
    const found = this.#disk.group(group).checkpoint;
    if (found?.generation !== generation) return 'none';
    return { at: found.at, pages: [...found.pages.values()] };
  }

  beginCheckpoint(group: GroupId, generation: number, at: EntryId): CheckpointWriter {
    const stored = this.#disk.group(group);
    const pages = new Map(stored.checkpoint?.generation === generation ? stored.checkpoint.pages : []);
    return {
      add: async added => {
        await this.#synced();
        for (const { key, bytes } of added) {
          const name = `${key.space}/${key.kind}/${key.number}`;
          if (bytes === undefined) pages.delete(name);
          else pages.set(name, { key, bytes: bytes.slice() });
        }
      },
      finish: async () => {
        await this.#synced();
        stored.checkpoint = { generation, at, pages };
      },
    };
  }

  /** Resolves when what was written now would be durable. */
  #synced(): Promise<void> {
    return new Promise(resolve => this.#later(resolve));
  }

  // ---- Snapshot transfers ----

  lost(group: GroupId, what: string): void {
    assert(false, () => `group ${group}: ${what}`);
  }

  generationOf(group: GroupId): number {
    return this.writtenState(group)?.base.generation ?? 0;
  }

  lastGenerationOf(group: GroupId): number {
    return this.generationOf(group);
  }

  writtenState(group: GroupId): Pick<RecoveredGroup, 'hardState' | 'base'> | undefined {
    return this.#states.get(group) ?? this.#disk.groups.get(group);
  }

  pin(): SnapshotPin {
    return { deadBytes: () => 0, release: () => {} };
  }

  hasRecord(group: GroupId, index: LogIndex): boolean {
    return this.#entry(group, index) !== undefined;
  }

  heldRecords(group: GroupId, through: LogIndex): TermRun[] {
    const runs: TermRun[] = [];
    const entries = this.#disk.group(group).entries;
    for (const index of [...entries.keys()].sort((a, b) => a - b)) {
      if (index <= through) addToRuns(runs, entries.get(index)!.term, index);
    }
    return runs;
  }

  async readRecords(group: GroupId, indexes: readonly LogIndex[]): Promise<(Entry | undefined)[]> {
    await this.#synced();
    return indexes.map(index => this.#entry(group, index));
  }

  appendBody(group: GroupId, _generation: number, entry: Entry, durable: () => void): void {
    this.#later(() => {
      this.#disk.group(group).entries.set(entry.index, { ...entry, payload: entry.payload.slice() });
      durable();
    });
  }

  abandonBodies(): void {}

  async keepGeneration(group: GroupId, generation: number | undefined): Promise<void> {
    await this.#synced();
    const stored = this.#disk.group(group);
    if (stored.checkpoint?.generation !== generation) stored.checkpoint = undefined;
  }

  async setDamaged(group: GroupId, damaged: boolean): Promise<void> {
    await this.#synced();
    this.#disk.group(group).isDamaged = damaged;
  }

  floorWithin(group: GroupId, last: LogIndex, bytesMax: number): LogIndex {
    let bytes = 0;
    let index = last;
    for (; index > this.#disk.group(group).base.last.index; index--) {
      bytes += this.#entry(group, index)?.payload.length ?? 0;
      if (bytes > bytesMax) break;
    }
    return index;
  }

  // ---- Space: there is always enough ----

  spaceWanted(): SpaceWanted | undefined {
    return undefined;
  }
  cleaned(): void {}
  setAside(): void {}
  sweepsWanted(): readonly GroupId[] {
    return [];
  }
  sweepBegins(): void {}
  async listStragglers(): Promise<readonly StragglerId[]> {
    return [];
  }
  async deleteStragglers(): Promise<void> {}

  async putStragglers(stragglers: readonly Straggler[]): Promise<void> {
    await this.#synced();
    for (const one of stragglers) {
      const { stragglers: kept } = this.#disk.group(one.group);
      kept.set(`${one.entry}/${one.position}`, { ...one, bytes: one.bytes.slice() });
    }
  }

  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void {
    const found = this.#disk.group(group).stragglers.get(`${part.entry}/${part.position}`)?.bytes;
    this.#later(() => done(found));
  }

  async close(): Promise<void> {}
}
