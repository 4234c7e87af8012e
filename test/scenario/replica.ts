import { assert } from '../../src/lib/assert.ts';
import { utf8Decode } from '../../src/lib/bytes.ts';
import type { LogIndex, NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import { decodeMembership } from '../../src/raft/membership.ts';
import {
  type Entry,
  type EntryId,
  EntryKind,
  type HardState,
  type Membership,
  type RaftMessage,
  type SnapshotMeta,
} from '../../src/raft/messages.ts';
import { Raft, type RaftOptions } from '../../src/raft/raft.ts';
import type { Ready, RecoveredState, TermRun, Write } from '../../src/raft/ready.ts';

/** A machine's state: the payloads of all commands applied, in order. */
type State = readonly string[];

/** What survives a loss of power. */
interface Disk {
  hardState: HardState;
  /** Checkpoint: what the state was after `base`, and who took part then. */
  base: EntryId;
  membership: Membership;
  state: State;
  /** Entries behind `base`. */
  log: Entry[];
  damaged: boolean;
}

export interface Applied {
  readonly index: LogIndex;
  readonly term: number;
  readonly payload: string;
}

export const DEFAULT_OPTIONS: Omit<RaftOptions, 'id'> = {
  electionTimeoutTicks: 10,
  heartbeatTicks: 2,
  inflightEntriesMax: 4,
  inflightBytesMax: 1024,
  appendBytesMax: 256,
  cachedBytesMax: 4096,
};

/**
 * One replica with the smallest driver that keeps the contract of `ready.ts`: a disk whose writes complete when the test
 * says so, a machine that remembers what it applied, and an outbox that the test empties.
 */
export class Replica {
  readonly id: NodeId;
  readonly outbox: RaftMessage[] = [];
  /** Everything applied in all lives of this replica, to be checked against the others. */
  readonly history: Applied[] = [];
  readonly reads: { readonly context: number; readonly index: LogIndex }[] = [];
  raft: Raft;
  state: string[];
  /** Taken and not completed, oldest first. */
  writes: Write[] = [];

  readonly #options: RaftOptions;
  readonly #random: Random;
  #disk: Disk;
  #applied: LogIndex;
  #install: SnapshotMeta | undefined;

  constructor(options: RaftOptions, membership: Membership, random: Random) {
    this.id = options.id;
    this.#options = options;
    this.#random = random;
    this.#disk = {
      hardState: { term: 0, vote: undefined, commit: 0 },
      base: { term: 0, index: 0 },
      membership,
      state: [],
      log: [],
      damaged: false,
    };
    this.state = [];
    this.#applied = 0;
    this.raft = this.#start();
  }

  get hardState(): HardState {
    return this.#disk.hardState;
  }

  /** Ids of everything on disk behind the base. */
  get durableLog(): readonly Entry[] {
    return this.#disk.log;
  }

  /** The snapshot that waits to be copied from its sender. */
  get install(): SnapshotMeta | undefined {
    return this.#install;
  }

  /** Takes readies until there is nothing to do, except for writes, which wait for `completeWrite`. */
  run(): void {
    for (let ready = this.raft.takeReady(); ready !== undefined; ready = this.raft.takeReady()) this.#follow(ready);
  }

  /** The oldest write reaches the disk. */
  completeWrite(): void {
    const write = this.writes.shift();
    if (write === undefined) return;
    this.#store(write);
    this.raft.writeCompleted(write.number);
    this.outbox.push(...write.release);
    if (this.#disk.damaged && !this.raft.damaged) this.#disk.damaged = false;
    this.run();
  }

  completeWrites(): void {
    while (this.writes.length > 0) this.completeWrite();
  }

  /** Starts again from what is on disk; the first `written` pending writes reached it, without anybody having heard. */
  restart(written = 0): void {
    for (const write of this.writes.slice(0, written)) this.#store(write);
    this.writes = [];
    this.outbox.length = 0;
    this.raft = this.#start();
  }

  /** Restarts without the last `count` entries, though they were durable; recovery notices. */
  restartDamaged(count: number): void {
    this.#disk.log.splice(Math.max(0, this.#disk.log.length - count));
    this.#disk.damaged = true;
    this.restart();
  }

  /** A checkpoint covers what is applied and durable; the log begins behind it. */
  compact(): void {
    const index = Math.min(this.#applied, this.raft.durable);
    const disk = this.#disk;
    if (index !== this.#applied || index <= disk.base.index) return;
    const base = { index, term: this.raft.termAt(index)! };
    disk.membership = this.raft.membershipAt(index);
    disk.log = disk.log.filter(entry => entry.index > index);
    disk.base = base;
    disk.state = [...this.state];
    disk.hardState = { ...disk.hardState, commit: Math.max(disk.hardState.commit, index) };
    this.raft.compactTo(base);
  }

  /** Copies the offered snapshot, if `source` still has it. The switch follows the writes before it, as in a journal. */
  installFrom(source: Replica): boolean {
    const wanted = this.#install;
    this.#install = undefined;
    this.completeWrites();
    if (wanted === undefined || this.raft.installing?.snapshot.last.index !== wanted.last.index) return false;
    const disk = this.#disk;
    if (source.#disk.base.index !== wanted.last.index) {
      this.raft.snapshotFailed();
      this.run();
      return false;
    }
    const kept = this.raft.termAt(wanted.last.index) === wanted.last.term;
    disk.base = wanted.last;
    disk.membership = wanted.membership;
    disk.state = source.#disk.state;
    disk.log = kept ? disk.log.filter(entry => entry.index > wanted.last.index) : [];
    this.state = [...disk.state];
    this.#applied = wanted.last.index;
    this.raft.snapshotInstalled(wanted);
    this.run();
    return true;
  }

  #start(): Raft {
    const disk = this.#disk;
    const runs: TermRun[] = disk.log.map(({ term, index }) => ({ term, first: index, last: index }));
    const configurations: RecoveredState['configurations'][number][] = [];
    for (const entry of disk.log) {
      if (entry.kind !== EntryKind.configuration) continue;
      configurations.push({ index: entry.index, membership: decodeMembership(entry.payload)! });
    }
    this.state = [...disk.state];
    this.#applied = disk.base.index;
    this.#install = undefined;
    const { hardState, base, membership, damaged } = disk;
    const recovered = { hardState, base, membership, log: runs, configurations, applied: base.index, damaged };
    const raft = new Raft(this.#options, recovered, this.#random);
    return raft;
  }

  #follow(ready: Ready): void {
    this.outbox.push(...ready.messages);
    if (ready.write !== undefined) this.writes.push(ready.write);
    this.reads.push(...ready.reads);
    if (ready.install !== undefined) this.#install = ready.install.snapshot;
    this.#apply(ready.commit);
    for (const { peer, from, to, bytesMax } of ready.fetches) {
      const entries: Entry[] = [];
      let bytes = 0;
      for (let index = from; index <= to; index++) {
        const entry = this.#entry(index);
        bytes += entry.payload.length;
        if (entries.length > 0 && bytes > bytesMax) break;
        entries.push(entry);
      }
      this.raft.entriesFetched(peer, entries);
    }
    for (const peer of ready.snapshotsWanted) {
      this.compact();
      this.raft.snapshotStarted(peer, { last: this.#disk.base, membership: this.#disk.membership });
    }
  }

  #apply(commit: LogIndex): void {
    for (let index = this.#applied + 1; index <= commit; index++) {
      const { term, kind, payload } = this.#entry(index);
      const text = kind === EntryKind.command ? utf8Decode(payload) : '';
      this.history.push({ index, term, payload: `${kind}:${text}` });
      if (kind === EntryKind.command) this.state.push(text);
      this.#applied = index;
      this.raft.appliedTo(index);
    }
  }

  #entry(index: LogIndex): Entry {
    const entry = this.raft.entriesFrom(index, index, 1)?.[0] ?? this.#disk.log[index - this.#disk.base.index - 1];
    assert(entry !== undefined && entry.index === index, () => `entry ${index} is neither in memory nor on disk`);
    return entry;
  }

  #store(write: Write): void {
    const disk = this.#disk;
    if (write.hardState !== undefined) disk.hardState = write.hardState;
    for (const entry of write.entries) {
      const at = entry.index - disk.base.index - 1;
      if (at < 0) continue;
      assert(at <= disk.log.length, () => `gap on disk before ${entry.index}`);
      disk.log.splice(at, disk.log.length, entry);
    }
  }
}
