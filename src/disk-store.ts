import { mkdirSync } from 'node:fs';
import type { GroupJournal } from './cluster/group/group-journal.ts';
import type {
  CheckpointWriter,
  LoadedCheckpoint,
  NodeStore,
  SnapshotPin,
  SpaceWanted,
  Straggler,
  StragglerId,
} from './cluster/group/node-store.ts';
import { assert } from './lib/assert.ts';
import type { Clock } from './lib/clock.ts';
import type { GroupId, LogIndex } from './lib/ids.ts';
import type { Logger } from './lib/logger.ts';
import type { BodyPart } from './queue/effects.ts';
import type { GroupWrite, RecoveredGroup } from './raft/log-store.ts';
import type { Entry, EntryId } from './raft/messages.ts';
import type { TermRun } from './raft/ready.ts';
import { CheckpointStore } from './storage/checkpoint-store.ts';
import { DataDirectory } from './storage/data-directory.ts';
import { DiskJournal } from './storage/disk-journal.ts';
import { DiskRoom } from './storage/disk-room.ts';
import type { Location } from './storage/group-log.ts';
import { JOURNAL_DEFAULTS } from './storage/journal-work.ts';
import { LevelStore } from './storage/level-store.ts';

export interface DiskStoreOptions {
  readonly directory: string;
  readonly freeBytesMin: number;
}

export interface DiskStoreDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The disk cannot be trusted any more: stop the node (R18). */
  readonly failed: (reason: string) => void;
}

export type OpenedStore =
  | { readonly ok: true; readonly store: DiskStore }
  | { readonly ok: false; readonly error: string };

const RETRY_MS = 500;
const IDLE_MS = 250;
/** At full speed a node writes some ten megabytes between two checks. */
const ROOM_CHECK_MS = 100;
const LEVEL = { writeBufferBytes: 8 * 1024 * 1024, cacheBytes: 8 * 1024 * 1024 };

/** The cluster layer's view of this node's disk: journal, checkpoints and stragglers of one data directory. */
export class DiskStore implements NodeStore, GroupJournal {
  readonly #directory: DataDirectory;
  readonly #journal: DiskJournal;
  readonly #level: LevelStore;
  readonly #checkpoints: CheckpointStore;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  readonly #room: DiskRoom;
  #isShort = false;
  #timers: (() => void)[] = [];

  private constructor(
    parts: {
      directory: DataDirectory;
      journal: DiskJournal;
      level: LevelStore;
      room: DiskRoom;
      groups: readonly RecoveredGroup[];
    },
    clock: Clock,
  ) {
    this.#directory = parts.directory;
    this.#journal = parts.journal;
    this.#level = parts.level;
    this.#checkpoints = new CheckpointStore(parts.level);
    this.recovered = new Map(parts.groups.map(group => [group.group, group]));
    this.#room = parts.room;
    for (const { group } of parts.groups) this.#journal.core.space.stragglers.reset(group);
    this.#checkRoom();
    this.#timers = [
      clock.every(IDLE_MS, () => this.#journal.idle()),
      clock.every(ROOM_CHECK_MS, () => this.#checkRoom()),
    ];
  }

  /** One sentence if the directory cannot be used. */
  static async open(options: DiskStoreOptions, { clock, logger, failed }: DiskStoreDependencies): Promise<OpenedStore> {
    let directory: DataDirectory;
    try {
      directory = DataDirectory.open(options.directory);
    } catch (error) {
      return {
        ok: false,
        error: `the data directory ${options.directory} cannot be used: ${(error as Error).message}`,
      };
    }
    const { freeBytesMin } = options;
    const room = new DiskRoom({ directory: directory.path, freeBytesMin, checkMs: ROOM_CHECK_MS }, clock);
    let level: LevelStore;
    try {
      mkdirSync(directory.level, { recursive: true });
      level = await LevelStore.open(
        { directory: directory.level, ...LEVEL },
        { failed, room: isRetry => room.available(isRetry) },
      );
    } catch (error) {
      return { ok: false, error: levelSentence(options.directory, error as Error) };
    }
    const opened = await DiskJournal.open(
      { directory: directory.journal, journal: JOURNAL_DEFAULTS, retryMs: RETRY_MS },
      { after: (delayMs, callback) => clock.after(delayMs, callback), failed },
    );
    if (!opened.opened)
      return { ok: false, error: `the journal in ${options.directory} cannot be read: ${opened.reason}` };
    const { segments, tornBytes, damages } = opened.report;
    logger.info({ segments, tornBytes, groups: opened.groups.length }, 'journal recovered');
    for (const damage of damages) logger.error({}, `damage in the journal: ${damage}`);
    const parts = { directory, level, journal: opened.journal, room, groups: opened.groups };
    return { ok: true, store: new DiskStore(parts, clock) };
  }

  get directoryId(): string {
    return this.#directory.id;
  }
  get formation(): Uint8Array | undefined {
    return this.#directory.readFormation();
  }
  get journal(): GroupJournal {
    return this;
  }
  get isShortOfSpace(): boolean {
    return this.#isShort || this.#journal.isFull;
  }

  async saveFormation(bytes: Uint8Array): Promise<void> {
    this.#directory.saveFormation(bytes);
  }

  // ---- Journal ----

  append(write: GroupWrite, durable: () => void): void {
    this.#journal.append(write, durable);
  }

  flush(): void {
    this.#journal.flush();
  }

  allocate(bytes: number): Uint8Array {
    return this.#journal.allocate(bytes);
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
    for (let index = from; index <= to && (bytes < bytesMax || locations.length === 0); index++) {
      const location = this.#journal.locate(group, index);
      assert(location !== undefined, () => `group ${group}: entry ${index} is not in the journal`);
      bytes += location.length;
      locations.push(location);
    }
    this.#journal.read(locations, entries => {
      const whole: Entry[] = [];
      for (const entry of entries) {
        // An entry of the log proper is never recycled: what cannot be read is damaged, and must not be skipped (R11).
        assert(entry !== undefined, () => `group ${group}: an entry from ${from} on cannot be read back`);
        whole.push(entry);
      }
      done(whole);
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
    return new Promise(resolve => {
      this.#journal.setDamaged(group, damaged, resolve);
      this.#journal.flush();
    });
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

  cleaned(segment: number): void {
    this.#journal.core.space.cleaned(segment);
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

  async close(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    this.#room.close();
    await this.#journal.close();
    await this.#level.close();
  }

  #checkRoom(): void {
    if (this.#isShort === this.#room.isShort) return;
    this.#isShort = this.#room.isShort;
    this.#journal.diskShort(this.#isShort);
  }
}

function levelSentence(directory: string, error: Error): string {
  const cause = error.cause as { code?: string; message?: string } | undefined;
  if (cause?.code === 'LEVEL_LOCKED') {
    return `the data directory ${directory} is in use by another process; stop it, or give this node a directory of its own`;
  }
  return `the key-value store in ${directory} cannot be opened: ${cause?.message ?? error.message}`;
}
