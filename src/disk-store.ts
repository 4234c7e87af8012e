import { mkdirSync } from 'node:fs';
import type { GroupJournal } from './cluster/group-journal.ts';
import type {
  CheckpointWriter,
  CleaningCandidate,
  LoadedCheckpoint,
  NodeStore,
  Straggler,
} from './cluster/node-store.ts';
import { assert } from './lib/assert.ts';
import type { Clock } from './lib/clock.ts';
import type { GroupId, LogIndex } from './lib/ids.ts';
import type { Logger } from './lib/logger.ts';
import type { BodyPart } from './queue/effects.ts';
import type { GroupWrite, RecoveredGroup } from './raft/log-store.ts';
import type { Entry, EntryId } from './raft/messages.ts';
import { CheckpointStore } from './storage/checkpoint-store.ts';
import { DataDirectory } from './storage/data-directory.ts';
import { DiskJournal } from './storage/disk-journal.ts';
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
const FREE_CHECK_MS = 1_000;
const LEVEL = { writeBufferBytes: 8 * 1024 * 1024, cacheBytes: 8 * 1024 * 1024 };

/** The cluster layer's view of this node's disk: journal, checkpoints and stragglers of one data directory. */
export class DiskStore implements NodeStore, GroupJournal {
  readonly #options: DiskStoreOptions;
  readonly #directory: DataDirectory;
  readonly #journal: DiskJournal;
  readonly #level: LevelStore;
  readonly #checkpoints: CheckpointStore;
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>;
  #isLow = false;
  #timers: (() => void)[] = [];

  private constructor(
    options: DiskStoreOptions,
    parts: { directory: DataDirectory; journal: DiskJournal; level: LevelStore; groups: readonly RecoveredGroup[] },
    clock: Clock,
  ) {
    this.#options = options;
    this.#directory = parts.directory;
    this.#journal = parts.journal;
    this.#level = parts.level;
    this.#checkpoints = new CheckpointStore(parts.level);
    this.recovered = new Map(parts.groups.map(group => [group.group, group]));
    this.#checkFree();
    this.#timers = [
      clock.every(IDLE_MS, () => this.#journal.idle()),
      clock.every(FREE_CHECK_MS, () => this.#checkFree()),
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
    let level: LevelStore;
    try {
      mkdirSync(directory.level, { recursive: true });
      level = await LevelStore.open({ directory: directory.level, ...LEVEL }, failed);
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
    const parts = { directory, level, journal: opened.journal, groups: opened.groups };
    return { ok: true, store: new DiskStore(options, parts, clock) };
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
    return this.#isLow || this.#journal.isFull;
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
    if (location === undefined) {
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

  // ---- Stragglers ----

  cleaningCandidate(): CleaningCandidate | undefined {
    return this.#journal.core.space.cleaningCandidate();
  }

  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void {
    void this.#checkpoints.getStraggler(group, part.entry, part.position).then(done);
  }

  async cleaned(segment: number, stragglers: readonly Straggler[]): Promise<void> {
    await this.#checkpoints.putStragglers(stragglers);
    this.#journal.core.space.cleaned(segment);
  }

  async close(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    await this.#journal.close();
    await this.#level.close();
  }

  #checkFree(): void {
    this.#isLow = this.#directory.freeBytes() < this.#options.freeBytesMin;
  }
}

function levelSentence(directory: string, error: Error): string {
  const cause = error.cause as { code?: string; message?: string } | undefined;
  if (cause?.code === 'LEVEL_LOCKED') {
    return `the data directory ${directory} is in use by another process; stop it, or give this node a directory of its own`;
  }
  return `the key-value store in ${directory} cannot be opened: ${cause?.message ?? error.message}`;
}
