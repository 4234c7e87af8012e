import { assert } from '../../src/lib/assert.ts';
import type { Random } from '../../src/lib/random.ts';
import type { FileOperation } from '../../src/storage/journal-work.ts';
import type { JournalFiles } from '../../src/storage/segment-scan.ts';

const SECTOR_BYTES = 512;

interface PendingWrite {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Contents as the system shows them, as the platter has them, and what lies between. */
class SimFile {
  current = new Uint8Array(0);
  durable = new Uint8Array(0);
  pending: PendingWrite[] = [];
  /** Bits that read as their opposite, until they are written again. What was synced stays known to the checkers. */
  readonly flips = new Map<number, number>();

  read(position: number, length: number): Uint8Array {
    const bytes = this.current.slice(position, position + length);
    for (const [at, bit] of this.flips) {
      if (at >= position && at < position + bytes.length) bytes[at - position]! ^= bit;
    }
    return bytes;
  }

  write(position: number, bytes: Uint8Array): void {
    for (const at of this.flips.keys()) if (at >= position && at < position + bytes.length) this.flips.delete(at);
    this.current = withBytes(this.current, position, bytes);
    this.pending.push({ position, bytes });
  }

  /** False: there was nothing to do. */
  sync(): boolean {
    if (this.pending.length === 0) return false;
    for (const { position, bytes } of this.pending) this.durable = withBytes(this.durable, position, bytes);
    this.pending = [];
    return true;
  }

  /** Of each write that was not synced a prefix, all, nothing, or any of its sectors is kept. */
  losePower(random: Random): void {
    for (const { position, bytes } of this.pending) {
      const fate = random.integer(0, 3);
      if (fate === 0) continue;
      if (fate === 1) this.durable = withBytes(this.durable, position, bytes);
      else if (fate === 2)
        this.durable = withBytes(this.durable, position, bytes.subarray(0, random.integer(0, bytes.length)));
      else this.#keepSomeSectors(position, bytes, random);
    }
    this.pending = [];
    this.current = this.durable.slice();
  }

  #keepSomeSectors(position: number, bytes: Uint8Array, random: Random): void {
    let start = 0;
    while (start < bytes.length) {
      const end = Math.min(bytes.length, start + SECTOR_BYTES - ((position + start) % SECTOR_BYTES));
      if (random.next() < 0.5) this.durable = withBytes(this.durable, position + start, bytes.subarray(start, end));
      start = end;
    }
  }
}

/**
 * A directory at the level of bytes: what was not synced is visible until the power fails. Changes of the directory survive as a
 * prefix of their order, as in file systems with a journal.
 */
export class SimFiles implements JournalFiles {
  #files = new Map<string, SimFile>();
  #durableFiles = new Map<string, SimFile>();
  /** The directory after each change that was not synced. */
  #pending: Map<string, SimFile>[] = [];
  #version = 0;

  /** Changes with every change of what is durable. */
  get durableVersion(): number {
    return this.#version;
  }

  perform(operation: FileOperation): void {
    if (isDone(operation, this.#files)) return;
    switch (operation.do) {
      case 'write': {
        let { position } = operation;
        for (const buffer of operation.buffers) {
          this.#file(operation.file).write(position, buffer.slice());
          position += buffer.length;
        }
        return;
      }
      case 'fill':
        this.#file(operation.file).write(operation.position, new Uint8Array(operation.bytes));
        return;
      case 'sync':
        if (this.#file(operation.file).sync()) this.#version++;
        return;
      case 'create':
        this.#changeDirectory(files => files.set(operation.file, new SimFile()));
        return;
      case 'rename': {
        const file = this.#file(operation.from);
        this.#changeDirectory(files => {
          files.delete(operation.from);
          files.set(operation.to, file);
        });
        return;
      }
      case 'delete':
        this.#changeDirectory(files => files.delete(operation.file));
        return;
      case 'sync-directory':
        if (this.#pending.length === 0) return;
        this.#durableFiles = this.#files;
        this.#pending = [];
        this.#version++;
    }
  }

  /** Whether an operation takes more room on the disk than there was. */
  grows(operation: FileOperation): boolean {
    if (operation.do === 'create') return true;
    if (operation.do === 'fill') return true;
    if (operation.do !== 'write') return false;
    const bytes = operation.buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    return operation.position + bytes > this.#file(operation.file).current.length;
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  flip(name: string, position: number, bit: number): void {
    this.#file(name).flips.set(position, bit);
  }

  /** Returns whether anything was not synced. */
  losePower(random: Random): boolean {
    const pendingFiles = [...this.#files.values()].some(file => file.pending.length > 0);
    const hadPending = pendingFiles || this.#pending.length > 0;
    const kept = random.integer(0, this.#pending.length);
    if (kept > 0) this.#durableFiles = this.#pending[kept - 1]!;
    this.#pending = [];
    this.#files = this.#durableFiles;
    for (const file of this.#files.values()) file.losePower(random);
    this.#version++;
    return hadPending;
  }

  list(): readonly { readonly name: string; readonly bytes: number }[] {
    return [...this.#files].map(([name, file]) => ({ name, bytes: file.current.length }));
  }

  read(name: string, position: number, length: number): Uint8Array {
    return this.#file(name).read(position, length);
  }

  /** What is left if the power fails now and nothing unsynced survives. */
  durable(): JournalFiles {
    const files = this.#durableFiles;
    return {
      list: () => [...files].map(([name, file]) => ({ name, bytes: file.durable.length })),
      read: (name, position, length) => files.get(name)!.durable.subarray(position, position + length),
    };
  }

  #file(name: string): SimFile {
    const file = this.#files.get(name);
    assert(file !== undefined, () => `no file ${name}`);
    return file;
  }

  #changeDirectory(change: (files: Map<string, SimFile>) => void): void {
    const changed = new Map(this.#files);
    change(changed);
    this.#files = changed;
    this.#pending.push(changed);
  }
}

/** `bytes` at `position`; memory grows in steps, so that appends do not copy the file each time. */
function withBytes(into: Uint8Array<ArrayBuffer>, position: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const end = position + bytes.length;
  let target = into;
  if (end > into.length) {
    target = new Uint8Array(end <= into.buffer.byteLength ? into.buffer : new ArrayBuffer(2 * end), 0, end);
    if (target.buffer !== into.buffer) target.set(into);
  }
  target.set(bytes, position);
  return target;
}

/** A work that found no room is done again from its start. */
const isDone = (operation: FileOperation, files: ReadonlyMap<string, SimFile>): boolean =>
  operation.do === 'rename' && !files.has(operation.from) && files.has(operation.to);
