import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { RecoveredGroup } from '../raft/log-store.ts';
import { Arena } from './arena.ts';
import {
  JournalDriver,
  type JournalDriverDependencies,
  type JournalDriverOptions,
  type JournalThread,
} from './journal-driver.ts';
import { type RecoveryReport, recoverJournal } from './journal-recovery.ts';
import type { DiskReply, DiskRequest, JournalOptions } from './journal-work.ts';
import type { JournalFiles } from './segment-scan.ts';

export interface DiskJournalOptions extends JournalDriverOptions {
  readonly directory: string;
  readonly journal: JournalOptions;
  /** Something was promised from this directory: without a journal it must not be used (R9). */
  readonly mustExist: boolean;
}

export type OpenedJournal =
  | {
      readonly opened: true;
      readonly journal: JournalDriver;
      readonly groups: readonly RecoveredGroup[];
      readonly report: RecoveryReport;
    }
  | { readonly opened: false; readonly reason: string };

/** Recovers the journal in the directory; resolves when what was recovered is durable. */
export async function openDiskJournal(
  options: DiskJournalOptions,
  deps: Pick<JournalDriverDependencies, 'after' | 'failed'>,
): Promise<OpenedJournal> {
  const arena = new Arena();
  const recovery = recoverJournal(directoryFiles(options.directory), options.journal, bytes => arena.allocate(bytes));
  if (!recovery.recovered) return { opened: false, reason: recovery.reason };
  if (options.mustExist && recovery.report.segments === 0) return { opened: false, reason: 'there is none' };
  const journal = new JournalDriver(options, recovery.journal, {
    ...deps,
    defer: callback => setImmediate(callback),
    thread: (role, replied) => {
      const failed = (error: Error): void => deps.failed(`the journal's ${role} thread failed: ${error.message}`);
      return new DiskThreadHandle(options.directory, role, arena, { replied, failed });
    },
  });
  await new Promise<void>(resolve => journal.whenSettled(resolve));
  return { opened: true, journal, groups: recovery.groups, report: recovery.report };
}

class DiskThreadHandle implements JournalThread {
  readonly #worker: Worker;
  readonly #arena: Arena;

  constructor(
    directory: string,
    role: 'write' | 'read',
    arena: Arena,
    listener: { readonly replied: (reply: DiskReply) => void; readonly failed: (error: Error) => void },
  ) {
    // Workers run compiled code; tests run this file from its source.
    const file = import.meta.url.endsWith('.ts') ? '../../dist/storage/disk-thread.js' : './disk-thread.js';
    this.#worker = new Worker(new URL(file, import.meta.url), {
      workerData: { directory, role },
      name: `journal-${role}`,
    });
    this.#arena = arena;
    this.#worker.on('message', listener.replied);
    this.#worker.on('error', listener.failed);
  }

  post(request: DiskRequest): void {
    this.#worker.postMessage(request.do === 'work' ? this.#shared(request) : request);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** A view of memory that is not shared would be sent with a copy of the whole buffer behind it. */
  #shared(request: Extract<DiskRequest, { do: 'work' }>): DiskRequest {
    const operations = request.operations.map(operation => {
      if (operation.do !== 'write') return operation;
      return { ...operation, buffers: operation.buffers.map(buffer => this.#arena.adopt(buffer)) };
    });
    return { ...request, operations };
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
