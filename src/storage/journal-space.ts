import { assert } from '../lib/assert.ts';
import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { GroupLog, Location } from './group-log.ts';
import type { JournalOptions } from './journal-work.ts';
import type { Segment, SegmentUsage } from './segment.ts';
import { StragglerAccount } from './straggler-account.ts';

/** A sealed segment of which little is alive, and the entries whose living messages have to be copied (R13). */
export interface CleaningCandidate {
  readonly segment: number;
  readonly liveBytes: number;
  readonly ranges: readonly { readonly group: GroupId; readonly first: LogIndex; readonly last: LogIndex }[];
  /** What is alive is that of this account: see `resetLive`. */
  readonly account: number;
}

/** What has to happen so that the journal stays within its bound (R13). */
export interface SpaceWanted {
  /** How near the journal is to its bound of twice the bytes alive plus a reserve; 1 is the bound. The pace follows it. */
  readonly pressure: number;
  /** Groups that keep old segments: a checkpoint has to cover this entry, and the log proper to begin behind it. */
  readonly groups: readonly { readonly group: GroupId; readonly through: LogIndex }[];
  readonly candidate: CleaningCandidate | undefined;
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
  readonly stragglers = new StragglerAccount();
  #hasChanged = true;
  /** Counts how often the account of a group began anew. */
  #account = 0;

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
    if (usage === undefined) {
      this.stragglers.add(group, bytes);
      return false;
    }
    usage.liveBytes += bytes;
    return true;
  }

  /**
   * The message is gone by applying entry `at`, with the bytes given to `addLive`. Its record is dead only when a checkpoint
   * covers `at`, so that a machine that is restored never misses a body. If the entry has left the journal it is a
   * straggler.
   */
  releaseLive(group: GroupId, index: LogIndex, bytes: number, at: LogIndex): void {
    const chunk = this.#groups.get(group)?.chunkOf(index);
    if (chunk === undefined) {
      this.stragglers.release(group, bytes);
      return;
    }
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

  /**
   * Starts the account of a group anew, before its machine is restored from a snapshot. Until `accounted` nothing of it goes.
   * Other messages than before may live in a segment whose living ones were moved, or are being moved.
   */
  resetLive(group: GroupId): void {
    const log = this.#groups.get(group);
    if (log === undefined) return;
    log.accounted = false;
    this.#account++;
    this.stragglers.reset(group);
    for (const segment of this.#segments.values()) {
      const usage = segment.usages.get(group);
      if (usage === undefined) continue;
      segment.isCleaned = false;
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

  /** Keeps the segments that are about to be read, so that none of them becomes another before. */
  pinLocations(locations: readonly Location[]): Pin {
    const segments: Segment[] = [];
    for (const location of locations) {
      const segment = this.#segments.get(location.segment);
      if (segment === undefined || segments.at(-1) === segment) continue;
      segment.pins++;
      segments.push(segment);
    }
    return { segments };
  }

  unpin(pin: Pin): void {
    for (const segment of pin.segments) {
      segment.pins--;
      if (this.#isDead(segment)) this.#hasChanged = true;
    }
  }

  /** Undefined as long as the journal is well within its bound. The disk being short, nothing dead is kept. */
  wanted(isDiskShort = false): SpaceWanted | undefined {
    let liveBytes = 0;
    for (const segment of this.#segments.values()) liveBytes += segment.liveBytes;
    const { deadBytesReserve, segmentBytesMax } = this.#options;
    const bound = 2 * liveBytes + (isDiskShort ? segmentBytesMax : deadBytesReserve);
    const { bytesUsed } = this;
    if (bytesUsed < PRESSURE_MIN * bound) return undefined;
    const groups = this.#holders(bytesUsed - PRESSURE_MIN * bound);
    return { pressure: bytesUsed / bound, groups, candidate: this.#candidate() };
  }

  /**
   * Who has to move on so that the oldest segments can go, as many as make up `bytes`. The others keep their part of
   * the log for followers that come back.
   */
  #holders(bytes: number): SpaceWanted['groups'] {
    const through = new Map<GroupId, LogIndex>();
    let freeable = 0;
    for (const segment of this.#segments.values()) {
      if (freeable >= bytes) break;
      if (!isWorthCleaning(segment)) continue;
      freeable += segment.end;
      for (const usage of segment.usages.values()) {
        const index = this.#heldThrough(usage);
        if (index > (through.get(usage.group) ?? 0)) through.set(usage.group, index);
      }
    }
    return [...through].map(([group, index]) => ({ group, through: index }));
  }

  /** The entry behind which a group's base or checkpoint has to be before its records in a segment can go; 0: they can. */
  #heldThrough({ group, chunks, releasedAt }: SegmentUsage): LogIndex {
    const log = this.#groups.get(group);
    if (log === undefined) return 0;
    let through = releasedAt > log.checkpointedTo ? releasedAt : 0;
    for (const chunk of chunks) if (chunk.generation === 0 && log.needs(chunk)) through = Math.max(through, chunk.last);
    return through;
  }

  /** The emptiest segment of which only living messages are needed. */
  #candidate(): CleaningCandidate | undefined {
    let candidate: Segment | undefined;
    let candidateShare = 1;
    for (const segment of this.#segments.values()) {
      const share = segment.liveBytes / segment.end;
      if (share >= candidateShare || share === 0 || !isWorthCleaning(segment)) continue;
      if (segment.pins > 0 || segment.isCleaned || this.#holdsLog(segment)) continue;
      candidate = segment;
      candidateShare = share;
    }
    if (candidate === undefined) return undefined;
    const ranges = [...candidate.usages.values()].filter(usage => usage.liveBytes > 0).map(rangeOf);
    return { segment: candidate.number, liveBytes: candidate.liveBytes, ranges, account: this.#account };
  }

  /**
   * The messages alive in a segment are durable elsewhere. It goes with the next work, or when a checkpoint knows which
   * of its messages had left before. Nothing happens if an account began anew meanwhile: nobody has moved what lives now.
   */
  cleaned({ segment: number, account }: Pick<CleaningCandidate, 'segment' | 'account'>): void {
    const segment = this.#segments.get(number);
    if (segment === undefined || account !== this.#account) return;
    segment.isCleaned = true;
    this.#hasChanged = true;
  }

  /** The segment cannot be read whole: it stays in this life. */
  setAside(number: number): void {
    const segment = this.#segments.get(number);
    if (segment !== undefined) segment.pins++;
  }

  /** Something was released in another way than by a message that left. */
  changed(): void {
    this.#hasChanged = true;
  }

  /** Sealed segments in which no record is needed any more. */
  takeDead(): Segment[] {
    if (!this.#hasChanged) return [];
    this.#hasChanged = false;
    const dead = [...this.#segments.values()].filter(segment => this.#isDead(segment));
    for (const { usages } of dead) {
      for (const { group, liveBytes } of usages.values()) if (liveBytes > 0) this.stragglers.add(group, liveBytes);
    }
    return dead;
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

const isWorthCleaning = (segment: Segment): boolean =>
  segment.isSealed && segment.liveBytes < segment.end * LIVE_SHARE_MAX;

function rangeOf(usage: SegmentUsage): { group: GroupId; first: LogIndex; last: LogIndex } {
  const chunks = usage.chunks.filter(chunk => chunk.count > 0);
  return {
    group: usage.group,
    first: Math.min(...chunks.map(chunk => chunk.first)),
    last: Math.max(...chunks.map(chunk => chunk.last)),
  };
}
