import { assert } from '../lib/assert.ts';
import type { LogIndex, Term } from '../lib/ids.ts';
import type { Entry, EntryId } from './messages.ts';
import type { TermRun } from './ready.ts';

interface OpenRun {
  readonly term: Term;
  readonly first: LogIndex;
  last: LogIndex;
}

/** Evicted slots at the front of the cache array before it is moved together. */
const EVICTED_SLOTS_MAX = 1024;

/** What an entry takes on the wire beside its payload, at most: many small ones must not overflow a message either. */
export const ENTRY_HEAD_BYTES = 16;

/**
 * The log as the core sees it: the ids of all entries behind `base`, as runs of equal term, and the entries themselves
 * for a tail of bounded size. Older payloads are in the journal.
 *
 * Invariants: base <= applied <= commit <= last; base <= durable <= written <= last. The tail holds at least every
 * entry that is not yet durable, or that arrived in this life and is not yet applied.
 */
export class RaftLog {
  readonly #cachedBytesMax: number;
  #base: EntryId;
  #runs: OpenRun[] = [];
  /** The tail: `#cached[#head]` has index `#cachedFirst`, the last element has index `last`. */
  #cached: (Entry | undefined)[] = [];
  #head = 0;
  #cachedFirst: LogIndex;
  #cachedBytes = 0;
  #last: LogIndex;
  #commit: LogIndex;
  #applied: LogIndex;
  #written: LogIndex;
  #durable: LogIndex;

