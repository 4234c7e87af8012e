import type { GroupId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { RecoveredGroup } from '../../src/raft/log-store.ts';
import { JournalDriver } from '../../src/storage/journal-driver.ts';
import { readGroups, recoverJournal } from '../../src/storage/journal-recovery.ts';
import { type FileOperation, type JournalOptions, parseFileName } from '../../src/storage/journal-work.ts';
import { RECORD_HEADER_BYTES, RecordType, recordBytes } from '../../src/storage/record-codec.ts';
import { SegmentReader } from '../../src/storage/segment-scan.ts';
import { SimFiles } from './sim-files.ts';
import type { CrashLoss, SimNode } from './sim-node.ts';
import { SimStore } from './sim-store.ts';
import { SimThread, type ThreadPort } from './sim-thread.ts';
import { SimValues } from './sim-values.ts';
import { Violation } from './violation.ts';

const OPERATION_MS = 0.02;
const SLOW_SYNC_FACTOR = 100;
const CALM_SYNC_MS_MAX = 20;
const RETRY_MS = 500;
const ROOM_CHECK_MS = 100;

/** Records that one damage hits. */
const FLIPS_MAX = 6;

/** Records whose damage recovery must tell from a torn write. Votes are not among them: one that is lost cannot be told. */
const FLIPPED: ReadonlySet<number> = new Set([RecordType.entry, RecordType.body, RecordType.segmentIndex]);

/** A record of the journal, a value of the key-value store, or a batch that a process which starts does not find. */
export type DiskDamage = 'record' | 'value' | 'batch';

interface SyncedRecord {
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
  readonly batch: number;
}

/** The disk as one life of the process has it. */
export interface OpenedDisk {
  readonly store: SimStore;
  readonly journal: JournalDriver;
}

/**
 * The disk of one node over all lives of its process: the bytes of its journal, the values of its key-value store, how long both
 * take, and what goes wrong with them. What runs on it is the real store.
 */
export class SimDisk {
  readonly files = new SimFiles();
  readonly #values: SimValues;
  readonly #node: SimNode;
  readonly #random: Random;
  readonly #options: JournalOptions;
  /** Nothing completes before this time. */
  #hungUntilMs = 0;
  #fullUntilMs = 0;
  /** When the latest write of the key-value store will be done. */
  #writtenMs = 0;
  #failureDownMs: number | undefined;
  #isCalm = false;
  #isDamaged = false;
  /** Messages whose bodies may be missing though a checkpoint names them. */
  readonly unneeded = new Set<string>();
  /** By group: the generation of the state whose bodies were looked for last. */
  readonly countedGenerations = new Map<GroupId, number>();
  /** What the durable bytes say, kept until they change. */
  #durable: { readonly version: number; readonly groups: ReadonlyMap<GroupId, RecoveredGroup> } | undefined;

  constructor(node: SimNode) {
    this.#node = node;
    this.#random = node.cluster.world.random(`disk:${node.id}`);
    const { segmentBytes, reserveSegments } = node.cluster.swarm.limits;
    const deadBytesReserve = reserveSegments * segmentBytes;
    this.#options = { segmentBytesMax: segmentBytes, sparesMax: 2, sparesMin: 0, deadBytesReserve };
    this.#values = new SimValues(this.#random, {
      written: (sync, happen) => this.#written(sync, happen),
      read: happen => this.#after(this.#durationOf('read'), this.#asynchronously(happen)),
      hasRoom: () => !this.isFull,
      roomWanted: happen => this.#after(ROOM_CHECK_MS, happen),
    });
  }

  /** There is no room on it. */
  get isFull(): boolean {
    return this.#node.cluster.world.nowMs < this.#fullUntilMs;
  }

  /** Something that was synced has been taken away once. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** Reads the disk as a starting process does. A sentence: it must not be used. */
  open(): OpenedDisk | string {
    const recovery = recoverJournal(this.files, this.#options);
    if (!recovery.recovered) {
      if (!this.#isDamaged) throw new Violation('recovery', `node ${this.#node.id}: ${recovery.reason}`);
      return recovery.reason;
    }
    const { damages } = recovery.report;
    if (damages.length > 0 && !this.#isDamaged)
      throw new Violation('recovery', `node ${this.#node.id} finds damage: ${damages.join('; ')}`);
    const node = this.#node;
    const journal = new JournalDriver({ retryMs: RETRY_MS }, recovery.journal, {
      thread: (_role, replied) =>
        new SimThread(this.#port(), reply =>
          node.enter(() => {
            replied(reply);
            node.cluster.world.promisesGoOn();
          }),
        ),
      after: (delayMs, callback) => {
        node.cluster.world.after(delayMs, node.entry(callback));
        return () => {};
      },
      defer: callback => node.cluster.world.after(0, node.entry(callback)),
      failed: reason => node.stopOnDiskFailure(reason),
    });
    const store = new SimStore({ node, journal, values: this.#values, groups: recovery.groups });
    return { store, journal };
  }

  failNextSync(downMs: number): void {
    this.#failureDownMs = downMs;
  }

  hang(durationMs: number): void {
    this.#node.cluster.statistics.diskHangs++;
    this.#hungUntilMs = this.#node.cluster.world.nowMs + durationMs;
  }

  fill(durationMs: number): void {
    this.#node.cluster.statistics.fullDisks++;
    this.#fullUntilMs = this.#node.cluster.world.nowMs + durationMs;
  }

  endFaults(): void {
    this.#isCalm = true;
    this.#failureDownMs = undefined;
    this.#fullUntilMs = 0;
  }

  /** The process is gone; with the power also everything that was not synced, wholly or in part. */
  crash(loss: CrashLoss): void {
    this.#values.crash(loss);
    if (loss === 'power' && this.files.losePower(this.#random)) this.#node.cluster.statistics.powerLossesWithUnsynced++;
  }

  /** Whether there is something synced to take away. */
  get canLose(): boolean {
    return !this.#values.isEmpty || this.#syncedRecords().length > 0;
  }

  /** Takes away something that was synced, while the process runs or between two lives. False: there is nothing. */
  damage(what: DiskDamage): boolean {
    const isDone = this.#damage(what);
    if (isDone) this.#isDamaged = true;
    return isDone;
  }

  /** What a recovery would find if the power failed now and everything unsynced were lost. */
  recoverDurable(group: GroupId): RecoveredGroup | undefined {
    const { durableVersion } = this.files;
    if (this.#durable?.version !== durableVersion) {
      const groups = readGroups(this.files.durable());
      if (groups === undefined) throw new Violation('recovery', `node ${this.#node.id} would not find its journal`);
      this.#durable = { version: durableVersion, groups: new Map(groups.map(one => [one.group, one])) };
    }
    return this.#durable.groups.get(group);
  }

  #damage(what: DiskDamage): boolean {
    switch (what) {
      case 'record':
        return this.#flipRecord();
      case 'value':
        return this.#values.damageValue();
      case 'batch':
        return !this.#node.isUp && this.#values.dropRecord();
    }
  }

  #flipRecord(): boolean {
    const synced = this.#syncedRecords();
    const newest = synced.at(-1)?.file;
    if (newest === undefined) return false;
    const behind = this.#random.next() < 0.5 ? synced.filter(({ file }) => file === newest) : synced;
    for (let flips = this.#random.integer(1, FLIPS_MAX); flips > 0; flips--) {
      const { file, position, bytes } = behind[this.#random.integer(0, behind.length - 1)]!;
      this.files.flip(file, position + this.#random.integer(0, bytes - 1), 1 << this.#random.integer(0, 7));
    }
    return true;
  }

  /** In batches behind which another was written: the last one cannot be told from one that was torn (R11). */
  #syncedRecords(): readonly SyncedRecord[] {
    const durable = this.files.durable();
    const found: SyncedRecord[] = [];
    for (const { name, bytes } of [...durable.list()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const parsed = parseFileName(name);
      // What is about to be recycled is read by nobody.
      if (parsed === undefined || parsed.isSpare || !this.files.has(name)) continue;
      const reader = new SegmentReader(durable, name, parsed.number, bytes);
      for (let record = reader.recordAt(0); record !== undefined; ) {
        const { type, position, length, batch } = record.header;
        const size = RECORD_HEADER_BYTES + length;
        if (FLIPPED.has(type)) found.push({ file: name, position, bytes: size, batch });
        record = reader.recordAt(position + recordBytes(length));
      }
    }
    const lastBatch = Math.max(...found.map(({ batch }) => batch));
    return found.filter(({ batch }) => batch < lastBatch);
  }

  #port(): ThreadPort {
    const node = this.#node;
    const disk = this;
    const { life } = node;
    return {
      files: this.files,
      get isFull() {
        return disk.isFull;
      },
      durationOf: operation => disk.#durationOf(operation),
      after: (delayMs, happen) => {
        disk.#after(delayMs, () => {
          if (node.life === life) happen();
        });
      },
      syncFails: () => disk.#syncFails(),
      performs: operation => disk.#performs(operation),
    };
  }

  /** A segment is about to go. */
  #performs(operation: FileOperation): void {
    const file = operation.do === 'rename' ? operation.from : operation.do === 'delete' ? operation.file : undefined;
    if (file === undefined || parseFileName(file)?.isSpare !== false || !this.files.has(file)) return;
    this.#node.cluster.statistics.segmentsReclaimed++;
    for (const checker of this.#node.cluster.checkers) checker.onReclaim(this.#node);
  }

  /** What a restart is sure to find in the key-value store. */
  get values(): Pick<SimValues, 'durable'> {
    return this.#values;
  }

  #written(sync: boolean, happen: () => void): void {
    const { life } = this.#node;
    const { nowMs } = this.#node.cluster.world;
    // In the order in which they were asked for: LevelDB has one log.
    const delayMs = Math.max(this.#durationOf(sync ? 'value-sync' : 'value-write'), this.#writtenMs - nowMs);
    this.#writtenMs = nowMs + delayMs;
    this.#after(delayMs, () => {
      if (this.#node.life !== life) return;
      if (!sync || !this.#syncFails()) this.#asynchronously(happen)();
    });
  }

  /** Somebody waits for this in a promise. */
  #asynchronously(happen: () => void): () => void {
    return this.#node.entry(() => {
      happen();
      this.#node.cluster.world.promisesGoOn();
    });
  }

  /** True: it did, and the node has stopped. */
  #syncFails(): boolean {
    if (this.#failureDownMs === undefined) return false;
    const downMs = this.#failureDownMs;
    this.#failureDownMs = undefined;
    this.#node.stopOnDiskFailure('a sync failed', downMs);
    return true;
  }

  #durationOf(operation: FileOperation | 'read' | 'value-sync' | 'value-write'): number {
    const { syncMs, slowSync, readMs } = this.#node.cluster.swarm.disk;
    if (operation === 'read') return this.#draw(readMs);
    const isSync = operation === 'value-sync' || (typeof operation === 'object' && operation.do.startsWith('sync'));
    if (!isSync) return OPERATION_MS;
    if (typeof operation === 'object' && operation.do === 'sync') this.#node.reachedMoment('write');
    if (this.#isCalm) return Math.min(this.#draw(syncMs), CALM_SYNC_MS_MAX);
    const isSlow = slowSync !== undefined && this.#random.next() < slowSync;
    if (isSlow) this.#node.cluster.statistics.slowSyncs++;
    return this.#draw(syncMs) * (isSlow ? SLOW_SYNC_FACTOR : 1);
  }

  #draw({ min, max }: { readonly min: number; readonly max: number }): number {
    return min + (max - min) * this.#random.next() ** 2;
  }

  #after(delayMs: number, happen: () => void): void {
    const { world } = this.#node.cluster;
    const hungMs = Math.max(0, this.#hungUntilMs - world.nowMs);
    world.after(delayMs + hungMs, happen);
  }
}
