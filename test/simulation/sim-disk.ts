import { assert } from '../../src/lib/assert.ts';
import type { GroupId, LogIndex } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { GroupWrite, RecoveredGroup } from '../../src/raft/log-store.ts';
import type { Entry } from '../../src/raft/messages.ts';
import type { Journal } from '../../src/storage/journal.ts';
import { bytesAt, decodeEntryAt, recoverJournal } from '../../src/storage/journal-recovery.ts';
import {
  type FileOperation,
  type JournalOptions,
  type JournalWork,
  segmentFile,
} from '../../src/storage/journal-work.ts';
import { SimFiles } from './sim-files.ts';
import type { CrashLoss, SimNode } from './sim-node.ts';
import { type PageBatch, SimStore, type StoredCheckpoint } from './sim-store.ts';
import { Violation } from './violation.ts';

const OPERATION_MS = 0.02;
const SLOW_SYNC_FACTOR = 100;
const CALM_SYNC_MS_MAX = 20;

interface Waiting {
  readonly through: number;
  readonly done: () => void;
}

/**
 * The disk of one node under the real journal: the journal decides what is written, this class does it, slowly, and remembers which
 * bytes a loss of power would leave.
 */
export class SimDisk {
  readonly files: SimFiles;
  readonly #store = new SimStore();
  readonly #node: SimNode;
  readonly #random: Random;
  readonly #options: JournalOptions;
  #journal: Journal | undefined;
  #waiting: Waiting[] = [];
  /** Nothing completes before this time. */
  #hungUntilMs = 0;
  #failureDownMs: number | undefined;
  #isCalm = false;
  /** What the durable bytes say, kept until they change. */
  #durable: { readonly version: number; readonly groups: ReadonlyMap<GroupId, RecoveredGroup> } | undefined;

  constructor(node: SimNode) {
    this.#node = node;
    this.#random = node.cluster.world.random(`disk:${node.id}`);
    this.files = new SimFiles();
    const { segmentBytes } = node.cluster.swarm.limits;
    this.#options = { segmentBytesMax: segmentBytes, sparesMax: 2, sparesMin: 0, deadBytesReserve: 2 * segmentBytes };
  }

  get journal(): Journal {
    assert(this.#journal !== undefined, 'the journal is not open');
    return this.#journal;
  }

  /** Reads the journal as a starting process does. */
  open(): ReadonlyMap<GroupId, RecoveredGroup> {
    const recovery = recoverJournal(this.files, this.#options);
    if (!recovery.recovered) throw new Violation('recovery', `node ${this.#node.id}: ${recovery.reason}`);
    const { damages } = recovery.report;
    if (damages.length > 0)
      throw new Violation('recovery', `node ${this.#node.id} finds damage: ${damages.join('; ')}`);
    this.#journal = recovery.journal;
    this.#waiting = [];
    return byGroup(recovery.groups);
  }

  /** Calls back when the work that is due at the start is done. */
  whenSettled(done: () => void): void {
    const work = this.journal.takeWork();
    if (work === undefined) {
      done();
      return;
    }
    this.#waiting.push({ through: work.number, done });
    this.#perform(work, 0);
  }

  append(write: GroupWrite, durable: () => void): void {
    const through = this.journal.append([write]);
    if (through > this.journal.durableThrough) this.#waiting.push({ through, done: durable });
    else this.#node.cluster.world.after(0, this.#node.entry(durable));
  }

  /** The end of a loop turn: all that was appended since goes into one work, if none is under way (R7). */
  flush(): void {
    const work = this.journal.takeWork();
    if (work !== undefined) this.#perform(work, 0);
  }

  readEntries(
    group: GroupId,
    from: LogIndex,
    to: LogIndex,
    bytesMax: number,
    done: (entries: readonly Entry[]) => void,
  ): void {
    const { readMs } = this.#node.cluster.swarm.disk;
    this.#after(
      this.#draw(readMs),
      this.#node.entry(() => done(this.#read(group, from, to, bytesMax))),
    );
  }

  /** The payload of an entry that holds messages which are alive. */
  readBody(group: GroupId, entry: LogIndex, done: (payload: Uint8Array | undefined) => void): void {
    const { readMs } = this.#node.cluster.swarm.disk;
    const read = (): void => done(this.readEntry(group, entry)?.payload);
    this.#after(this.#draw(readMs), this.#node.entry(read));
  }

  checkpointOf(group: GroupId, generation: number): StoredCheckpoint | undefined {
    return this.#store.load(group, generation);
  }

  /** One synced batch of pages. */
  writePages(batch: PageBatch, done: () => void): void {
    this.#store.begin(batch);
    const { life } = this.#node;
    this.#after(this.#draw(this.#node.cluster.swarm.disk.syncMs), () => {
      if (this.#node.life !== life) return;
      this.#store.complete(batch);
      this.#node.enter(done);
    });
  }

