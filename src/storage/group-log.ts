import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex, Term } from '../lib/ids.ts';
import type { LogBase } from '../raft/log-store.ts';
import { NO_MEMBERS } from '../raft/membership.ts';
import type { EntryId, HardState } from '../raft/messages.ts';
import type { TermRun } from '../raft/ready.ts';
import { Chunk, type Segment, type VoidRange } from './segment.ts';

/** Where the payload of an entry lies. */
export interface Location {
  readonly group: GroupId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly segment: number;
  readonly position: number;
  /** Bytes of the payload. */
  readonly length: number;
}

export const EMPTY_BASE: LogBase = { last: { term: 0, index: 0 }, membership: NO_MEMBERS, generation: 0 };

/** Everything the journal knows of one group. The same object is fed by appends and by recovery. */
export class GroupLog {
  readonly group: GroupId;
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  base: LogBase = EMPTY_BASE;
  lastIndex: LogIndex = 0;
  lastTerm: Term = 0;
  /** Records that had been acknowledged are gone (R16). */
  damaged = false;
  /** A durable checkpoint holds the state after this entry, or a later one. */
  checkpointedTo: LogIndex = 0;
  /** Whether the living messages at or below the base are all known to the accounting. */
  accounted = true;
  /** Configuration entries behind the base, ascending. */
  configurations: LogIndex[] = [];
  /** Ascending, without overlap. */
  readonly #entries: Chunk[] = [];
  #lastGeneration = 0;
  /** Newest generation last; within one ascending and without overlap. */
  readonly #bodies: { readonly generation: number; readonly chunks: Chunk[] }[] = [];

  constructor(group: GroupId) {
    this.group = group;
  }