  /** `commit` and `applied` as recovered; both are brought into the bounds of what the journal still has. */
  constructor(base: EntryId, runs: readonly TermRun[], commit: LogIndex, applied: LogIndex, cachedBytesMax: number) {
    this.#cachedBytesMax = cachedBytesMax;
    this.#base = base;
    this.#last = base.index;
    for (const run of runs) {
      assert(run.first === this.#last + 1 && run.last >= run.first, () => `gap in the log before ${run.first}`);
      assert(run.term >= this.lastTerm, () => `term ${run.term} at ${run.first} after term ${this.lastTerm}`);
      this.#extend(run.term, run.first, run.last);
    }
    assert(applied >= base.index && applied <= this.#last, () => `applied ${applied} is not in the log`);
    this.#applied = applied;
    this.#commit = Math.min(Math.max(commit, applied), this.#last);
    this.#written = this.#last;
    this.#durable = this.#last;
    this.#cachedFirst = this.#last + 1;
  }

  get base(): EntryId {
    return this.#base;
  }

  get last(): LogIndex {
    return this.#last;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.#base.term;
  }

  get lastId(): EntryId {
    return { term: this.lastTerm, index: this.#last };
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  /** Up to here the entries were handed out in a write. */
  get written(): LogIndex {
    return this.#written;
  }

  /** Up to here this replica's journal holds what the log holds. */
  get durable(): LogIndex {
    return this.#durable;
  }

  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  /** First index whose payload is in memory; `last + 1` if none is. */
  get cachedFirst(): LogIndex {
    return this.#cachedFirst;
  }

  /** Undefined below the base and behind the last entry. */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#last || index < this.#base.index) return undefined;
    if (index === this.#base.index) return this.#base.term;
    return this.#runs[this.#runAt(index)]!.term;
  }

  holds(id: EntryId): boolean {
    return this.termAt(id.index) === id.term;
  }

  /** The voter's test (Raft 5.4.1): a log that ends so is at least as up to date as this one. */
  isUpToDate(last: EntryId): boolean {
    const term = this.lastTerm;
    return last.term > term || (last.term === term && last.index >= this.#last);
  }

  /**
   * The last index at or below `index` whose term is not above `term`: what two logs may have in common when one has
   * `term` at `index` and the other does not (Raft 5.3, last paragraph). Not below the base.
   */
  lastAtOrBelow(index: LogIndex, term: Term): LogIndex {
    let at = Math.min(index, this.#last);
    while (at > this.#base.index) {
      const run = this.#runs[this.#runAt(at)]!;
      if (run.term <= term) return at;
      at = run.first - 1;
    }
    return this.#base.index;
  }

  /** Puts entries behind the last one. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.#last + 1, () => `entry ${entry.index} appended behind ${this.#last}`);
      assert(entry.term >= this.lastTerm, () => `term ${entry.term} appended behind term ${this.lastTerm}`);
      this.#extend(entry.term, entry.index, entry.index);
      this.#cached.push(entry);
      this.#cachedBytes += entry.payload.length;
    }
    this.#evict();
  }

  /** Drops `index` and everything behind it. Committed entries are for ever (Raft figure 3, state machine safety). */
  truncateFrom(index: LogIndex): void {
    assert(index > this.#commit, () => `truncated from ${index}, committed up to ${this.#commit}`);
    if (index > this.#last) return;
    while (this.#runs.length > 0 && this.#runs.at(-1)!.first >= index) this.#runs.pop();
    const run = this.#runs.at(-1);
    if (run !== undefined) run.last = index - 1;
    while (this.#last >= index) {
      if (this.#last >= this.#cachedFirst) this.#cachedBytes -= this.#cached.pop()!.payload.length;
      this.#last -= 1;
    }
    this.#cachedFirst = Math.min(this.#cachedFirst, index);
    this.#written = Math.min(this.#written, this.#last);
    this.#durable = Math.min(this.#durable, this.#last);
  }

  commitTo(index: LogIndex): void {
    assert(index <= this.#last, () => `commit ${index} beyond the last entry ${this.#last}`);
    if (index > this.#commit) this.#commit = index;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied && index <= this.#commit, () => {
      return `applied ${index}, before it ${this.#applied}, committed ${this.#commit}`;
    });
    this.#applied = index;
    this.#evict();
  }

  /** The entries that no write has carried yet; from now on they are written. */
  takeUnwritten(): Entry[] {
    if (this.#written === this.#last) return [];
    const entries = this.#slice(this.#written + 1, this.#last);
    this.#written = this.#last;
    return entries;
  }

  durableTo(index: LogIndex): void {
    assert(index <= this.#written, () => `durable ${index}, written ${this.#written}`);
    if (index <= this.#durable) return;
    this.#durable = index;
    this.#evict();
  }

  /**
   * Entries `first` to `last`, both included, cut so that they stay within `bytesMax`; at least one. Undefined:
   * not all in memory. Empty: there are none.
   */
  entries(first: LogIndex, last: LogIndex, bytesMax: number): Entry[] | undefined {
    assert(last <= this.#last, () => `entries up to ${last} wanted, last is ${this.#last}`);
    if (first > last) return [];
    if (first < this.#cachedFirst) return undefined;
    let bytes = this.#cachedAt(first).payload.length + ENTRY_HEAD_BYTES;
    let end = first;
    while (end < last) {
      bytes += this.#cachedAt(end + 1).payload.length + ENTRY_HEAD_BYTES;
      if (bytes > bytesMax) break;
      end += 1;
    }
    return this.#slice(first, end);
  }

  /** Undefined: not in memory, or not in the log. */
  payloadAt(index: LogIndex): Uint8Array | undefined {
    return index < this.#cachedFirst || index > this.#last ? undefined : this.#cachedAt(index).payload;
  }

  /** Forgets what a durable checkpoint covers. The id of the base stays known. */
  compactTo(base: EntryId): void {
    if (base.index <= this.#base.index) return;
    assert(base.index <= this.#applied, () => `compacted to ${base.index}, applied ${this.#applied}`);
    assert(base.index <= this.#durable, () => `compacted to ${base.index}, durable ${this.#durable}`);
    assert(this.holds(base), () => `compacted to ${base.index} of term ${base.term}, which is not in the log`);
    this.#dropRunsTo(base.index);
    this.#base = base;
    while (this.#cachedFirst <= base.index && this.#cachedFirst <= this.#last) this.#evictFirst();
  }

  /**
   * A snapshot ending in `last` was installed. Entries behind it stay if the log holds it, else all go (Raft figure 13).
   * True: they stayed.
   */
  restore(last: EntryId): boolean {
    assert(last.index > this.#commit, () => `snapshot at ${last.index}, committed up to ${this.#commit}`);
    const held = this.holds(last);
    if (held) {
      this.#dropRunsTo(last.index);
      while (this.#cachedFirst <= last.index && this.#cachedFirst <= this.#last) this.#evictFirst();
    } else {
      this.#runs = [];
      this.#cached = [];
      this.#head = 0;
      this.#cachedBytes = 0;
      this.#last = last.index;
      this.#written = last.index;
      this.#durable = last.index;
    }
    this.#base = last;
    this.#cachedFirst = Math.max(this.#cachedFirst, last.index + 1);
    if (!held) this.#cachedFirst = last.index + 1;
    this.#commit = last.index;
    this.#applied = last.index;
    this.#written = Math.max(this.#written, last.index);
    this.#durable = Math.max(this.#durable, last.index);
    return held;
  }

  #extend(term: Term, first: LogIndex, last: LogIndex): void {
    const run = this.#runs.at(-1);
    if (run !== undefined && run.term === term) run.last = last;
    else this.#runs.push({ term, first, last });
    this.#last = last;
  }

  /** Position of the run that holds `index`, which is behind the base. */
  #runAt(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length - 1;
    if (this.#runs[high]!.first <= index) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#runs[middle]!.last < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #dropRunsTo(index: LogIndex): void {
    const kept: OpenRun[] = [];
    for (const run of this.#runs) {
      if (run.last > index) kept.push({ term: run.term, first: Math.max(run.first, index + 1), last: run.last });
    }
    this.#runs = kept;
  }

  #cachedAt(index: LogIndex): Entry {
    return this.#cached[this.#head + index - this.#cachedFirst]!;
  }

  #slice(first: LogIndex, last: LogIndex): Entry[] {
    assert(first >= this.#cachedFirst, () => `entry ${first} is not in memory`);
    const start = this.#head + first - this.#cachedFirst;
    return this.#cached.slice(start, start + last - first + 1) as Entry[];
  }

  #evict(): void {
    const evictable = Math.min(this.#durable, this.#applied);
    while (this.#cachedBytes > this.#cachedBytesMax && this.#cachedFirst <= evictable) this.#evictFirst();
  }

  #evictFirst(): void {
    this.#cachedBytes -= this.#cached[this.#head]!.payload.length;
    this.#cached[this.#head] = undefined;
    this.#head += 1;
    this.#cachedFirst += 1;
    if (this.#head > EVICTED_SLOTS_MAX && this.#head * 2 > this.#cached.length) {
      this.#cached = this.#cached.slice(this.#head);
      this.#head = 0;
    }
  }
}
