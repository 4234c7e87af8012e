import { assert } from '../lib/assert.ts';
import type { LogIndex, NodeId, Term } from '../lib/ids.ts';
import type { Random } from '../lib/random.ts';
import { reached } from '../lib/reached.ts';
import { decodeMembership, MembershipHistory } from './membership.ts';
import { type Entry, type EntryId, EntryKind, type Membership, type RaftMessage } from './messages.ts';
import type { Progress } from './progress.ts';
import { RaftLog } from './raft-log.ts';
import type { Fetch, ReadState, RecoveredState, SnapshotInstall, SoftState } from './ready.ts';

export type Role = SoftState['role'];

/** Ticks are the driver's unit of time; sizes are payload bytes where nothing else is said. */
export interface RaftOptions {
  readonly id: NodeId;
  /** Without word from a leader a follower campaigns after this many ticks to twice as many, drawn at random. */
  readonly electionTimeoutTicks: number;
  readonly heartbeatTicks: number;
  /** Appends under way to one peer. */
  readonly inflightEntriesMax: number;
  readonly inflightBytesMax: number;
  /** One append, the heads of its entries included; a single larger entry goes alone. */
  readonly appendBytesMax: number;
  /** Payload kept in memory for peers that lag and for the machine; what is not durable or not applied stays anyhow. */
  readonly cachedBytesMax: number;
}

/** A round of heartbeats that confirms the leadership for the reads that wait for it (Raft 8, thesis 6.4). */
export interface PendingRead {
  readonly context: number;
  readonly round: number;
  /** The commit index when the read came in; undefined while no entry of the own term is committed. */
  readonly index: LogIndex | undefined;
}

/** What exists only while this replica leads. */
export interface Leadership {
  /** All other members, ascending by id. */
  peers: Map<NodeId, Progress>;
  /** The entry appended on election: the first of the own term. */
  readonly firstIndex: LogIndex;
  heartbeatElapsed: number;
  heartbeatDue: boolean;
  readRound: number;
  reads: PendingRead[];
  transfer: { readonly to: NodeId; elapsed: number; asked: boolean } | undefined;
  /** The oldest write under way at the last quorum check: a disk that hangs for so long ends the leadership (R10). */
  writeAtCheck: number | undefined;
}

/** A write that was taken and is not reported as completed. */
interface PendingWrite {
  readonly number: number;
  /** When it completes the journal equals the log up to here; lowered by truncation. */
  last: LogIndex;
  readonly term: Term;
  readonly vote: NodeId | undefined;
}

/**
 * State of one replica and the rules that hold in every role. The role files work on it; `Raft` is what others see.
 */
export class Core {
  readonly id: NodeId;
  readonly options: RaftOptions;
  readonly random: Random;
  readonly log: RaftLog;
  readonly memberships: MembershipHistory;

  #term: Term;
  #vote: NodeId | undefined;
  #role: Role = 'follower';
  leader: NodeId | undefined;
  leadership: Leadership | undefined;

  electionElapsed = 0;
  electionTimeout: number;
  /** Ticks until a campaign because the leader is gone; undefined if there is no such hint. */
  campaignIn: number | undefined;
  /** Answers to the present campaign. */
  votes = new Map<NodeId, boolean>();
  /**
   * A candidate with an older log has asked for this replica's vote, and no leader was heard since. If it is a learner by its own log,
   * a change that makes it a voter is on its way in the other one: perhaps nobody wins there without this vote, and nobody here
   * without this log.
   */
  isLogNeeded = false;
  /** Attempts to be elected that may still follow each other quickly, because the leader's process is known to be gone. */
  hintedAttempts = 0;

  /** The term at recovery of a replica that lost acknowledged entries; undefined once it is whole (R16). */
  damagedTerm: Term | undefined;
  /** No leader was heard yet; see `mayCountLost` in `follower.ts`. */
  mustRaiseTerm: boolean;
  /** A damaged replica is whole when its journal has everything up to here. */
  healedAt: LogIndex | undefined;
  installing: SnapshotInstall | undefined;

  hardStateChanged = false;
  commitWritten: LogIndex;
  pendingWrites: PendingWrite[] = [];
  messages: RaftMessage[] = [];
  release: RaftMessage[] = [];
  reads: ReadState[] = [];
  fetches: Fetch[] = [];
  snapshotsWanted: NodeId[] = [];
  installDue = false;

