import type { GroupId, LogIndex, Term } from '../lib/ids.ts';
import { RECORD_ALIGNMENT } from './record-codec.ts';

/** Records of one group in one segment, and what of it is still wanted. */
export interface SegmentUsage {
  readonly group: GroupId;
  readonly chunks: Chunk[];
  /** Bytes of the messages that are alive in these entries; each message counts at least one. */
  liveBytes: number;
  /** The latest entry that took one of them away. */
  releasedAt: LogIndex;
}

/** Records with indexes `from` to `to` that were replaced or given up after their segment was sealed. */
export interface VoidRange {
  readonly group: GroupId;
  /** 0 for entries of the log, else that of the bodies. */
  readonly generation: number;
  readonly from: LogIndex;
  readonly to: LogIndex;
}

/** One file of the journal. */
export class Segment {
  readonly number: number;
  /** Bytes of records, the index included. */
  end = 0;
  /** Where the index record starts; 0: there is none, the segment has to be scanned. */
  indexPosition = 0;
  /** What of `end` is known to be on disk. */
  durableEnd = 0;
  isSealed = false;
  pins = 0;
  /** Its living messages have been copied elsewhere. */
  isCleaned = false;
  readonly usages = new Map<GroupId, SegmentUsage>();
  readonly voids: VoidRange[] = [];

  constructor(number: number) {
    this.number = number;
  }

  usageOf(group: GroupId): SegmentUsage {
    let usage = this.usages.get(group);
    if (usage === undefined) {
      usage = { group, chunks: [], liveBytes: 0, releasedAt: 0 };
      this.usages.set(group, usage);
    }
    return usage;
  }

  get liveBytes(): number {
    let bytes = 0;
    for (const usage of this.usages.values()) bytes += usage.liveBytes;
    return bytes;
  }
}

const INITIAL_SLOTS = 8;
/** Stands in `lengths` for a record that is void. */
const VOID = 0xffff_ffff;

/**
 * Where a run of records with ascending indexes, of one group, one term and one segment, lies: eight bytes per entry,
 * twelve where the indexes have gaps.
 */
export class Chunk {
  readonly segment: Segment;
  readonly usage: SegmentUsage;
  readonly term: Term;
  /** 0 for entries of the log; the generation of a snapshot transfer for bodies. */
  readonly generation: number;
  readonly first: LogIndex;
  last: LogIndex;
  #count = 0;
  /** Divided by the alignment of records. */
  #positions = new Uint32Array(INITIAL_SLOTS);
  #lengths = new Uint32Array(INITIAL_SLOTS);
  /** index - first per slot; undefined while the indexes have no gap. */
  #offsets: Uint32Array | undefined;

  constructor(segment: Segment, usage: SegmentUsage, generation: number, term: Term, first: LogIndex) {
    this.segment = segment;
    this.usage = usage;
    this.generation = generation;
    this.term = term;
    this.first = first;
    this.last = first - 1;
  }

  get count(): number {
    return this.#count;
  }

  push(index: LogIndex, position: number, length: number): void {
    const slot = this.#count;
    if (slot === this.#positions.length) this.#resize(slot * 2);
    if (this.#offsets === undefined && index !== this.first + slot) {
      this.#offsets = new Uint32Array(this.#positions.length);
      for (let i = 0; i < slot; i++) this.#offsets[i] = i;
    }
    if (this.#offsets !== undefined) this.#offsets[slot] = index - this.first;
    this.#positions[slot] = position / RECORD_ALIGNMENT;
    this.#lengths[slot] = length;
    this.#count = slot + 1;
    this.last = index;
  }

  /** The slot of `index`, or -1. */
  slotOf(index: LogIndex): number {
    if (index < this.first || index > this.last) return -1;
    let slot = index - this.first;
    if (this.#offsets !== undefined) {
      slot = this.#lowerBound(index);
      if (slot === this.#count || this.#offsets[slot] !== index - this.first) return -1;
    }
    return this.#lengths[slot] === VOID ? -1 : slot;
  }

  indexAt(slot: number): LogIndex {
    return this.first + (this.#offsets === undefined ? slot : this.#offsets[slot]!);
  }

  positionAt(slot: number): number {
    return this.#positions[slot]! * RECORD_ALIGNMENT;
  }

  /** Bytes of the payload. */
  lengthAt(slot: number): number {
    return this.#lengths[slot]!;
  }

  isVoidAt(slot: number): boolean {
    return this.#lengths[slot] === VOID;
  }

  /** Forgets everything from `from` on. */
  truncate(from: LogIndex): void {
    if (from > this.last) return;
    this.#count = from <= this.first ? 0 : this.#offsets === undefined ? from - this.first : this.#lowerBound(from);
    this.last = this.#count === 0 ? this.first - 1 : this.indexAt(this.#count - 1);
  }

  /** Marks the record of `index` void. */
  discard(index: LogIndex): void {
    const slot = this.slotOf(index);
    if (slot >= 0) this.#lengths[slot] = VOID;
  }

  /** Gives back the memory held for growth. */
  trim(): void {
    if (this.#count < this.#positions.length) this.#resize(this.#count);
  }

  /** The first slot whose index is at least `index`. */
  #lowerBound(index: LogIndex): number {
    const offset = index - this.first;
    if (offset <= 0) return 0;
    if (this.#offsets === undefined) return Math.min(offset, this.#count);
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsets[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #resize(slots: number): void {
    const grow = (from: Uint32Array): Uint32Array => {
      const to = new Uint32Array(Math.max(slots, 1));
      to.set(from.subarray(0, Math.min(this.#count, slots)));
      return to;
    };
    this.#positions = grow(this.#positions) as Uint32Array<ArrayBuffer>;
    this.#lengths = grow(this.#lengths) as Uint32Array<ArrayBuffer>;
    if (this.#offsets !== undefined) this.#offsets = grow(this.#offsets);
  }
}
