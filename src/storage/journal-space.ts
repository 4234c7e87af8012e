import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { GroupLog } from './group-log.ts';
import type { JournalOptions } from './journal-work.ts';
import type { Segment, SegmentUsage } from './segment.ts';

/** A sealed segment of which little is alive, and the entries whose living messages have to be copied (R13). */
export interface CleaningCandidate {
  readonly segment: number;
  readonly liveBytes: number;
  readonly ranges: readonly { readonly group: GroupId; readonly first: LogIndex; readonly last: LogIndex }[];
  /** How near the journal is to its bound of twice the bytes alive plus a reserve; 1 is the bound. The driver's rate follows it. */
  readonly pressure: number;
}

/** Keeps segments from being reclaimed while their records are read; given back with `unpin`. */
export interface Pin {
  readonly segments: readonly Segment[];
}

/** Cleaning starts here and not at the bound itself, so that the bound holds. */
const PRESSURE_MIN = 0.75;
/** A segment with a larger living share is left alone: copying it would cost more than it brings. */
const LIVE_SHARE_MAX = 0.5;

/**
 * What is alive in the journal. The applier reports every message that enters and leaves a queue by the index of its
 * entry; after a restart it reports those that the checkpoint holds, then says `accounted`, and only then may segments
 * with records of that group go.
 */
export class JournalSpace {
  readonly #segments: ReadonlyMap<number, Segment>;
  readonly #groups: ReadonlyMap<GroupId, GroupLog>;
  readonly #options: JournalOptions;
  #hasChanged = true;

  constructor(segments: ReadonlyMap<number, Segment>, groups: ReadonlyMap<GroupId, GroupLog>, options: JournalOptions) {
    this.#segments = segments;
    this.#groups = groups;
    this.#options = options;
  }

  get bytesUsed(): number {
    let bytes = 0;
    for (const segment of this.#segments.values()) bytes += segment.end;
    return bytes;
  }

  /**
   * A message in entry `index` is alive; `bytes` is what it takes in the entry. False: the journal has no such entry; if
   * the message is not a straggler either, its body is lost.
   */
  addLive(group: GroupId, index: LogIndex, bytes: number): boolean {
    const usage = this.#groups.get(group)?.chunkOf(index)?.usage;
    if (usage === undefined) return false;
    usage.liveBytes += bytes;
    return true;
  }

  /**
   * The message is gone by applying entry `at`, with the bytes given to `addLive`. Its record is dead only when a checkpoint
   * covers `at`, so that a machine that is restored never misses a body. Without effect for stragglers, whose entries
   * have left the journal.
   */
  releaseLive(group: GroupId, index: LogIndex, bytes: number, at: LogIndex): void {
    const chunk = this.#groups.get(group)?.chunkOf(index);
    if (chunk === undefined) return;
    const { usage } = chunk;
    usage.liveBytes -= bytes;
    assert(usage.liveBytes >= 0, () => `group ${group}: entry ${index} has no message alive`);
    if (!chunk.segment.isCleaned) usage.releasedAt = at;
    if (usage.liveBytes === 0) this.#hasChanged = true;
  }

  /** A durable checkpoint holds the group's state after entry `index`. */
  checkpointed(group: GroupId, index: LogIndex): void {
    const log = this.#groups.get(group);
    if (log === undefined) return;
    log.checkpointedTo = Math.max(log.checkpointedTo, index);
    this.#hasChanged = true;
  }

  /** Everything that is alive in this group has been reported. */
  accounted(group: GroupId): void {
    const log = this.#groups.get(group);
    if (log !== undefined) log.accounted = true;
    this.#hasChanged = true;
  }

  /** Starts the account of a group anew, before its machine is restored from a snapshot. Until `accounted` nothing of it goes. */
  resetLive(group: GroupId): void {
    const log = this.#groups.get(group);
    if (log === undefined) return;
    log.accounted = false;
    for (const segment of this.#segments.values()) {
      const usage = segment.usages.get(group);
      if (usage === undefined) continue;
      usage.liveBytes = 0;
      usage.releasedAt = 0;
    }
  }

  /** Keeps every segment that holds records of the group (R17). */
  pin(group: GroupId): Pin {
    const segments = [...this.#segments.values()].filter(segment => segment.usages.has(group));
    for (const segment of segments) segment.pins++;
    return { segments };
  }

  unpin(pin: Pin): void {
    for (const segment of pin.segments) segment.pins--;
    this.#hasChanged = true;
  }

  /** The segment most worth cleaning, if the journal has too many dead bytes. Pinned segments are left out. */
  cleaningCandidate(): CleaningCandidate | undefined {
    let aliveBytes = 0;
    let candidate: Segment | undefined;
    let candidateShare = LIVE_SHARE_MAX;
    for (const segment of this.#segments.values()) {
      const liveBytes = segment.liveBytes;
      if (!segment.isSealed || this.#holdsLog(segment)) {
        aliveBytes += segment.end;
        continue;
      }
      aliveBytes += liveBytes;
      const share = liveBytes / segment.end;
      if (share >= candidateShare || segment.pins > 0 || segment.isCleaned || liveBytes === 0) continue;
      candidate = segment;
      candidateShare = share;
    }
    const pressure = this.bytesUsed / (2 * aliveBytes + this.#options.deadBytesReserve);
    if (candidate === undefined || pressure < PRESSURE_MIN) return undefined;
    const ranges = [...candidate.usages.values()].filter(usage => usage.liveBytes > 0).map(rangeOf);
    return { segment: candidate.number, liveBytes: candidate.liveBytes, ranges, pressure };
  }

  /**
   * The messages alive in a segment are durable elsewhere. It goes with the next work, or when a checkpoint knows which
   * of its messages had left before.
   */
  cleaned(number: number): void {
    const segment = this.#segments.get(number);
    if (segment === undefined) return;
    segment.isCleaned = true;
    this.#hasChanged = true;
  }

  /** Something was released in another way than by a message that left. */
  changed(): void {
    this.#hasChanged = true;
  }

  /** Sealed segments in which no record is needed any more. */
  takeDead(): Segment[] {
    if (!this.#hasChanged) return [];
    this.#hasChanged = false;
    return [...this.#segments.values()].filter(segment => this.#isDead(segment));
  }

  #isDead(segment: Segment): boolean {
    if (!segment.isSealed || segment.pins > 0 || this.#holdsLog(segment)) return false;
    for (const { group, liveBytes, releasedAt } of segment.usages.values()) {
      const log = this.#groups.get(group);
      if (log === undefined) continue;
      if (releasedAt > log.checkpointedTo || (liveBytes > 0 && !segment.isCleaned)) return false;
    }
    return true;
  }

  /** Whether it has records that do not depend on the messages alive, or nobody knows which are. */
  #holdsLog(segment: Segment): boolean {
    for (const usage of segment.usages.values()) {
      const group = this.#groups.get(usage.group);
      if (group === undefined) continue;
      if (!group.accounted || usage.chunks.some(chunk => group.needs(chunk))) return true;
    }
    return false;
  }
}

function rangeOf(usage: SegmentUsage): { group: GroupId; first: LogIndex; last: LogIndex } {
  const chunks = usage.chunks.filter(chunk => chunk.count > 0);
  return {
    group: usage.group,
    first: Math.min(...chunks.map(chunk => chunk.first)),
    last: Math.max(...chunks.map(chunk => chunk.last)),
  };
}