  /** The pages of a snapshot, and the bodies they refer to, beside everything that is there (R17). */
  writeSnapshot(batch: PageBatch, bodies: readonly Entry[], done: () => void): void {
    const { group, generation } = batch;
    this.journal.abandonBodies(group, generation);
    for (const body of bodies) this.journal.appendBody(group, generation, body);
    this.#store.clear(group, generation);
    this.writePages(batch, done);
    this.flush();
  }

  failNextSync(downMs: number): void {
    this.#failureDownMs = downMs;
  }

  hang(durationMs: number): void {
    this.#hungUntilMs = this.#node.cluster.world.nowMs + durationMs;
  }

  endFaults(): void {
    this.#isCalm = true;
    this.#failureDownMs = undefined;
  }

  /** The process is gone; with the power also everything that was not synced, wholly or in part. */
  crash(loss: CrashLoss): void {
    this.#journal = undefined;
    this.#store.crash(this.#random);
    if (loss === 'power' && this.files.losePower(this.#random)) this.#node.cluster.statistics.powerLossesWithUnsynced++;
  }

  /** What a recovery would find if the power failed now and everything unsynced were lost. */
  recoverDurable(group: GroupId): RecoveredGroup | undefined {
    const { durableVersion } = this.files;
    if (this.#durable?.version !== durableVersion) {
      const recovery = recoverJournal(this.files.durable(), this.#options);
      if (!recovery.recovered)
        throw new Violation('recovery', `durable bytes of node ${this.#node.id}: ${recovery.reason}`);
      this.#durable = { version: durableVersion, groups: byGroup(recovery.groups) };
    }
    return this.#durable.groups.get(group);
  }

  /** The journal's thread: it goes on while the process is paused, which hears of it afterwards. */
  #perform(work: JournalWork, at: number): void {
    const operation = work.operations[at];
    if (operation === undefined) {
      this.#node.enter(() => this.#completed(work.number));
      return;
    }
    if (operation.do === 'sync') this.#node.reachedMoment('write');
    const { life } = this.#node;
    this.#after(this.#durationOf(operation), () => {
      if (this.#node.life !== life) return;
      if (operation.do === 'sync' && this.#failureDownMs !== undefined) {
        const downMs = this.#failureDownMs;
        this.#failureDownMs = undefined;
        this.#node.stopOnDiskFailure(downMs);
        return;
      }
      this.files.perform(operation);
      this.#perform(work, at + 1);
    });
  }

  #completed(number: number): void {
    this.journal.workCompleted(number);
    const done = this.#waiting.filter(one => one.through <= number);
    this.#waiting = this.#waiting.filter(one => one.through > number);
    for (const one of done) one.done();
    this.flush();
  }

  #read(group: GroupId, from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index++) {
      const entry = this.readEntry(group, index);
      if (entry === undefined) break;
      bytes += entry.payload.length;
      if (entries.length > 0 && bytes > bytesMax) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Also of an entry below the base, as long as the journal has it. Undefined: gone, or not durable yet. */
  readEntry(group: GroupId, index: LogIndex): Entry | undefined {
    const location = this.journal.locate(group, index);
    if (location === undefined || !this.journal.isDurable(location)) return undefined;
    return decodeEntryAt(
      location,
      this.files.read(segmentFile(location.segment), location.position, bytesAt(location)),
    );
  }

  #durationOf(operation: FileOperation): number {
    if (operation.do !== 'sync' && operation.do !== 'sync-directory') return OPERATION_MS;
    const { syncMs, slowSync } = this.#node.cluster.swarm.disk;
    if (this.#isCalm) return Math.min(this.#draw(syncMs), CALM_SYNC_MS_MAX);
    const isSlow = slowSync !== undefined && this.#random.next() < slowSync;
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

function byGroup(groups: readonly RecoveredGroup[]): ReadonlyMap<GroupId, RecoveredGroup> {
  return new Map(groups.map(group => [group.group, group]));
}
