import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { GroupWrite, RecoveredGroup } from '../raft/log-store.ts';
import type { Entry } from '../raft/messages.ts';
import { Arena } from './arena.ts';
import type { DiskReply, DiskRequest } from './disk-thread.ts';
import type { Location } from './group-log.ts';
import type { Journal } from './journal.ts';
import { bytesAt, decodeEntryAt, type RecoveryReport, recoverJournal } from './journal-recovery.ts';
import type { Pin } from './journal-space.ts';
import { type JournalOptions, type JournalWork, segmentFile } from './journal-work.ts';
import type { JournalFiles } from './segment-scan.ts';

export interface DiskJournalOptions {
  readonly directory: string;
  readonly journal: JournalOptions;
  /** After a work that found no room, it is tried again this much later (R18). */
  readonly retryMs: number;
}

export interface DiskJournalDependencies {
  readonly after: (delayMs: number, callback: () => void) => () => void;
  /** The disk failed: nothing that was not acknowledged may be believed, the node must stop (R18). */
  readonly failed: (reason: string) => void;
}

export type OpenedJournal =
  | {
      readonly opened: true;
      readonly journal: DiskJournal;
      readonly groups: readonly RecoveredGroup[];
      readonly report: RecoveryReport;
    }
  | { readonly opened: false; readonly reason: string };

interface PendingRead {
  readonly locations: readonly Location[];
  readonly pin: Pin;
  readonly done: (entries: (Entry | undefined)[]) => void;
}

/** The journal on this node's disk: the pure core, and two threads that write and read for it. */
export class DiskJournal {
  readonly #options: DiskJournalOptions;
  readonly #deps: DiskJournalDependencies;
  readonly #arena: Arena;
  readonly core: Journal;
  readonly #writer: Worker;
  readonly #reader: Worker;
  /** Callbacks of appends that are not durable yet, by the number that `durableThrough` has to reach. */
  #waiting: { readonly number: number; readonly durable: () => void }[] = [];
  readonly #reads = new Map<number, PendingRead>();
  /** Reads of records that are not on disk yet. */
  #earlyReads: PendingRead[] = [];
  /** Files that are gone with the work under way: the reader must not keep their blocks. */
  #leavingFiles: string[] = [];
  #lastRead = 0;
  #isFull = false;
  #isClosed = false;

  private constructor(options: DiskJournalOptions, deps: DiskJournalDependencies, core: Journal, arena: Arena) {
    this.#options = options;
    this.#deps = deps;
    this.core = core;
    this.#arena = arena;
    this.#writer = this.#thread('write');
    this.#reader = this.#thread('read');
  }

  /** Recovers what is in the directory; resolves when what was recovered is durable. */
  static async open(options: DiskJournalOptions, deps: DiskJournalDependencies): Promise<OpenedJournal> {
    const arena = new Arena();
    const recovery = recoverJournal(directoryFiles(options.directory), options.journal, bytes => arena.allocate(bytes));
    if (!recovery.recovered) return { opened: false, reason: recovery.reason };
    const journal = new DiskJournal(options, deps, recovery.journal, arena);
    const number = recovery.journal.append([]);
    await new Promise<void>(resolve => {
      journal.#waiting.push({ number, durable: resolve });
      journal.flush();
    });
    return { opened: true, journal, groups: recovery.groups, report: recovery.report };
  }

  /** The last write found no room. Writes wait until there is some. */
  get isFull(): boolean {
    return this.#isFull;
  }

  allocate(bytes: number): Uint8Array {
    return this.#arena.allocate(bytes);
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
    setImmediate(() => {
      if (!this.#isClosed) durable();
    });
  }

  /** There is little room on the file system (R18). */
  diskShort(isShort: boolean): void {
    this.core.diskShort(isShort);
  }

  /** Hands what was appended to the writing thread, unless it is busy: then it goes with the next work. */
  flush(): void {
    if (this.#isClosed) return;
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
    await Promise.all([this.#writer.terminate(), this.#reader.terminate()]);
  }

  #thread(role: 'write' | 'read'): Worker {
    // Workers run compiled code; tests run this file from its source.
    const file = import.meta.url.endsWith('.ts') ? '../../dist/storage/disk-thread.js' : './disk-thread.js';
    const worker = new Worker(new URL(file, import.meta.url), {
      workerData: { directory: this.#options.directory, role },
      name: `journal-${role}`,
    });
    worker.on('message', (reply: DiskReply) => {
      if (this.#isClosed) return;
      if (reply.did === 'work') this.#worked(reply);
      else this.#readDone(reply);
    });
    worker.on('error', error => this.#deps.failed(`the journal's ${role} thread failed: ${error.message}`));
    return worker;
  }

  #start(work: JournalWork | undefined): void {
    if (work === undefined) return;
    const operations = work.operations.map(operation => {
      if (operation.do === 'delete') this.#leavingFiles.push(operation.file);
      else if (operation.do === 'rename') this.#leavingFiles.push(operation.from);
      // A view of memory that is not shared would be sent with a copy of the whole buffer behind it.
      if (operation.do !== 'write') return operation;
      return { ...operation, buffers: operation.buffers.map(buffer => this.#arena.adopt(buffer)) };
    });
    this.#writer.postMessage({ do: 'work', number: work.number, operations } satisfies DiskRequest);
  }

  #startRead(read: PendingRead): void {
    const number = ++this.#lastRead;
    this.#reads.set(number, read);
    const pieces = read.locations.map(location => ({
      file: segmentFile(location.segment),
      position: location.position,
      length: bytesAt(location),
    }));
    this.#reader.postMessage({ do: 'read', number, pieces } satisfies DiskRequest);
  }

  #worked(reply: Extract<DiskReply, { did: 'work' }>): void {
    if (reply.outcome === 'failed') {
      this.#deps.failed(`the journal could not be written: ${reply.reason}`);
      return;
    }
    if (reply.outcome === 'full') {
      this.#isFull = true;
      const mayGoOn = this.core.workFull(reply.number);
      if (mayGoOn) this.flush();
      else this.#deps.after(this.#options.retryMs, () => this.flush());
      return;
    }
    this.#isFull = false;
    this.core.workCompleted(reply.number);
    const files = this.#leavingFiles;
    this.#leavingFiles = [];
    if (files.length > 0) this.#reader.postMessage({ do: 'forget', files } satisfies DiskRequest);
    this.flush();
    if (this.#earlyReads.length > 0) this.#startEarlyReads();
    const through = this.core.durableThrough;
    let done = 0;
    const waiting = this.#waiting;
    while (done < waiting.length && waiting[done]!.number <= through) done++;
    this.#waiting = waiting.slice(done);
    for (let i = 0; i < done; i++) waiting[i]!.durable();
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

/** The journal's directory, read synchronously: recovery runs before anything else does. */
export function directoryFiles(directory: string): JournalFiles {
  return {
    list: () =>
      readdirSync(directory, { withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => ({ name: entry.name, bytes: statSync(join(directory, entry.name)).size })),
    read: (name, position, length) => {
      const fd = openSync(join(directory, name), 'r');
      try {
        const bytes = new Uint8Array(length);
        let done = 0;
        while (done < length) {
          const read = readSync(fd, bytes, done, length - done, position + done);
          if (read === 0) break;
          done += read;
        }
        return bytes.subarray(0, done);
      } finally {
        closeSync(fd);
      }
    },
  };
}
