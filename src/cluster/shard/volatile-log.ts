import { assert } from '../../lib/assert.ts';
import type { LogIndex } from '../../lib/ids.ts';
import type { BodyAccount } from '../../queue/effects.ts';

/** Where bodies beyond the memory bound go: files that are never synced and end with the process (R4). */
export interface SpillFile {
  /** Appends and returns the position. */
  write(bytes: Uint8Array): number;
  read(position: number, length: number): Uint8Array;
  /** Everything written so far is dead. */
  reset(): void;
  /** The file goes. */
  close(): void;
}

interface VolatileEntry {
  payload: Uint8Array | undefined;
  position: number;
  readonly length: number;
  live: number;
}

/**
 * The log of a volatile home: the same entries as a replicated log, in the memory of one node. An entry goes when its last
 * living message goes. Above the memory bound the oldest payloads move to a file.
 */
export class VolatileLog {
  readonly #memoryBytesMax: number;
  readonly #spill: SpillFile;
  readonly #entries = new Map<LogIndex, VolatileEntry>();
  #last: LogIndex = 0;
  #memoryBytes = 0;
  #spilled = 0;
  /** Entries below were looked at for spilling. */
  #spillFrom: LogIndex = 1;

  constructor(options: { readonly memoryBytesMax: number }, spill: SpillFile) {
    this.#memoryBytesMax = options.memoryBytesMax;
    this.#spill = spill;
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** The index of the new entry. It stays until `settle` says that nothing in it lives. */
  append(payload: Uint8Array): LogIndex {
    const index = ++this.#last;
    this.#entries.set(index, { payload, position: 0, length: payload.length, live: 0 });
    this.#memoryBytes += payload.length;
    return index;
  }

  /** What an applied entry did to the living: called once per entry, after it was applied. */
  account(index: LogIndex, added: BodyAccount, released: BodyAccount): void {
    for (let i = 0; i < added.entries.length; i++) this.#addLive(added.entries[i]!, added.bytes[i]!);
    for (let i = 0; i < released.entries.length; i++) this.#addLive(released.entries[i]!, -released.bytes[i]!);
    const own = this.#entries.get(index);
    if (own?.live === 0) this.#remove(index, own);
    if (this.#memoryBytes > this.#memoryBytesMax) this.#spillOldest();
  }

  /** Nothing is read or written any more. */
  close(): void {
    this.#entries.clear();
    this.#spill.close();
  }

  payload(index: LogIndex): Uint8Array | undefined {
    const entry = this.#entries.get(index);
    if (entry === undefined) return undefined;
    return entry.payload ?? this.#spill.read(entry.position, entry.length);
  }

  #addLive(index: LogIndex, bytes: number): void {
    const entry = this.#entries.get(index);
    assert(entry !== undefined, () => `volatile entry ${index} is gone while messages in it live`);
    entry.live += bytes;
    assert(entry.live >= 0, () => `volatile entry ${index} has ${entry.live} living bytes`);
    if (entry.live === 0 && bytes < 0) this.#remove(index, entry);
  }

  #remove(index: LogIndex, entry: VolatileEntry): void {
    this.#entries.delete(index);
    if (entry.payload !== undefined) this.#memoryBytes -= entry.length;
    else if (--this.#spilled === 0) this.#spill.reset();
  }

  /** As many as one entry too many asks for: a turn writes about as much as came in (R10). */
  #spillOldest(): void {
    for (; this.#memoryBytes > this.#memoryBytesMax && this.#spillFrom <= this.#last; this.#spillFrom++) {
      const entry = this.#entries.get(this.#spillFrom);
      if (entry?.payload === undefined) continue;
      entry.position = this.#spill.write(entry.payload);
      entry.payload = undefined;
      this.#memoryBytes -= entry.length;
      this.#spilled++;
    }
  }
}
