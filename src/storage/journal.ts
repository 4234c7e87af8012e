import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { GroupWrite, LogBase } from '../raft/log-store.ts';
import { encodeMembership } from '../raft/membership.ts';
import { type Entry, EntryKind } from '../raft/messages.ts';
import type { TermRun } from '../raft/ready.ts';
import { type Allocate, BatchWriter } from './batch-writer.ts';
import { GroupLog, type Location } from './group-log.ts';
import { JournalSpace } from './journal-space.ts';
import {
  durableOperations,
  type FileOperation,
  type JournalOptions,
  type JournalWork,
  segmentFile,
} from './journal-work.ts';
import { RECORD_HEADER_BYTES, RecordType, recordBytes } from './record-codec.ts';
import {
  encodeGroupStatement,
  encodeSegmentHead,
  encodeSegmentIndex,
  encodeVoids,
  encodeVote,
  INDEX_RECORD_BYTES,
} from './record-payloads.ts';
import { Segment } from './segment.ts';
import { SpareFiles, type Spares } from './spare-files.ts';

const EMPTY = new Uint8Array(0);
const NOTE = { type: RecordType.note, kind: 0, group: 0, generation: 0, index: 0, term: 0 };

/** What recovery hands to the journal. */
export interface JournalState {
  /** Ascending; the last one is open if `open` says so, else a new one is begun. */
  readonly segments: readonly Segment[];
  readonly open: boolean;
  readonly groups: readonly GroupLog[];
  /** Number of the last complete batch. */
  readonly batch: number;
  /** Numbers of segments are above this one. */
  readonly segmentNumber: number;
  readonly spares: Spares;
  /** Files to delete: their deletion before was not durable. */
  readonly leftovers: readonly string[];
}

/** What may be read of a group from outside. */
export type GroupView = Readonly<
  Pick<
    GroupLog,
    'hardState' | 'base' | 'lastIndex' | 'lastTerm' | 'damaged' | 'accounted' | 'configurations' | 'lastGeneration'
  >
>;

/** Bookkeeping of a work until it is durable. */
interface WorkInHand {
  readonly number: number;
  readonly operations: FileOperation[];
  readonly ends: { readonly segment: Segment; readonly end: number }[];
}