  /** The highest generation that a base or a body had, also of transfers that were given up: the next one must be above it. */
  get lastGeneration(): number {
    return Math.max(this.#lastGeneration, this.base.generation);
  }

  /** Adds an entry; if the log has that index already, everything from it on is replaced. */
  addEntry(segment: Segment, index: LogIndex, term: Term, isConfiguration: boolean, at: number, length: number): void {
    if (index <= this.lastIndex) this.truncate(index);
    addTo(this.#entries, segment, this.group, 0, index, term, at, length);
    if (isConfiguration && index > this.base.last.index) this.configurations.push(index);
    this.lastIndex = index;
    this.lastTerm = term;
  }

  /** Adds a body of a snapshot transfer. An index that does not ascend begins the transfer anew. */
  addBody(segment: Segment, generation: number, index: LogIndex, term: Term, at: number, length: number): void {
    this.#lastGeneration = Math.max(this.#lastGeneration, generation);
    let bodies = this.#bodies.find(one => one.generation === generation);
    if (bodies === undefined) {
      bodies = { generation, chunks: [] };
      this.#bodies.push(bodies);
      this.#bodies.sort((a, b) => a.generation - b.generation);
    }
    const last = bodies.chunks.at(-1);
    if (last !== undefined && index <= last.last) this.abandonBodies(generation);
    addTo(bodies.chunks, segment, this.group, generation, index, term, at, length);
  }

  /** Forgets the bodies of a generation that will not be installed. */
  abandonBodies(generation: number): void {
    const bodies = this.#bodies.find(one => one.generation === generation);
    if (bodies === undefined) return;
    for (const chunk of bodies.chunks.splice(0)) detach(chunk, chunk.first);
  }

  /** Removes everything from `from` on. */
  truncate(from: LogIndex): void {
    assert(
      from > this.base.last.index,
      () => `group ${this.group}: truncation at ${from}, base ${this.base.last.index}`,
    );
    while (this.#entries.length > 0 && this.#entries.at(-1)!.last >= from) {
      const chunk = this.#entries.at(-1)!;
      detach(chunk, from);
      if (chunk.count > 0) break;
      this.#entries.pop();
    }
    while (this.configurations.length > 0 && this.configurations.at(-1)! >= from) this.configurations.pop();
    this.lastIndex = Math.min(this.lastIndex, from - 1);
    this.lastTerm = this.termAt(this.lastIndex) ?? this.base.last.term;
  }

  /** Whether an installed snapshot is of another history than this log: then no entry behind it may stay (Raft, figure 13). */
  isReplacedBy(base: LogBase): boolean {
    return base.generation !== this.base.generation && this.termAt(base.last.index) !== base.last.term;
  }

  /**
   * Moves the base. `replacesLog` is the answer of `isReplacedBy`, which recovery cannot find out again. A new
   * generation makes its bodies part of the log and voids what they replace (R17). Entries of another history may stay
   * below the base: no message of theirs is alive. What is alive is then to be told anew. A base before the present one
   * begins the log anew: nothing that is behind it is part of it. Bodies of attempts that were given up are none.
   * Returns where bodies stand in the place of older records: a recovery may not find those bodies any more.
   */
  setBase(base: LogBase, replacesLog: boolean): ReadonlyMap<Segment, VoidRange[]> {
    const replaced = new Map<Segment, VoidRange[]>();
    const { last } = base;
    const formerGeneration = this.base.generation;
    const installs = base.generation !== formerGeneration;
    if (last.index < this.base.last.index) this.#forgetBehind(last.index);
    if (replacesLog && this.lastIndex > last.index) this.truncate(last.index + 1);
    this.base = base;
    this.checkpointedTo = Math.max(this.checkpointedTo, last.index);
    if (this.lastIndex <= last.index) {
      this.lastIndex = last.index;
      this.lastTerm = last.term;
    }
    this.configurations = this.configurations.filter(index => index > last.index);
    if (!installs) return replaced;
    this.accounted = false;
    for (const bodies of this.#bodies) {
      if (bodies.generation > base.generation) continue;
      if (bodies.generation > formerGeneration && bodies.generation < base.generation)
        this.abandonBodies(bodies.generation);
      const lists = this.#bodies.filter(one => one.generation < bodies.generation).map(one => one.chunks);
      const older = [...lists, this.#entries];
      for (const chunk of bodies.chunks) {
        for (let slot = 0; slot < chunk.count; slot++) {
          if (!chunk.isVoidAt(slot)) this.#replace(older, chunk.indexAt(slot), replaced);
        }
      }
    }
    return replaced;
  }

  /** Makes records of one segment void, as a journal says that they are. */
  discard(segment: number, { generation, from, to }: VoidRange): void {
    const chunks = generation === 0 ? this.#entries : this.#bodies.find(one => one.generation === generation)?.chunks;
    for (let index = from; chunks !== undefined && index <= to; index++) {
      const chunk = chunkWith(chunks, index);
      if (chunk?.segment.number === segment) discard(chunk, index);
    }
  }

  /** Sets base and last entry as a statement on disk has them. Whether the entries up to it are there is for the caller to see. */
  establish(base: LogBase, last: EntryId): void {
    this.base = base;
    this.checkpointedTo = base.last.index;
    this.configurations = this.configurations.filter(index => index > base.last.index);
    if (this.lastIndex > last.index) this.truncate(last.index + 1);
    if (last.index > base.last.index && this.termAt(last.index) !== last.term) this.truncate(last.index);
    this.lastIndex = last.index;
    this.lastTerm = last.term;
  }

  /** Forgets the bodies of transfers that were not installed. */
  abandonPendingBodies(): void {
    for (const { generation } of [...this.#bodies]) {
      if (generation > this.base.generation) this.abandonBodies(generation);
    }
  }

  /** The term of an entry, if it is the base's last or lies in the journal. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.base.last.index) return this.base.last.term;
    return this.#entryChunk(index)?.term;
  }

  /** The chunk with the valid record for `index`. */
  chunkOf(index: LogIndex): Chunk | undefined {
    for (let i = this.#bodies.length - 1; i >= 0; i--) {
      const { generation, chunks } = this.#bodies[i]!;
      if (generation > this.base.generation) continue;
      const chunk = chunkWith(chunks, index);
      if (chunk !== undefined) return chunk;
    }
    return this.#entryChunk(index);
  }

  locate(index: LogIndex): Location | undefined {
    const chunk = this.chunkOf(index);
    if (chunk === undefined) return undefined;
    const slot = chunk.slotOf(index);
    return {
      group: this.group,
      index,
      term: chunk.term,
      segment: chunk.segment.number,
      position: chunk.positionAt(slot),
      length: chunk.lengthAt(slot),
    };
  }

  /** Terms of all entries behind the base, and where the first gap is. Void records only exist at or below the base. */
  termRuns(): { readonly runs: TermRun[]; readonly missingFrom: LogIndex | undefined } {
    const runs: { term: Term; first: LogIndex; last: LogIndex }[] = [];
    let next = this.base.last.index + 1;
    for (const chunk of this.#entries) {
      if (chunk.last < next) continue;
      if (chunk.first > next) break;
      const previous = runs.at(-1);
      if (previous !== undefined && previous.term === chunk.term) previous.last = chunk.last;
      else runs.push({ term: chunk.term, first: next, last: chunk.last });
      next = chunk.last + 1;
    }
    return { runs, missingFrom: next <= this.lastIndex ? next : undefined };
  }

  /** Records at or below `through`, ascending; bodies of installed snapshots among them. */
  recordsThrough(through: LogIndex): TermRun[] {
    const runs: { term: Term; first: LogIndex; last: LogIndex }[] = [];
    for (const chunk of this.chunks()) {
      if (chunk.generation > this.base.generation) continue;
      let previous: (typeof runs)[number] | undefined;
      for (let slot = 0; slot < chunk.count; slot++) {
        const index = chunk.indexAt(slot);
        if (index > through) break;
        if (chunk.isVoidAt(slot) || chunk.lengthAt(slot) === 0) continue;
        if (previous?.last === index - 1) {
          previous.last = index;
          continue;
        }
        previous = { term: chunk.term, first: index, last: index };
        runs.push(previous);
      }
    }
    return runs.sort((a, b) => a.first - b.first);
  }

  /** Whether a record of this chunk is still needed apart from messages alive at or below the base. */
  needs(chunk: Chunk): boolean {
    if (chunk.count === 0) return false;
    return chunk.generation === 0 ? chunk.last > this.base.last.index : chunk.generation > this.base.generation;
  }

  /** Forgets what lies in a segment that goes. */
  removeSegment(segment: Segment): void {
    remove(this.#entries, segment);
    for (const bodies of this.#bodies) remove(bodies.chunks, segment);
    for (let i = this.#bodies.length - 1; i >= 0; i--) {
      if (this.#bodies[i]!.chunks.length === 0) this.#bodies.splice(i, 1);
    }
  }

  /** Forgets everything: the group is gone from this node. */
  drop(): void {
    const chunks = [...this.#entries, ...this.#bodies.flatMap(bodies => bodies.chunks)];
    for (const chunk of chunks) {
      detach(chunk, chunk.first);
      chunk.segment.usages.delete(this.group);
    }
  }

  /** Chunks of entries and bodies, each ascending. */
  *chunks(): Generator<Chunk> {
    yield* this.#entries;
    for (const bodies of this.#bodies) yield* bodies.chunks;
  }

  /** Bodies of a transfer that is under way are of another log. */
  #forgetBehind(index: LogIndex): void {
    const installed = this.#bodies.filter(({ generation }) => generation <= this.base.generation);
    for (const chunks of [this.#entries, ...installed.map(({ chunks }) => chunks)]) {
      while (chunks.length > 0 && chunks.at(-1)!.last > index) {
        const chunk = chunks.at(-1)!;
        detach(chunk, index + 1);
        if (chunk.count > 0) break;
        chunks.pop();
      }
    }
    this.configurations = [];
    this.checkpointedTo = 0;
    this.lastIndex = 0;
    this.lastTerm = 0;
  }

  #entryChunk(index: LogIndex): Chunk | undefined {
    return chunkWith(this.#entries, index);
  }

  /** Voids the records of an index in these older lists: a body carries it now. */
  #replace(older: readonly (readonly Chunk[])[], index: LogIndex, replaced: Map<Segment, VoidRange[]>): void {
    for (const chunks of older) {
      const chunk = chunkWith(chunks, index);
      if (chunk === undefined) continue;
      discard(chunk, index);
      const ranges = replaced.get(chunk.segment) ?? [];
      replaced.set(chunk.segment, ranges);
      addRange(ranges, { group: this.group, generation: chunk.generation, from: index, to: index });
    }
  }
}

function addTo(
  chunks: Chunk[],
  segment: Segment,
  group: GroupId,
  generation: number,
  index: LogIndex,
  term: Term,
  at: number,
  length: number,
): void {
  let chunk = chunks.at(-1);
  const follows = chunk !== undefined && (generation !== 0 || index === chunk.last + 1);
  if (chunk === undefined || !follows || chunk.segment !== segment || chunk.term !== term) {
    const usage = segment.usageOf(group);
    chunk = new Chunk(segment, usage, generation, term, index);
    usage.chunks.push(chunk);
    chunks.push(chunk);
  }
  chunk.push(index, at, length);
}

/** The chunk that has a valid record of `index`, in an ascending list. Most questions are about the newest entries. */
function chunkWith(chunks: readonly Chunk[], index: LogIndex): Chunk | undefined {
  let low = 0;
  let high = chunks.length - 1;
  if (high < 0) return undefined;
  if (chunks[high]!.first > index) {
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (chunks[middle]!.first <= index) low = middle;
      else high = middle - 1;
    }
    high = low;
  }
  const chunk = chunks[high]!;
  return chunk.slotOf(index) >= 0 ? chunk : undefined;
}

/** Cuts a chunk, and notes it where the segment is sealed and its index still lists the records. */
function detach(chunk: Chunk, from: LogIndex): void {
  const { last } = chunk;
  chunk.truncate(from);
  if (chunk.count === 0) chunk.usage.chunks.splice(chunk.usage.chunks.indexOf(chunk), 1);
  noteVoid(chunk, Math.max(from, chunk.first), last);
}

function discard(chunk: Chunk, index: LogIndex): void {
  chunk.discard(index);
  noteVoid(chunk, index, index);
}

function noteVoid(chunk: Chunk, from: LogIndex, to: LogIndex): void {
  const { segment, generation, usage } = chunk;
  if (segment.isSealed && from <= to) addRange(segment.voids, { group: usage.group, generation, from, to });
}

/** Makes the last range longer if this one follows it. */
function addRange(ranges: VoidRange[], { group, generation, from, to }: VoidRange): void {
  const previous = ranges.at(-1);
  const extendsIt = previous?.group === group && previous.generation === generation && previous.to + 1 === from;
  if (extendsIt) ranges.pop();
  ranges.push({ group, generation, from: extendsIt ? previous.from : from, to });
}

function remove(chunks: Chunk[], segment: Segment): void {
  let kept = 0;
  for (const chunk of chunks) if (chunk.segment !== segment) chunks[kept++] = chunk;
  chunks.length = kept;
}
