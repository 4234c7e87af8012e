import { GroupStore } from './group-store.ts';
import type { Clock } from './lib/clock.ts';
import type { Logger } from './lib/logger.ts';
import type { RecoveredGroup } from './raft/log-store.ts';
import { DataDirectory } from './storage/data-directory.ts';
import { openDiskJournal } from './storage/disk-journal.ts';
import { DiskRoom } from './storage/disk-room.ts';
import type { JournalDriver } from './storage/journal-driver.ts';
import { JOURNAL_DEFAULTS } from './storage/journal-work.ts';
import { openLevel } from './storage/level-directory.ts';
import type { LevelStore } from './storage/level-store.ts';

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

interface DiskStoreParts {
  readonly directory: DataDirectory;
  readonly journal: JournalDriver;
  readonly level: LevelStore;
  readonly room: DiskRoom;
  readonly groups: readonly RecoveredGroup[];
}

/** The cluster layer's view of this node's disk: journal, checkpoints and stragglers of one data directory. */
export class DiskStore extends GroupStore {
  readonly #parts: DiskStoreParts;
  #isShort = false;
  #timers: (() => void)[] = [];

  private constructor(parts: DiskStoreParts, { clock, logger, failed }: DiskStoreDependencies) {
    super({ ...parts, logger, failed });
    this.#parts = parts;
    this.#checkRoom();
    this.#timers = [
      clock.every(IDLE_MS, () => parts.journal.idle()),
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
      const opened = await openLevel(
        { directory: directory.level, ...LEVEL },
        { failed, room: isRetry => room.available(isRetry) },
      );
      if (opened.setAside !== undefined) logger.error({}, opened.setAside);
      level = opened.store;
    } catch (error) {
      room.close();
      return { ok: false, error: levelSentence(options.directory, error as Error) };
    }
    const opened = await openDiskJournal(
      {
        directory: directory.journal,
        journal: JOURNAL_DEFAULTS,
        retryMs: RETRY_MS,
        mustExist: directory.readFormation() !== undefined,
      },
      { after: (delayMs, callback) => clock.after(delayMs, callback), failed },
    );
    if (!opened.opened) {
      room.close();
      await level.close();
      return { ok: false, error: journalSentence(options.directory, opened.reason) };
    }
    const { segments, tornBytes, damages } = opened.report;
    logger.info({ segments, tornBytes, groups: opened.groups.length }, 'journal recovered');
    for (const damage of damages) logger.error({}, `damage in the journal: ${damage}`);
    const { journal, groups } = opened;
    const parts = { directory, level, journal, room, groups };
    return { ok: true, store: new DiskStore(parts, { clock, logger, failed }) };
  }

  get directoryId(): string {
    return this.#parts.directory.id;
  }
  get formation(): Uint8Array | undefined {
    return this.#parts.directory.readFormation();
  }
  get isShortOfSpace(): boolean {
    return this.#isShort || this.#parts.journal.isFull;
  }

  async saveFormation(bytes: Uint8Array): Promise<void> {
    this.#parts.directory.saveFormation(bytes);
  }

  async close(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    const { room, journal, level } = this.#parts;
    room.close();
    await journal.close();
    await level.close();
  }

  #checkRoom(): void {
    const { room, journal } = this.#parts;
    if (this.#isShort === room.isShort) return;
    this.#isShort = room.isShort;
    journal.diskShort(this.#isShort);
  }
}

function levelSentence(directory: string, error: Error): string {
  const cause = error.cause as { code?: string; message?: string } | undefined;
  if (cause?.code === 'LEVEL_LOCKED') {
    return `the data directory ${directory} is in use by another process; stop it, or give this node a directory of its own`;
  }
  return `the key-value store in ${directory} cannot be opened: ${cause?.message ?? error.message}`;
}

function journalSentence(directory: string, reason: string): string {
  return (
    `the journal in ${directory} cannot be used: ${reason}; this node's votes are lost with it, so it must not take part ` +
    'as the member that it was: put the journal back, or start it with an empty data directory as a new member'
  );
}