  constructor(options: RaftOptions, recovered: RecoveredState, random: Random) {
    assert(options.electionTimeoutTicks > options.heartbeatTicks, 'a heartbeat fits into the election timeout');
    const { hardState, base } = recovered;
    this.id = options.id;
    this.options = options;
    this.random = random;
    this.log = new RaftLog(base, recovered.log, hardState.commit, recovered.applied, options.cachedBytesMax);
    this.memberships = new MembershipHistory(base.index, recovered.membership, recovered.configurations);
    this.#term = hardState.term;
    this.#vote = hardState.vote;
    assert(this.#term >= this.log.lastTerm, () => `term ${this.#term} below the log's term ${this.log.lastTerm}`);
    this.commitWritten = hardState.commit;
    this.damagedTerm = recovered.damaged ? hardState.term : undefined;
    this.mustRaiseTerm = recovered.damaged;
    this.electionTimeout = this.#drawElectionTimeout();
  }

  get term(): Term {
    return this.#term;
  }

  get vote(): NodeId | undefined {
    return this.#vote;
  }

  get role(): Role {
    return this.#role;
  }

  get damaged(): boolean {
    return this.damagedTerm !== undefined;
  }

  /**
   * May become leader: it has everything that it acknowledged, and it votes, or others need its log. A voter that is to go
   * campaigns until that change is committed, even without a vote of its own: it may be the only one that has the entry
   * (thesis 4.2.2).
   */
  get promotable(): boolean {
    return !this.damaged && (this.hasVote || (this.isLogNeeded && this.memberships.current.learners.includes(this.id)));
  }

  /** By what is committed, as far as it knows, or by a change behind it. */
  get hasVote(): boolean {
    return this.memberships.isVoterFrom(this.log.commit, this.id);
  }

  /** Heard from its leader within the shortest election timeout, or leads itself (Raft 4.2.3). */
  get leaderIsAlive(): boolean {
    if (this.#role === 'leader') return true;
    return this.leader !== undefined && this.electionElapsed < this.options.electionTimeoutTicks;
  }

  /** To be sent at once: says nothing about this replica's disk. */
  send(message: RaftMessage): void {
    this.messages.push(message);
  }

  /** To be sent with the next write, when it and all before it are durable. */
  sendWhenDurable(message: RaftMessage): void {
    this.release.push(message);
  }

  /** Back to waiting: a higher term, a leader of this term, a lost campaign, or no quorum any more (Raft 5.1, 5.2). */
  becomeFollower(term: Term, leader: NodeId | undefined): void {
    assert(term >= this.#term, () => `term ${term} after ${this.#term}`);
    if (term > this.#term) {
      this.#term = term;
      this.#vote = undefined;
      this.hardStateChanged = true;
    }
    this.#enter('follower', leader);
  }

  /** Asks around without a new term (thesis 9.6, PreVote). */
  becomePreCandidate(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign');
    this.#enter('pre-candidate', undefined);
  }

  /**
   * Increments the term and votes for itself (Raft 5.2). The vote counts when it is durable. A snapshot that is on its way is given up:
   * whoever wins has all that is committed, and its log stays what it was when it asked.
   */
  becomeCandidate(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign');
    assert(this.promotable, 'who lost something campaigns, or who has neither a vote nor a log that others need');
    this.abandonInstallation();
    this.#term += 1;
    this.#vote = this.id;
    this.hardStateChanged = true;
    this.#enter('candidate', undefined);
  }

  /** The snapshot is not needed, or not from now on. */
  abandonInstallation(): void {
    this.installing = undefined;
    this.installDue = false;
  }

  /** Won the election (Raft 5.2). The caller appends the term's first entry. */
  becomeLeader(leadership: Leadership): void {
    assert(this.#role === 'candidate', () => `a ${this.#role} became leader`);
    assert(this.#vote === this.id, 'a leader voted for itself');
    this.#enter('leader', this.id);
    this.hintedAttempts = 0;
    this.leadership = leadership;
  }

  /** See `accept` in `follower.ts` for what makes a damaged replica whole. */
  maybeHeal(): void {
    if (this.healedAt === undefined || this.healedAt > this.log.durable) return;
    reached('raft.damaged-healed');
    this.damagedTerm = undefined;
    this.healedAt = undefined;
  }

  giveVote(to: NodeId): void {
    assert(this.#vote === undefined || this.#vote === to, () => `second vote in term ${this.#term}`);
    assert(!this.damaged, 'a damaged replica votes for nobody');
    if (this.#vote !== to) this.hardStateChanged = true;
    this.#vote = to;
    this.electionElapsed = 0;
    this.campaignIn = undefined;
  }

  /** Puts entries behind the last one. A configuration is in force from here on (Raft 6). */
  append(entries: readonly Entry[]): void {
    this.log.append(entries);
    for (const entry of entries) {
      if (entry.kind !== EntryKind.configuration) continue;
      const membership = decodeMembership(entry.payload);
      assert(membership !== undefined, () => `configuration ${entry.index} is unreadable`);
      this.memberships.append(entry.index, membership);
    }
  }

  /** Only followers do this: a leader never overwrites its own log (Raft figure 3, leader append-only). */
  truncateFrom(index: LogIndex): void {
    assert(this.#role === 'follower', () => `a ${this.#role} truncated its log`);
    reached('raft.conflict-truncated');
    this.log.truncateFrom(index);
    this.memberships.truncateFrom(index);
    this.#limitPendingWrites(index - 1);
  }

  /** The driver has switched to the snapshot's state. */
  restore(last: EntryId, membership: Membership): void {
    const kept = this.log.restore(last);
    if (!kept) {
      reached('raft.log-replaced-by-snapshot');
      this.memberships.truncateFrom(last.index + 1);
      this.#limitPendingWrites(0);
    }
    this.memberships.restore(last.index, membership);
  }

  #limitPendingWrites(last: LogIndex): void {
    for (const write of this.pendingWrites) if (write.last > last) write.last = last;
  }

  #enter(role: Role, leader: NodeId | undefined): void {
    this.#role = role;
    this.leader = leader;
    this.leadership = undefined;
    this.votes.clear();
    this.campaignIn = undefined;
    this.electionElapsed = 0;
    this.electionTimeout = this.#drawElectionTimeout();
  }

  #drawElectionTimeout(): number {
    const ticks = this.options.electionTimeoutTicks;
    return this.random.integer(ticks, 2 * ticks - 1);
  }
}
