import { assert } from '../../src/lib/assert.ts';
import type { Random } from '../../src/lib/random.ts';
import type { FileOperation, JournalWork, WorkOutcome } from '../../src/storage/journal-work.ts';
import type { JournalFiles } from '../../src/storage/segment-scan.ts';

interface UnsyncedWrite {
  readonly position: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly sizeBefore: number;
}

/** A file's content; directory entries refer to it. */
class Inode {
  bytes = new Uint8Array(1024);
  size = 0;
  unsynced: UnsyncedWrite[] = [];

  write(position: number, after: Uint8Array): void {
    const end = position + after.length;
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, this.size));
      this.bytes = grown;
    }
    const before = this.bytes.slice(position, end);
    this.unsynced.push({ position, before, after: after.slice(), sizeBefore: this.size });
    this.bytes.set(after, position);
    this.size = Math.max(this.size, end);
  }

  /** Any part of what was not synced may be lost: a suffix cut at any byte, or scattered sectors. */
  losePower(random: Random): void {
    const writes = this.unsynced.splice(0);
    for (const { position, before, sizeBefore } of writes.toReversed()) {
      this.bytes.set(before, position);
      this.size = sizeBefore;
    }
    const total = writes.reduce((sum, write) => sum + write.after.length, 0);
    const isSuffixLost = random.next() < 0.5;
    let left = random.integer(0, total);
    for (const { position, after } of writes) {
      const sector = isSuffixLost ? Math.max(1, Math.min(left, after.length)) : random.integer(1, 64);
      for (let at = 0; at < after.length; at += sector) {
        const piece = after.subarray(at, at + sector);
        const survives = isSuffixLost ? left >= piece.length : random.next() < 0.5;
        left -= piece.length;
        if (!survives) continue;
        this.bytes.set(piece, position + at);
        this.size = Math.max(this.size, position + at + piece.length);
      }
    }
  }
}

type Directory = Map<string, Inode>;

type OperationOutcome = { readonly outcome: 'done' | 'full' } | Extract<WorkOutcome, { outcome: 'failed' }>;

/**
 * A directory of the journal with the failures that a disk has: what was written is on disk only after a sync, names
 * only after a sync of the directory; power loss takes any part of the rest. Deterministic for its `Random`.
 */
export class SimulatedFiles implements JournalFiles {
  readonly #random: Random;
  /** Bytes that all files together may take. */
  capacityBytes: number;
  /** The next sync fails, and with it everything after. */
  failNextSync = false;
  #directory: Directory = new Map();
  #durable: Directory = new Map();
  #unsyncedChanges: ((directory: Directory) => void)[] = [];
  #isPoisoned = false;

  constructor(random: Random, capacityBytes = Number.POSITIVE_INFINITY) {
    this.#random = random;
    this.capacityBytes = capacityBytes;
  }

  list(): { name: string; bytes: number }[] {
    return [...this.#directory].map(([name, inode]) => ({ name, bytes: inode.size }));
  }

  read(name: string, position: number, length: number): Uint8Array {
    const inode = this.#inode(name);
    return inode.bytes.slice(position, Math.min(position + length, inode.size));
  }

  get bytesUsed(): number {
    return [...this.#directory.values()].reduce((sum, inode) => sum + inode.size, 0);
  }

  perform(work: JournalWork): WorkOutcome {
    for (const [at, operation] of work.operations.entries()) {
      if (this.#isPoisoned) return { outcome: 'failed', reason: 'an earlier sync failed' };
      const outcome = this.#do(operation);
      if (outcome.outcome === 'full') return { outcome: 'full', at };
      if (outcome.outcome === 'failed') return outcome;
    }
    return { outcome: 'done' };
  }

  /** The process ended somewhere within the work. */
  performPartly(work: JournalWork): void {
    const whole = this.#random.integer(0, work.operations.length);
    for (const operation of work.operations.slice(0, whole)) if (this.#do(operation).outcome !== 'done') return;
    const next = work.operations[whole];
    if (next?.do !== 'write') return;
    const bytes = concatenate(next.buffers);
    this.#inode(next.file).write(next.position, bytes.subarray(0, this.#random.integer(0, bytes.length)));
  }

  /** `process`: what was written stays. `power`: what was not synced may be lost. */
  crash(loss: 'process' | 'power'): void {
    this.#isPoisoned = false;
    if (loss === 'process') return;
    const inodes = new Set([...this.#directory.values(), ...this.#durable.values()]);
    for (const inode of inodes) inode.losePower(this.#random);
    const survivors = this.#random.integer(0, this.#unsyncedChanges.length);
    for (const change of this.#unsyncedChanges.splice(0).slice(0, survivors)) change(this.#durable);
    this.#directory = new Map(this.#durable);
  }

  /** Damages what was written well. */
  flipBit(name: string, position: number, bit: number): void {
    const inode = this.#inode(name);
    inode.bytes[position] = inode.bytes[position]! ^ (1 << bit);
  }

  remove(name: string): void {
    this.#directory.delete(name);
    this.#durable.delete(name);
  }

  #inode(name: string): Inode {
    const inode = this.#directory.get(name);
    assert(inode !== undefined, () => `no file ${name}`);
    return inode;
  }

  #do(operation: FileOperation): OperationOutcome {
    switch (operation.do) {
      case 'write':
        return this.#write(operation.file, operation.position, concatenate(operation.buffers));
      case 'fill':
        return this.#write(operation.file, operation.position, new Uint8Array(operation.bytes));
      case 'sync':
        if (this.failNextSync) {
          this.failNextSync = false;
          this.#isPoisoned = true;
          return { outcome: 'failed', reason: 'sync failed' };
        }
        this.#inode(operation.file).unsynced = [];
        return { outcome: 'done' };
      case 'sync-directory':
        this.#durable = new Map(this.#directory);
        this.#unsyncedChanges = [];
        return { outcome: 'done' };
      default:
        this.#changeDirectory(operation);
        return { outcome: 'done' };
    }
  }

  #changeDirectory(operation: Extract<FileOperation, { do: 'create' | 'rename' | 'delete' }>): void {
    let change: (directory: Directory) => void;
    if (operation.do === 'create') {
      const inode = new Inode();
      change = directory => void directory.set(operation.file, inode);
    } else if (operation.do === 'delete') {
      change = directory => void directory.delete(operation.file);
    } else {
      const inode = this.#directory.get(operation.from);
      assert(inode !== undefined || this.#directory.has(operation.to), () => `no file ${operation.from}`);
      change = directory => {
        if (inode === undefined) return;
        directory.delete(operation.from);
        directory.set(operation.to, inode);
      };
    }
    change(this.#directory);
    this.#unsyncedChanges.push(change);
  }

  #write(name: string, position: number, bytes: Uint8Array): OperationOutcome {
    const inode = this.#inode(name);
    const growth = Math.max(0, position + bytes.length - inode.size);
    if (growth > 0 && this.bytesUsed + growth > this.capacityBytes) return { outcome: 'full' };
    inode.write(position, bytes);
    return { outcome: 'done' };
  }
}

function concatenate(buffers: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(buffers.reduce((sum, buffer) => sum + buffer.length, 0));
  let at = 0;
  for (const buffer of buffers) {
    bytes.set(buffer, at);
    at += buffer.length;
  }
  return bytes;
}
