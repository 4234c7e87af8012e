import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { GroupWrite } from '../raft/log-store.ts';
import type { Entry } from '../raft/messages.ts';
import type { Location } from './group-log.ts';
import type { Journal } from './journal.ts';
import { bytesAt, decodeEntryAt } from './journal-recovery.ts';
import type { Pin } from './journal-space.ts';
import { type DiskReply, type DiskRequest, type JournalWork, segmentFile } from './journal-work.ts';

/** One of the two threads that do the journal's file operations. */
export interface JournalThread {
  post(request: DiskRequest): void;
  close(): Promise<void>;
}

export interface JournalDriverOptions {
  /** After a work that found no room, it is tried again this much later (R18). */
  readonly retryMs: number;
}

export interface JournalDriverDependencies {
  readonly thread: (role: 'write' | 'read', replied: (reply: DiskReply) => void) => JournalThread;
  readonly after: (delayMs: number, callback: () => void) => () => void;
  /** Runs the callback in a later turn of the event loop. */
  readonly defer: (callback: () => void) => void;
  /** The disk failed: nothing that was not acknowledged may be believed, the node must stop (R18). */
  readonly failed: (reason: string) => void;
}

interface PendingRead {
  readonly locations: readonly Location[];
  readonly pin: Pin;
  readonly done: (entries: (Entry | undefined)[]) => void;
}

/** The pure core of the journal, and two threads that write and read for it. */
export class JournalDriver {
  readonly #options: JournalDriverOptions;
  readonly #deps: JournalDriverDependencies;
  readonly core: Journal;
  readonly #writer: JournalThread;
  readonly #reader: JournalThread;
  /** Callbacks of appends that are not durable yet, by the number that `durableThrough` has to reach. */
  #waiting: { readonly number: number; readonly durable: () => void }[] = [];
  readonly #reads = new Map<number, PendingRead>();
  /** Reads of records that are not on disk yet. */
  #earlyReads: PendingRead[] = [];
  /** Files that are gone with the work under way: the reader must not keep their blocks. */
  readonly #leavingFiles = new Set<string>();
  #lastRead = 0;
  #isFull = false;
  /** There while a work waits for room (R18): nothing is started until its timer has run out. */
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(options: JournalDriverOptions, core: Journal, deps: JournalDriverDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.core = core;
    this.#writer = deps.thread('write', reply => this.#replied(reply));
    this.#reader = deps.thread('read', reply => this.#replied(reply));
  }

  /** Calls back when what recovery found is durable: until then nothing may be said about it. */
  whenSettled(settled: () => void): void {
    // Of the first work; there is always one.
    this.#waiting.push({ number: this.core.durableThrough + 1, durable: settled });
    this.flush();
  }

  /** The last write found no room. Writes wait until there is some. */
  get isFull(): boolean {
    return this.#isFull;
  }

  append(write: GroupWrite, durable: () => void): void {
    this.#whenDurable(this.core.append([write]), durable);
  }

  /** See `Journal.appendBody`. */
  appendBody(group: GroupId, generation: number, entry: Entry, durable: () => void): void {
    this.#whenDurable(this.core.appendBody(group, generation, entry), durable);
  }

  /** See `Journal.setDamaged`. */
  setDamaged(group: GroupId, damaged: boolean, durable: () => void): void {
    this.#whenDurable(this.core.setDamaged(group, damaged), durable);
  }

  #whenDurable(number: number, durable: () => void): void {
    if (number > this.core.durableThrough) {
      this.#waiting.push({ number, durable });
      return;
    }
    this.#deps.defer(() => {
      if (!this.#isClosed) durable();
    });
  }

  /** There is little room on the file system (R18). */
  diskShort(isShort: boolean): void {
    this.core.diskShort(isShort);
  }

  /** Hands what was appended to the writing thread, unless it is busy or waits for room: then it goes with the next work. */
  flush(): void {
    // Every turn of the loop comes here, and the core would hand out a work without room again at once.
    if (this.#isClosed || this.#cancelRetry !== undefined) return;
    this.#start(this.core.takeWork());
  }

  /** For a quiet moment (R11): see `Journal.takeIdleWork`. */
  idle(): void {
    if (this.#isClosed) return;
    this.#start(this.core.takeIdleWork());
  }

  /**
   * Reads records, when they are on disk. Their segments are kept until then, so an entry that is undefined is damaged, or
   * was gone when it was asked for.
   */
  read(locations: readonly Location[], done: (entries: (Entry | undefined)[]) => void): void {
    const read = { locations, pin: this.core.space.pinLocations(locations), done };
    if (locations.every(location => this.core.isDurable(location))) this.#startRead(read);
    else this.#earlyReads.push(read);
  }

  locate(group: GroupId, index: LogIndex): Location | undefined {
    return this.core.locate(group, index);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    await Promise.all([this.#writer.close(), this.#reader.close()]);
  }

  #replied(reply: DiskReply): void {
    if (this.#isClosed) return;
    if (reply.did === 'work') this.#worked(reply);
    else this.#readDone(reply);
  }

  #start(work: JournalWork | undefined): void {
    if (work === undefined) return;
    for (const operation of work.operations) {
      if (operation.do === 'delete') this.#leavingFiles.add(operation.file);
      else if (operation.do === 'rename') this.#leavingFiles.add(operation.from);
    }
    this.#writer.post({ do: 'work', number: work.number, operations: work.operations });
  }

  #startRead(read: PendingRead): void {
    const number = ++this.#lastRead;
    this.#reads.set(number, read);
    const pieces = read.locations.map(location => ({
      file: segmentFile(location.segment),
      position: location.position,
      length: bytesAt(location),
    }));
    this.#reader.post({ do: 'read', number, pieces });
  }

  #worked(reply: Extract<DiskReply, { did: 'work' }>): void {
    if (reply.outcome === 'failed') {
      this.#deps.failed(`the journal could not be written: ${reply.reason}`);
      return;
    }
    if (reply.outcome === 'full') {
      this.#isFull = true;
      const mayGoOn = this.core.workFull(reply.number, reply.at);
      if (mayGoOn) this.flush();
      else this.#waitForRoom();
      return;
    }
    this.#isFull = false;
    this.core.workCompleted(reply.number);
    if (this.#leavingFiles.size > 0) this.#reader.post({ do: 'forget', files: [...this.#leavingFiles] });
    this.#leavingFiles.clear();
    this.flush();
    if (this.#earlyReads.length > 0) this.#startEarlyReads();
    const through = this.core.durableThrough;
    let done = 0;
    const waiting = this.#waiting;
    while (done < waiting.length && waiting[done]!.number <= through) done++;
    this.#waiting = waiting.slice(done);
    for (let i = 0; i < done; i++) waiting[i]!.durable();
  }

  #waitForRoom(): void {
    this.#cancelRetry = this.#deps.after(this.#options.retryMs, () => {
      this.#cancelRetry = undefined;
      this.flush();
    });
  }

  #startEarlyReads(): void {
    const reads = this.#earlyReads;
    this.#earlyReads = [];
    for (const read of reads) {
      if (read.locations.every(location => this.core.isDurable(location))) this.#startRead(read);
      else this.#earlyReads.push(read);
    }
  }

  #readDone(reply: Extract<DiskReply, { did: 'read' }>): void {
    const read = this.#reads.get(reply.number);
    assert(read !== undefined, () => `read ${reply.number} is not under way`);
    this.#reads.delete(reply.number);
    this.core.space.unpin(read.pin);
    read.done(
      reply.pieces.map((bytes, i) => (bytes === undefined ? undefined : decodeEntryAt(read.locations[i]!, bytes))),
    );
  }
}
