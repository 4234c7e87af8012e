import type { GroupJournal } from './cluster/group/group-journal.ts';
import type {
  CheckpointWriter,
  CleaningCandidate,
  LoadedCheckpoint,
  NodeStore,
  SnapshotPin,
  SpaceWanted,
  Straggler,
  StragglerId,
} from './cluster/group/node-store.ts';
import { assert } from './lib/assert.ts';
import type { GroupId, LogIndex } from './lib/ids.ts';
import type { Logger } from './lib/logger.ts';
import type { BodyPart } from './queue/effects.ts';
import type { GroupWrite, RecoveredGroup } from './raft/log-store.ts';
import { membersOf } from './raft/membership.ts';
import type { Entry, EntryId } from './raft/messages.ts';
import type { TermRun } from './raft/ready.ts';
import { Arena } from './storage/arena.ts';
import { CheckpointStore } from './storage/checkpoint-store.ts';
import type { Location } from './storage/group-log.ts';
import type { JournalDriver } from './storage/journal-driver.ts';
import type { KeyValueStore } from './storage/key-value-store.ts';

export interface GroupStoreDependencies {
  readonly journal: JournalDriver;
  readonly level: KeyValueStore;
  readonly groups: readonly RecoveredGroup[];
  readonly logger: Logger;
  /** The disk cannot be trusted any more: stop the node (R18). */
  readonly failed: (reason: string) => void;
}

/** What the groups of a node ask of its disk, over a journal and a key-value store. */
export abstract class GroupStore implements NodeStore, GroupJournal {
  readonly #deps: GroupStoreDependencies;
  readonly #journal: JournalDriver;
  readonly #checkpoints: CheckpointStore;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  readonly #arenas = new Map<GroupId, Arena>();
  /** Groups that lost something in this life. */
  readonly #losses = new Set<GroupId>();
  /** Losses that a restart would not find yet. */
  #unmarked = 0;
  #hasFailed = false;

  constructor(deps: GroupStoreDependencies) {
    this.#deps = deps;
    this.#journal = deps.journal;
    this.#checkpoints = new CheckpointStore(deps.level);
    this.recovered = new Map(deps.groups.map(group => [group.group, group]));
    for (const { group } of deps.groups) deps.journal.core.space.stragglers.reset(group);
  }

  abstract get directoryId(): string;
  abstract get formation(): Uint8Array | undefined;
  abstract get isShortOfSpace(): boolean;
  abstract saveFormation(bytes: Uint8Array): Promise<void>;
  abstract close(): Promise<void>;

  get journal(): GroupJournal {
    return this;
  }

  // ---- Journal ----

  append(write: GroupWrite, durable: () => void): void {
    this.#journal.append(write, durable);
  }

  flush(): void {
    this.#journal.flush();
  }

  allocate(group: GroupId, bytes: number): Uint8Array {
    let arena = this.#arenas.get(group);
    if (arena === undefined) {
      arena = new Arena();
      this.#arenas.set(group, arena);
    }
    return arena.allocate(bytes);
  }

  addLive(group: GroupId, index: LogIndex, bytes: number): void {
    this.#journal.core.space.addLive(group, index, bytes);
  }

  releaseLive(group: GroupId, index: LogIndex, bytes: number, at: LogIndex): void {
    this.#journal.core.space.releaseLive(group, index, bytes, at);
  }

  accounted(group: GroupId): void {
    this.#journal.core.space.accounted(group);
  }

  checkpointed(group: GroupId, index: LogIndex): void {
    this.#journal.core.space.checkpointed(group, index);
  }

