import { assert } from '../lib/assert.ts';
import type { LogIndex } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { SnapshotMeta } from './messages.ts';

/** Appends on their way to a peer, bounded by number and by payload bytes; oldest first. */
export class Inflight {
  readonly #countMax: number;
  readonly #bytesMax: number;
  /** Ring of the last index and the payload bytes of each append. */
  readonly #last: LogIndex[];
  readonly #bytes: number[];
  #start = 0;
  #count = 0;
  #bytesTotal = 0;

  constructor(countMax: number, bytesMax: number) {
    assert(countMax > 0 && bytesMax > 0, 'an in-flight window holds at least one append');
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
    this.#last = new Array<LogIndex>(countMax).fill(0);
    this.#bytes = new Array<number>(countMax).fill(0);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytesTotal;
  }

  /** The byte bound may be passed by the last append, so that one entry above it can still be sent. */
  get full(): boolean {
    return this.#count === this.#countMax || this.#bytesTotal >= this.#bytesMax;
  }

  add(last: LogIndex, bytes: number): void {
    assert(!this.full, 'append sent beyond the in-flight window');
    const at = (this.#start + this.#count) % this.#countMax;
    this.#last[at] = last;
    this.#bytes[at] = bytes;
    this.#count += 1;
    this.#bytesTotal += bytes;
  }

  /** Everything up to `index` has arrived. */
  freeTo(index: LogIndex): void {
    while (this.#count > 0 && this.#last[this.#start]! <= index) {
      this.#bytesTotal -= this.#bytes[this.#start]!;
      this.#start = (this.#start + 1) % this.#countMax;
      this.#count -= 1;
    }
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytesTotal = 0;
  }
}

/**
 * `probe`: where the peer's log agrees is unknown, one append is tried at a time. `replicate`: appends are sent ahead of
 * the answers. `snapshot`: a transfer is under way, nothing is appended.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** What a leader knows of one peer. Lives as long as the leadership. */
export class Progress {
  /** Highest index known to be durable at the peer and equal to the leader's log. Never goes back. */
  match: LogIndex = 0;
  /** First index that the next append carries. */
  next: LogIndex;
  readonly inflight: Inflight;
  /** Something came from the peer since the last quorum check. */
  #heardSinceCheck = false;
  /** Something came from the peer before or after the last quorum check: it is worth a transfer, a fetch, a snapshot. */
  recentlyActive = false;
  /** Probe: an append is under way and not answered. */
  probing = false;
  /** Replicate: send an empty append behind what was sent, to have a lost answer repeated. */
  repeatAnswer = false;
  /** First index of entries asked from the driver, which are no longer in memory. */
  fetching: LogIndex | undefined;
  /** The driver was asked for a snapshot for this peer. */
  snapshotWanted = false;
  /** Snapshot: what is being transferred, and whether the offer has to be sent (again). */
  snapshot: SnapshotMeta | undefined;
  offerDue = false;
  /** The latest read round that the peer has confirmed. */
  readRound = 0;
  /** The highest commit index that the peer was told of. */
  commitSent: LogIndex = 0;

  #state: ProgressState = 'probe';
  /** What the previous heartbeat response left, to notice that nothing moves. */
  #matchSeen: LogIndex = -1;
  #lastSeen: LogIndex = -1;

  constructor(next: LogIndex, inflightEntriesMax: number, inflightBytesMax: number) {
    this.next = next;
    this.inflight = new Inflight(inflightEntriesMax, inflightBytesMax);
  }

  get state(): ProgressState {
    return this.#state;
  }

  /** The peer lives. */
  heard(): void {
    this.#heardSinceCheck = true;
    this.recentlyActive = true;
  }

  /** For CheckQuorum: whether the peer was heard since the last time this was asked. */
  takeHeard(): boolean {
    const heard = this.#heardSinceCheck;
    this.recentlyActive = heard;
    this.#heardSinceCheck = false;
    return heard;
  }

  becomeProbe(next: LogIndex = this.match + 1): void {
    assert(next > this.match, () => `probe from ${next}, though ${this.match} is known to match`);
    this.#reset('probe');
    this.next = next;
  }

  /**
   * What was under way is lost: ask anew. A probe stays where it was: a leader that never heard the peer knows no match,
   * and behind index 0 it has nothing to ask with once its log is compacted.
   */
  probeAgain(): void {
    this.becomeProbe(this.#state === 'probe' ? this.next : this.match + 1);
  }

  becomeSnapshot(snapshot: SnapshotMeta): void {
    this.#reset('snapshot');
    this.snapshot = snapshot;
    this.offerDue = true;
  }

  /** An append or a snapshot was accepted up to `match`. From then on entries are sent ahead of the answers. */
  accepted(match: LogIndex): void {
    if (match > this.match) this.match = match;
    this.inflight.freeTo(match);
    if (this.#state === 'probe' || (this.#state === 'snapshot' && match >= this.snapshot!.last.index)) {
      this.#reset('replicate');
      this.next = this.match + 1;
    }
    if (this.next <= this.match) this.next = this.match + 1;
  }

  /**
   * The append behind `rejected` did not fit; `next` is where to try now. A probe may also move forward: a damaged peer
   * stores entries and refuses to acknowledge them (R16). It stays where it is when that peer has everything; the next
   * heartbeat response repeats it.
   */
  rejected(rejected: LogIndex, next: LogIndex): void {
    const late = this.#state === 'probe' ? !this.probing || rejected !== this.next - 1 : rejected < this.match;
    if (late || this.#state === 'snapshot' || (this.#state === 'probe' && next === this.next)) {
      reached('raft.rejection-ignored');
      return;
    }
    this.becomeProbe(Math.max(next, this.match + 1));
  }

  /** An append with `count` entries of `bytes` payload bytes is on its way. */
  sent(count: number, bytes: number): void {
    assert(this.#state !== 'snapshot', 'appended to a peer that waits for a snapshot');
    if (this.#state === 'probe') {
      this.probing = true;
      return;
    }
    if (count === 0) return;
    this.next += count;
    this.inflight.add(this.next - 1, bytes);
  }

  /**
   * The peer answered a heartbeat and has `peerLast` as its last index. If nothing has moved since its previous answer,
   * whatever was lost on the way is sent again: an append, its answer, an offer. Not at the first sign, since heartbeats
   * may overtake appends, and disks take their time.
   */
  heartbeatAnswered(peerLast: LogIndex): void {
    const stalled = this.match === this.#matchSeen && peerLast === this.#lastSeen;
    this.#matchSeen = this.match;
    this.#lastSeen = peerLast;
    if (!stalled) return;
    if (this.#state === 'snapshot') {
      reached('raft.snapshot-offer-lost');
      this.offerDue = true;
    } else if (this.#state === 'probe') {
      reached('raft.probe-repeated');
      this.probing = false;
      this.snapshotWanted = false;
    } else if (this.match < this.next - 1) {
      if (peerLast < this.next - 1) {
        reached('raft.append-lost');
        this.becomeProbe(Math.max(peerLast, this.match) + 1);
      } else {
        reached('raft.answer-lost');
        this.repeatAnswer = true;
      }
    }
  }

  #reset(state: ProgressState): void {
    this.#state = state;
    this.inflight.clear();
    this.probing = false;
    this.repeatAnswer = false;
    this.fetching = undefined;
    this.snapshotWanted = false;
    this.snapshot = undefined;
    this.offerDue = false;
    this.#matchSeen = -1;
    this.#lastSeen = -1;
  }
}
