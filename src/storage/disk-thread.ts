import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writevSync,
} from 'node:fs';
import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../lib/assert.ts';
import type { DiskReply, DiskRequest, FileOperation, WorkOutcome } from './journal-work.ts';

const FILES_OPEN_MAX = 64;
const ZEROS = new Uint8Array(1024 * 1024);
/** writev takes at most IOV_MAX buffers. */
const BUFFERS_MAX = 1024;

class DiskThread {
  readonly #directory: string;
  readonly #port: MessagePort;
  readonly #open = new Map<string, number>();

  constructor(directory: string, port: MessagePort) {
    this.#directory = directory;
    this.#port = port;
  }

  serve(): void {
    this.#port.on('message', (request: DiskRequest) => {
      if (request.do === 'work') this.#work(request.number, request.operations);
      else if (request.do === 'read') this.#read(request);
      else for (const file of request.files) this.#close(file);
    });
  }

  #work(number: number, operations: readonly FileOperation[]): void {
    let outcome: WorkOutcome = { outcome: 'done' };
    let at = 0;
    try {
      for (; at < operations.length; at++) this.#perform(operations[at]!);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      outcome =
        code === 'ENOSPC' || code === 'EDQUOT' ? { outcome: 'full', at } : { outcome: 'failed', reason: String(error) };
    }
    this.#port.postMessage({ did: 'work', number, ...outcome } satisfies DiskReply);
  }

  #perform(operation: FileOperation): void {
    switch (operation.do) {
      case 'write':
        this.#write(this.#fd(operation.file), operation.buffers, operation.position);
        return;
      case 'fill':
        for (let at = 0; at < operation.bytes; at += ZEROS.length) {
          const zeros = ZEROS.subarray(0, Math.min(ZEROS.length, operation.bytes - at));
          this.#write(this.#fd(operation.file), [zeros], operation.position + at);
        }
        return;
      case 'sync':
        fdatasyncSync(this.#fd(operation.file));
        return;
      case 'create':
        ftruncateSync(this.#fd(operation.file), 0);
        return;
      case 'rename':
        this.#rename(operation.from, operation.to);
        return;
      case 'delete':
        this.#close(operation.file);
        rmSync(join(this.#directory, operation.file), { force: true });
        return;
      case 'sync-directory': {
        const fd = openSync(this.#directory, constants.O_RDONLY);
        try {
          fsyncSync(fd);
        } finally {
          closeSync(fd);
        }
        return;
      }
    }
  }

  #write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    let at = position;
    for (let first = 0; first < buffers.length; first += BUFFERS_MAX) {
      let left = buffers.slice(first, first + BUFFERS_MAX);
      while (left.length > 0) {
        let written = writevSync(fd, left, at);
        at += written;
        let whole = 0;
        while (whole < left.length && written >= left[whole]!.length) written -= left[whole++]!.length;
        left = left.slice(whole);
        if (left.length > 0 && written > 0) left[0] = left[0]!.subarray(written);
      }
    }
  }

  #rename(from: string, to: string): void {
    this.#close(from);
    this.#close(to);
    try {
      renameSync(join(this.#directory, from), join(this.#directory, to));
    } catch (error) {
      // Done before, in a work that found no room later on and is done again.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !this.#exists(to)) throw error;
    }
  }

  #exists(file: string): boolean {
    try {
      closeSync(openSync(join(this.#directory, file), constants.O_RDONLY));
      return true;
    } catch {
      return false;
    }
  }

  #read({ number, pieces }: Extract<DiskRequest, { do: 'read' }>): void {
    const found = pieces.map(({ file, position, length }) => {
      try {
        const bytes = new Uint8Array(length);
        let done = 0;
        while (done < length) {
          const read = readSync(this.#fd(file), bytes, done, length - done, position + done);
          if (read === 0) return undefined;
          done += read;
        }
        return bytes;
      } catch {
        // Its segment was recycled meanwhile: the caller looks again.
        return undefined;
      }
    });
    const transfer = found.flatMap(bytes => (bytes === undefined ? [] : [bytes.buffer]));
    this.#port.postMessage({ did: 'read', number, pieces: found } satisfies DiskReply, transfer);
  }

  #fd(file: string): number {
    const known = this.#open.get(file);
    if (known !== undefined) return known;
    for (const oldest of this.#open.keys()) {
      if (this.#open.size < FILES_OPEN_MAX) break;
      this.#close(oldest);
    }
    const flags = workerData.role === 'read' ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT;
    const fd = openSync(join(this.#directory, file), flags, 0o600);
    this.#open.set(file, fd);
    return fd;
  }

  #close(file: string): void {
    const fd = this.#open.get(file);
    if (fd === undefined) return;
    this.#open.delete(file);
    closeSync(fd);
  }
}

assert(parentPort !== null, 'the disk thread is a worker');
new DiskThread(workerData.directory, parentPort).serve();