  readEntries(
    group: GroupId,
    from: LogIndex,
    to: LogIndex,
    bytesMax: number,
    done: (entries: readonly Entry[]) => void,
  ): void {
    const locations: Location[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const location = this.#journal.locate(group, index);
      assert(location !== undefined, () => `group ${group}: entry ${index} is not in the journal`);
      bytes += location.length;
      if (bytes > bytesMax && locations.length > 0) break;
      locations.push(location);
    }
    this.#journal.read(locations, entries => {
      // An entry of the log proper is never recycled: what cannot be read is damaged, and must not be skipped (R11).
      const whole = entries.filter(entry => entry !== undefined);
      if (whole.length === entries.length) done(whole);
      else this.lost(group, `entry ${from + entries.indexOf(undefined)} cannot be read back`);
    });
  }

  readPayload(group: GroupId, index: LogIndex, done: (payload: Uint8Array | undefined) => void): void {
    const location = this.#journal.locate(group, index);
    // An entry with messages is never empty: an empty record says that only stragglers are left.
    if (location === undefined || location.length === 0) {
      queueMicrotask(() => done(undefined));
      return;
    }
    this.#journal.read([location], ([entry]) => done(entry?.payload));
  }

  // ---- Checkpoints ----

  loadCheckpoint(group: GroupId, generation: number): Promise<LoadedCheckpoint | 'none' | 'damaged'> {
    return this.#checkpoints.load(group, generation);
  }

  beginCheckpoint(group: GroupId, generation: number, at: EntryId): CheckpointWriter {
    return this.#checkpoints.begin(group, generation, at);
  }

  // ---- Snapshots ----

  generationOf(group: GroupId): number {
    return this.#journal.core.group(group)?.base.generation ?? 0;
  }

  lastGenerationOf(group: GroupId): number {
    return this.#journal.core.group(group)?.lastGeneration ?? 0;
  }

  writtenState(group: GroupId): Pick<RecoveredGroup, 'hardState' | 'base'> | undefined {
    return this.#journal.core.group(group);
  }

  pin(group: GroupId): SnapshotPin {
    const { space } = this.#journal.core;
    const pin = space.pin(group);
    let isReleased = false;
    return {
      deadBytes: () => pin.segments.reduce((bytes, { end, liveBytes }) => bytes + Math.max(0, end - liveBytes), 0),
      release: () => {
        if (!isReleased) space.unpin(pin);
        isReleased = true;
      },
    };
  }

  hasRecord(group: GroupId, index: LogIndex): boolean {
    const location = this.#journal.locate(group, index);
    return location !== undefined && location.length > 0;
  }

  heldRecords(group: GroupId, through: LogIndex): TermRun[] {
    return this.#journal.core.recordsThrough(group, through);
  }

  readRecords(group: GroupId, indexes: readonly LogIndex[]): Promise<(Entry | undefined)[]> {
    const found = indexes.map(index => this.#journal.locate(group, index));
    const locations = found.filter(location => location !== undefined);
    return new Promise(resolve => {
      this.#journal.read(locations, entries => {
        let next = 0;
        resolve(found.map(location => (location === undefined ? undefined : entries[next++])));
      });
    });
  }

  appendBody(group: GroupId, generation: number, entry: Entry, durable: () => void): void {
    this.#journal.appendBody(group, generation, entry, durable);
  }

  abandonBodies(group: GroupId, generation: number): void {
    this.#journal.core.abandonBodies(group, generation);
  }

  putStragglers(stragglers: readonly Straggler[]): Promise<void> {
    return this.#checkpoints.putStragglers(stragglers);
  }

  resetLive(group: GroupId): void {
    this.#journal.core.space.resetLive(group);
  }

  keepGeneration(group: GroupId, generation: number | undefined): Promise<void> {
    return this.#checkpoints.keepGeneration(group, generation);
  }

  setDamaged(group: GroupId, damaged: boolean): Promise<void> {
    // What was filled is what an earlier life had lost.
    if (!damaged && this.#losses.has(group)) return Promise.resolve();
    return new Promise(resolve => {
      this.#journal.setDamaged(group, damaged, resolve);
      this.#journal.flush();
    });
  }

  lost(group: GroupId, what: string): void {
    if (this.#losses.has(group)) return;
    this.#losses.add(group);
    const sentence = `a replica has lost what it had acknowledged: ${what}`;
    this.#deps.logger.error({ group }, sentence);
    if (this.#isOnlyReplica(group)) {
      this.#fail(`${sentence}, of group ${group}, and no other node has it`);
      return;
    }
    this.#unmarked++;
    void this.setDamaged(group, true).then(() => {
      // A restart must find what other groups have lost meanwhile, too.
      if (--this.#unmarked > 0) return;
      this.#fail(`${sentence}, of group ${group}; start this node again, and another one will fill it`);
    });
  }

  #fail(reason: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#deps.failed(reason);
  }

  /** As far as the log can tell: who was to join by a change in it may have the group, and one that knows no members has joined others. */
  #isOnlyReplica(group: GroupId): boolean {
    const found = this.#journal.core.group(group);
    return found?.configurations.length === 0 && membersOf(found.base.membership).length === 1;
  }

  floorWithin(group: GroupId, last: LogIndex, bytesMax: number): LogIndex {
    const base = this.#journal.core.group(group)?.base.last.index ?? 0;
    let bytes = 0;
    for (let index = last; index > base; index--) {
      bytes += this.#journal.locate(group, index)?.length ?? 0;
      if (bytes > bytesMax) return index;
    }
    return base;
  }

  // ---- Stragglers ----

  spaceWanted(): SpaceWanted | undefined {
    return this.#journal.core.space.wanted(this.isShortOfSpace);
  }

  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void {
    void this.#checkpoints.getStraggler(group, part.entry, part.position).then(done);
  }

  cleaned(candidate: CleaningCandidate): void {
    this.#journal.core.space.cleaned(candidate);
  }

  setAside(segment: number): void {
    this.#journal.core.space.setAside(segment);
  }

  sweepsWanted(): readonly GroupId[] {
    return this.#journal.core.space.stragglers.sweepsWanted();
  }

  sweepBegins(group: GroupId): void {
    this.#journal.core.space.stragglers.sweeping(group);
  }

  listStragglers(group: GroupId, from: StragglerId, countMax: number): Promise<readonly StragglerId[]> {
    return this.#checkpoints.listStragglers(group, from, countMax);
  }

  deleteStragglers(group: GroupId, stragglers: readonly StragglerId[]): Promise<void> {
    return this.#checkpoints.deleteStragglers(group, stragglers);
  }
}