/**
 * The log of all groups of a node in append-only segments (DESIGN section 5). This class decides and remembers; it does
 * no I/O. Appends gather while a work is under way and go into the next one: one write and one sync however many groups
 * took part (R7).
 *
 * The driver's loop: `append`, then `takeWork` until it gives nothing; do the operations in order; report with
 * `workCompleted`; what an append asked for is durable when `durableThrough` has reached the number it returned.
 * The first work of a recovered journal must be completed before anything is said about what recovery found: until
 * then the tail may only be in the system's memory.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #writer: BatchWriter;
  readonly #segments = new Map<number, Segment>();
  readonly #groups = new Map<GroupId, GroupLog>();
  readonly #spares: SpareFiles;
  /** Which segments are dead, and which are worth cleaning. */
  readonly space: JournalSpace;
  #open!: Segment;
  /** Entries and bodies in the open segment. */
  #openRecords = 0;
  /** The open segment takes at least one record behind its head, however large. */
  #headEnd = 0;
  #segmentNumber: number;
  #batch: number;
  #hasRecords = false;
  #gathering: WorkInHand = newWork(1);
  #underWay: WorkInHand | undefined;
  #isRetry = false;
  #durableThrough = 0;

  constructor(state: JournalState, options: JournalOptions, allocate: Allocate = bytes => new Uint8Array(bytes)) {
    assert(options.segmentBytesMax < 2 ** 31, 'segments stay below 2 GiB');
    this.#options = options;
    this.#writer = new BatchWriter(allocate);
    this.#batch = state.batch;
    this.#segmentNumber = state.segmentNumber;
    for (const segment of state.segments) this.#segments.set(segment.number, segment);
    for (const group of state.groups) this.#groups.set(group.group, group);
    this.#spares = new SpareFiles(state.spares, options);
    this.space = new JournalSpace(this.#segments, this.#groups, options);
    for (const file of state.leftovers) this.#gathering.operations.push({ do: 'delete', file });
    const last = state.segments.at(-1);
    // A later batch says that the one before was synced; after a crash that may have to be made true first.
    if (last !== undefined) this.#gathering.operations.push({ do: 'sync', file: segmentFile(last.number) });
    if (state.open && last !== undefined) {
      this.#open = last;
      for (const usage of last.usages.values()) for (const chunk of usage.chunks) this.#openRecords += chunk.count;
      reached('journal.tail-continued');
      this.#record(RecordType.note, 0, 0, 0, 0, 0, EMPTY);
    } else {
      this.#openSegment();
    }
  }

  /** All appends up to this number are durable. */
  get durableThrough(): number {
    return this.#durableThrough;
  }

  /** Bytes of records in all segments; spares are not counted. */
  get bytesUsed(): number {
    return this.space.bytesUsed;
  }

  /**
   * Collects writes in order. Payloads are referred to and must not change until they are durable. Within a group
   * entries are gapless; an index that is there already replaces everything from it on. Returns the number that
   * `durableThrough` reaches when all of it is durable.
   */
  append(writes: readonly GroupWrite[]): number {
    for (const write of writes) {
      const group = this.#groupOf(write.group);
      if (write.base !== undefined) this.#appendBase(group, write.base);
      if (write.hardState !== undefined) {
        const { term, commit } = write.hardState;
        this.#record(RecordType.hardState, 0, group.group, 0, commit, term, encodeVote(write.hardState));
        group.hardState = write.hardState;
      }
      for (const entry of write.entries) this.#appendEntry(group, entry);
    }
    // Writes without records wait for the work before them only: for the gathering one there may never be a reason.
    return this.#hasRecords ? this.#gathering.number : this.#gathering.number - 1;
  }

  /**
   * Stores an entry at or below a future base, received in a snapshot transfer for `generation`. Bodies of a generation
   * ascend; they count when a base with that generation is written, and are gone after a restart before that.
   */
  appendBody(id: GroupId, generation: number, entry: Entry): number {
    const group = this.#groupOf(id);
    assert(generation > group.base.generation, () => `group ${id}: body of generation ${generation}`);
    const { kind, index, term, payload } = entry;
    const position = this.#record(RecordType.body, kind, id, generation, index, term, payload);
    group.addBody(this.#open, generation, index, term, position, payload.length);
    this.#openRecords++;
    return this.#gathering.number;
  }

  /** The transfer was given up: its bodies are dead. */
  abandonBodies(id: GroupId, generation: number): void {
    reached('journal.bodies-abandoned');
    this.#groups.get(id)?.abandonBodies(generation);
    this.space.changed();
  }

  /** Removes a group from this node for ever; a later group of the same id starts empty. */
  dropGroup(id: GroupId): number {
    const group = this.#groups.get(id);
    if (group === undefined) return this.#durableThrough;
    this.#record(RecordType.groupDropped, 0, id, 0, 0, 0, EMPTY);
    group.drop();
    this.#groups.delete(id);
    this.space.changed();
    return this.#gathering.number;
  }

  /** Remembers over restarts that a group lost something it had acknowledged, or that it has been filled again (R16). */
  setDamaged(id: GroupId, damaged: boolean): number {
    const group = this.#groupOf(id);
    reached('journal.damage-remembered');
    group.damaged = damaged;
    this.#recordGroupState(group);
    return this.#gathering.number;
  }

  /** The next work, or undefined while one is under way or nothing is to be done. */
  takeWork(): JournalWork | undefined {
    if (this.#isRetry) {
      assert(this.#underWay !== undefined, 'nothing to do again');
      this.#isRetry = false;
      return { number: this.#underWay.number, operations: this.#underWay.operations };
    }
    if (this.#underWay !== undefined) return undefined;
    if (this.#hasRecords) this.#closePart();
    this.#reclaim();
    return this.#begin();
  }

  /**
   * Work for a moment without appends: proves on disk that the last batch was synced, so that damage to it cannot pass
   * for a torn tail (R11), and prepares spare segments. Needs no sync, and none of it has to happen.
   */
  takeIdleWork(): JournalWork | undefined {
    if (this.#underWay !== undefined || this.#hasRecords) return undefined;
    if (!this.#writer.isOpen) {
      this.#beginBatch();
      this.#writer.record(NOTE, EMPTY);
      const { position, buffers } = this.#writer.takePart();
      this.#gathering.operations.push({ do: 'write', file: segmentFile(this.#open.number), position, buffers });
    }
    this.#gathering.operations.push(...this.#spares.fill());
    return this.#begin();
  }

  /** There is little room on the file system: what is not needed goes at once. */
  diskShort(isShort: boolean): void {
    this.#gathering.operations.push(...this.#spares.diskShort(isShort));
  }

  workCompleted(number: number): void {
    const work = this.#underWay;
    assert(work?.number === number, () => `work ${number} is not under way`);
    this.#underWay = undefined;
    this.#durableThrough = number;
    for (const { segment, end } of work.ends) segment.durableEnd = Math.max(segment.durableEnd, end);
    this.#spares.workDone();
  }

  /**
   * There was no room for the operation of a work at `at`. What is left of it will be handed out again, and if something can be
   * given up, this is deleted first; then the answer is true. Otherwise the driver waits before it takes the work again.
   */
  workFull(number: number, at: number): boolean {
    const work = this.#underWay;
    assert(work?.number === number && !this.#isRetry, () => `work ${number} is not under way`);
    reached('journal.no-room');
    this.#isRetry = true;
    work.operations.splice(0, durableOperations(work.operations, at));
    return this.#spares.makeRoom(work.operations);
  }

  /** Where the record of an entry lies, also of one below the base as long as it is there. */
  locate(group: GroupId, index: LogIndex): Location | undefined {
    return this.#groups.get(group)?.locate(index);
  }

  isDurable(location: Location): boolean {
    const segment = this.#segments.get(location.segment);
    return segment === undefined || location.position + recordBytes(location.length) <= segment.durableEnd;
  }

  /** Records of a group at or below `through`. */
  recordsThrough(id: GroupId, through: LogIndex): TermRun[] {
    return this.#groups.get(id)?.recordsThrough(through) ?? [];
  }

  /** The journal's view of a group, for its driver to read. */
  group(id: GroupId): GroupView | undefined {
    return this.#groups.get(id);
  }

  #groupOf(id: GroupId): GroupLog {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new GroupLog(id);
      this.#groups.set(id, group);
      this.#recordGroupState(group);
    }
    return group;
  }

  #appendEntry(group: GroupLog, entry: Entry): void {
    const { kind, index, term, payload } = entry;
    assert(index <= group.lastIndex + 1, () => `group ${group.group}: entry ${index} after ${group.lastIndex}`);
    const position = this.#record(RecordType.entry, kind, group.group, 0, index, term, payload);
    group.addEntry(this.#open, index, term, kind === EntryKind.configuration, position, payload.length);
    this.#openRecords++;
  }

  #appendBase(group: GroupLog, base: LogBase): void {
    const { last, generation, membership } = base;
    const id = group.group;
    const continues = generation === group.base.generation;
    assert(!continues || last.index >= group.base.last.index, () => `group ${id}: base goes back to ${last.index}`);
    assert(!continues || group.termAt(last.index) === last.term, () => `group ${id}: no entry for base ${last.index}`);
    const replacesLog = group.isReplacedBy(base);
    this.#record(
      RecordType.base,
      replacesLog ? 1 : 0,
      id,
      generation,
      last.index,
      last.term,
      encodeMembership(membership),
    );
    // The bodies may be moved and their segments given up before the next head says what is void.
    for (const [{ number }, ranges] of group.setBase(base, replacesLog)) {
      this.#record(RecordType.voided, 0, 0, 0, number, 0, encodeVoids(ranges));
    }
    this.space.changed();
  }

  #recordGroupState(group: GroupLog): void {
    const { base, lastIndex, lastTerm } = group;
    const payload = encodeGroupStatement(group);
    this.#record(RecordType.groupState, 0, group.group, base.generation, lastIndex, lastTerm, payload);
  }

  /**
   * Every record goes through here, before what it says is done in memory: it may seal the segment and open the next,
   * and their index and head must say what is true without the record.
   */
  #record(
    type: RecordType,
    kind: number,
    group: number,
    generation: number,
    index: number,
    term: number,
    payload: Uint8Array,
  ): number {
    this.#rotateFor(payload.length);
    this.#beginBatch();
    this.#hasRecords = true;
    return this.#writer.record({ type, kind, group, generation, index, term }, payload);
  }

  #beginBatch(): void {
    if (!this.#writer.isOpen) this.#writer.begin(this.#open.number, ++this.#batch, this.#open.end);
  }

  #rotateFor(payloadLength: number): void {
    const position = this.#writer.isOpen ? this.#writer.position : this.#open.end;
    if (position <= this.#headEnd) return;
    const index = INDEX_RECORD_BYTES * (this.#openRecords + 1) + 2 * RECORD_HEADER_BYTES;
    if (position + recordBytes(payloadLength) + index <= this.#options.segmentBytesMax) return;
    this.#seal();
    this.#openSegment();
  }

  /** Writes the index behind the last record. The segment is durable before its successor is begun. */
  #seal(): void {
    const segment = this.#open;
    this.#beginBatch();
    for (const usage of segment.usages.values()) for (const chunk of usage.chunks) chunk.trim();
    const payload = encodeSegmentIndex(segment, id => this.#groups.get(id as GroupId)?.configurations ?? []);
    segment.indexPosition = this.#writer.record(
      { type: RecordType.segmentIndex, kind: 0, group: 0, generation: 0, index: 0, term: 0 },
      payload,
    );
    segment.isSealed = true;
    this.space.changed();
    this.#closePart();
  }

  /** The head is a batch of its own, synced before anything refers to it, so that an older segment may go (R12). */
  #openSegment(): void {
    const segment = new Segment(++this.#segmentNumber);
    const { operations } = this.#gathering;
    const file = segmentFile(segment.number);
    const spare = this.#spares.take();
    operations.push(spare === undefined ? { do: 'create', file } : { do: 'rename', from: spare, to: file });
    operations.push({ do: 'sync-directory' });
    const older = [...this.#segments.values()];
    this.#segments.set(segment.number, segment);
    this.#open = segment;
    this.#openRecords = 0;
    this.#headEnd = Number.POSITIVE_INFINITY;
    this.#record(RecordType.segmentHead, 0, 0, 0, 0, 0, encodeSegmentHead(older));
    for (const group of this.#groups.values()) this.#recordGroupState(group);
    for (const { number, voids } of older) {
      if (voids.length > 0) {
        reached('journal.voids-repeated');
        this.#record(RecordType.voided, 0, 0, 0, number, 0, encodeVoids(voids));
      }
    }
    this.#closePart();
    this.#headEnd = segment.end;
  }

  /** Ends the batch and asks for its write and sync. */
  #closePart(): void {
    const { position, bytes, buffers } = this.#writer.end();
    const file = segmentFile(this.#open.number);
    this.#gathering.operations.push({ do: 'write', file, position, buffers }, { do: 'sync', file });
    this.#open.end = position + bytes;
    this.#gathering.ends.push({ segment: this.#open, end: this.#open.end });
    this.#hasRecords = false;
  }

  #reclaim(): void {
    for (const segment of this.space.takeDead()) {
      reached('journal.segment-reclaimed');
      for (const id of segment.usages.keys()) this.#groups.get(id)?.removeSegment(segment);
      this.#segments.delete(segment.number);
      this.#gathering.operations.push(...this.#spares.keepOrDelete(segmentFile(segment.number)));
    }
  }

  #begin(): JournalWork | undefined {
    const work = this.#gathering;
    if (work.operations.length === 0) return undefined;
    this.#underWay = work;
    this.#gathering = newWork(work.number + 1);
    return { number: work.number, operations: work.operations };
  }
}

const newWork = (number: number): WorkInHand => ({ number, operations: [], ends: [] });
