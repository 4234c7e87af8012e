import type { LogIndex } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import type { BodyPart } from '../../queue/effects.ts';

export interface BodySources {
  /** An entry's payload while it is in memory. */
  readonly inMemory: (entry: LogIndex) => Uint8Array | undefined;
  /** Reads an entry's payload from the journal; undefined if its segment was cleaned (R13). */
  readonly fromJournal: (entry: LogIndex, done: (payload: Uint8Array | undefined) => void) => void;
  /** Reads one message that was moved out of a cleaned segment. */
  readonly fromStragglers: (part: BodyPart, done: (bytes: Uint8Array | undefined) => void) => void;
  /** The body of a message that is alive is nowhere. */
  readonly lost: (part: BodyPart) => void;
}

interface Waiting {
  readonly part: BodyPart;
  readonly done: (isThere: boolean) => void;
}

/** Beyond it what is known of cleaned segments is forgotten, which costs a look into the journal for each entry again. */
const CLEANED_MAX = 16_384;

interface CachedPayload {
  readonly payload: Uint8Array;
  /** What a reader of this piece subtracts from positions: 0 for an entry, the message's position for a straggler. */
  readonly offset: number;
}

/**
 * Finds the bytes that a reference of the machine means: in Raft's memory, in the journal, or among the stragglers. What
 * was read is kept for a moment, because the messages of one entry are mostly delivered one after the other.
 */
export class BodyReader {
  readonly #sources: BodySources;
  readonly #cacheBytesMax: number;
  /** In the order in which they were read, oldest first. Keys: entry, or entry and position for a straggler. */
  readonly #cache = new Map<string | LogIndex, CachedPayload>();
  #cacheBytes = 0;
  readonly #loading = new Map<string | LogIndex, Waiting[]>();
  /** Entries whose segments were cleaned: only single messages of them exist. */
  readonly #cleaned = new Set<LogIndex>();

  constructor(options: { readonly cacheBytesMax: number }, sources: BodySources) {
    this.#cacheBytesMax = options.cacheBytesMax;
    this.#sources = sources;
  }

  /** The bytes, if they are at hand; a view that is valid until the next call. */
  find(entry: LogIndex, position: number, length: number): Uint8Array | undefined {
    const payload = this.#sources.inMemory(entry);
    if (payload !== undefined) return payload.subarray(position, position + length);
    const cached = this.#cache.get(entry) ?? this.#cache.get(stragglerKey(entry, position));
    if (cached === undefined) return undefined;
    const start = position - cached.offset;
    return cached.payload.subarray(start, start + length);
  }

  /**
   * Brings the bytes to hand, then calls `done`, in which `find` succeeds. Calls for one entry share one read. `isThere`
   * false: the body is nowhere any more, which only a message may come to that is not alive.
   */
  load(part: BodyPart, done: (isThere: boolean) => void): void {
    const isCleaned = this.#cleaned.has(part.entry);
    const key = isCleaned ? stragglerKey(part.entry, part.position) : part.entry;
    const waiting = this.#loading.get(key);
    if (waiting !== undefined) {
      waiting.push({ part, done });
      return;
    }
    this.#loading.set(key, [{ part, done }]);
    if (isCleaned) this.#loadStraggler(part, key);
    else this.#loadEntry(part, key);
  }

  /** What `load` did not find belongs to a message that is alive: this replica has lost it (R16). */
  lost(part: BodyPart): void {
    this.#sources.lost(part);
  }

  #loadEntry(part: BodyPart, key: string | LogIndex): void {
    this.#sources.fromJournal(part.entry, payload => {
      if (payload !== undefined) {
        this.#loaded(key, { payload, offset: 0 });
        return;
      }
      if (this.#cleaned.size >= CLEANED_MAX) this.#cleaned.clear();
      reached('leader.body-among-stragglers');
      this.#cleaned.add(part.entry);
      const waiting = this.#loading.get(key)!;
      this.#loading.delete(key);
      for (const { part: wanted, done } of waiting) this.load(wanted, done);
    });
  }

  #loadStraggler(part: BodyPart, key: string | LogIndex): void {
    this.#sources.fromStragglers(part, payload => {
      if (payload !== undefined) {
        this.#loaded(key, { payload, offset: part.position });
        return;
      }
      const waiting = this.#loading.get(key)!;
      this.#loading.delete(key);
      for (const { done } of waiting) done(false);
    });
  }

  #loaded(key: string | LogIndex, cached: CachedPayload): void {
    this.#cache.set(key, cached);
    this.#cacheBytes += cached.payload.buffer.byteLength;
    const waiting = this.#loading.get(key)!;
    this.#loading.delete(key);
    for (const { done } of waiting) done(true);
    for (const [oldKey, old] of this.#cache) {
      if (this.#cacheBytes <= this.#cacheBytesMax) break;
      if (oldKey === key) continue;
      this.#cache.delete(oldKey);
      this.#cacheBytes -= old.payload.buffer.byteLength;
    }
  }
}

const stragglerKey = (entry: LogIndex, position: number): string => `${entry}/${position}`;
