import { assert } from '../lib/assert.ts';
import type { LogIndex, NodeId, Term } from '../lib/ids.ts';
import type { Random } from '../lib/random.ts';
import { reached } from '../lib/reached.ts';
import { campaign, leaderIsGone, ownVoteIsDurable, stepVoteResponse, tickWithoutLead } from './candidate.ts';
import { Core, type RaftOptions, type Role } from './core.ts';
import { answerOffer, stepFromLeader } from './follower.ts';
import {
  flushLeader,
  maybeCommit,
  propose,
  proposeMembership,
  readIndex,
  stepLeader,
  tickLeader,
  transferLeadership,
} from './leader.ts';
import type {
  AppendResponse,
  Entry,
  EntryId,
  HardState,
  HeartbeatResponse,
  Membership,
  RaftMessage,
  SnapshotMeta,
  SnapshotResponse,
  VoteResponse,
} from './messages.ts';
import type { ProposeResult, Ready, RecoveredState, SnapshotInstall, SoftState, Write } from './ready.ts';
import { sendFetched } from './replication.ts';
import { type RaftStatus, statusOf } from './status.ts';
import { stepVoteRequest } from './voting.ts';

export type { RaftOptions, Role } from './core.ts';
export type { PeerStatus, RaftStatus } from './status.ts';

type Answer = VoteResponse | AppendResponse | HeartbeatResponse | SnapshotResponse;

/**
 * One replica of a group: Raft (Ongaro and Ousterhout, extended version; sections are cited from it, "thesis" is
 * Ongaro's) as a function of messages and ticks. It does nothing by itself: after any calls the driver takes what is
 * to be done with `takeReady` and follows the contract in `ready.ts`.
 *
 * No message makes it throw, however late, repeated or forged; a broken invariant of its own, or a driver that breaks
 * the contract, does.
 */
export class Raft {
  readonly #core: Core;
  #writesTaken = 0;
  #role: SoftState;
  #commitTold: LogIndex;

  constructor(options: RaftOptions, recovered: RecoveredState, random: Random) {
    this.#core = new Core(options, recovered, random);
    this.#role = { role: 'follower', term: this.#core.term, leader: undefined };
    this.#commitTold = this.#core.log.applied;
  }

  get id(): NodeId {
    return this.#core.id;
  }

  get term(): Term {
    return this.#core.term;
  }

  get role(): Role {
    return this.#core.role;
  }

  get leader(): NodeId | undefined {
    return this.#core.leader;
  }

  get lastId(): EntryId {
    return this.#core.log.lastId;
  }

  /** The entry before the first of the log; its id is known, its payload is not. */
  get base(): EntryId {
    return this.#core.log.base;
  }

  get commit(): LogIndex {
    return this.#core.log.commit;
  }

  get applied(): LogIndex {
    return this.#core.log.applied;
  }

  /** Up to here this replica's own journal has the log. */
  get durable(): LogIndex {
    return this.#core.log.durable;
  }

  /** The latest in the log, committed or not. */
  get membership(): Membership {
    return this.#core.memberships.current;
  }

  /** The one in force at `index`, from `base.index` on: for the checkpoint cut there. */
  membershipAt(index: LogIndex): Membership {
    return this.#core.memberships.at(index);
  }

  /** Lost something it had acknowledged and is not filled again (R16). Turns false after some `writeCompleted` or `step`. */
  get damaged(): boolean {
    return this.#core.damaged;
  }

  /** The snapshot to install, until it is installed, has failed, or the log has overtaken it. */
  get installing(): SnapshotInstall | undefined {
    return this.#core.installing;
  }

  /** Undefined below `base` and behind the last entry. */
  termAt(index: LogIndex): Term | undefined {
    return this.#core.log.termAt(index);
  }

  /**
   * Entries `first` to `last`, both included, cut so that payloads stay within `bytesMax`, but at least one. Undefined:
   * not in memory, the journal has them.
   */
  entriesFrom(first: LogIndex, last: LogIndex, bytesMax: number): Entry[] | undefined {
    return this.#core.log.entries(first, last, bytesMax);
  }

  /** The payload of one entry, if it is in memory. */
  payloadAt(index: LogIndex): Uint8Array | undefined {
    return this.#core.log.payloadAt(index);
  }

  status(): RaftStatus {
    return statusOf(this.#core);
  }

  /** Takes a message from another replica. */
  step(message: RaftMessage): void {
    if (message.to !== this.#core.id || message.from === this.#core.id) return;
    switch (message.type) {
      case 'vote-request':
      case 'pre-vote-request':
        stepVoteRequest(this.#core, message);
        return;
      case 'append-request':
      case 'heartbeat':
      case 'snapshot-offer':
      case 'timeout-now':
        stepFromLeader(this.#core, message);
        return;
      default:
        this.#stepAnswer(message);
        return;
    }
  }

  /** One tick of the driver's clock has passed. */
  tick(): void {
    if (this.#core.role === 'leader') tickLeader(this.#core);
    else tickWithoutLead(this.#core);
  }

  /** Whether `propose` would take a payload now. False during a leadership transfer, which may yet be given up. */
  get acceptsProposals(): boolean {
    const { leadership } = this.#core;
    return leadership !== undefined && leadership.transfer === undefined;
  }

  /** The payload belongs to Raft from here on. Refused by others than a leader, and during a leadership transfer. */
  propose(payload: Uint8Array): ProposeResult {
    return propose(this.#core, payload);
  }

  /**
   * Begins the change to `target`, whose `outgoing` is empty. Refused: not the leader, a change or a transfer is under
   * way, nothing of this term is committed yet, `target` is not valid or nothing new. Another voter set is reached by
   * joint consensus; the leader appends the second step by itself. The change is over when `membership` equals `target`
   * and its entry is committed.
   */
  proposeMembership(target: Membership): ProposeResult {
    return proposeMembership(this.#core, target);
  }

  /** Brings `to` up to date and has it campaign; given up after an election timeout. False: not the leader, or not a voter that answers. */
  transferLeadership(to: NodeId): boolean {
    return transferLeadership(this.#core, to);
  }

  /**
   * Asks for an index up to which the machine must have applied to answer a read that begins now. Answered in
   * `Ready.reads`; never, if the leadership ends first. False: not the leader.
   */
  readIndex(context: number): boolean {
    return readIndex(this.#core, context);
  }

  /** Campaigns now, if this replica may lead and does not. A living leader is not disturbed, except by its voters' hints. */
  campaign(reason: 'leader-gone' | 'preferred'): void {
    campaign(this.#core, reason);
  }

  /** The transport knows that the peer's process is gone: a connection refused or reset. */
  peerGone(peer: NodeId): void {
    const core = this.#core;
    if (core.role === 'follower' && core.leader === peer) {
      leaderIsGone(core);
      return;
    }
    const progress = core.leadership?.peers.get(peer);
    if (progress === undefined) return;
    reached('raft.peer-known-gone');
    progress.probeAgain();
    progress.probing = true;
    progress.recentlyActive = false;
  }

  /** The transport reaches the peer (again): what was under way to it may be lost. */
  peerConnected(peer: NodeId): void {
    const progress = this.#core.leadership?.peers.get(peer);
    if (progress === undefined) return;
    if (progress.state === 'snapshot') progress.offerDue = true;
    else progress.probeAgain();
  }

  /** Write `number`, and every earlier one, is in this replica's journal. */
  writeCompleted(number: number): void {
    const core = this.#core;
    assert(number <= this.#writesTaken, () => `write ${number} completed, ${this.#writesTaken} taken`);
    let completed = 0;
    for (const write of core.pendingWrites) {
      if (write.number > number) break;
      completed += 1;
      core.log.durableTo(write.last);
      if (write.vote === core.id) ownVoteIsDurable(core, write.term);
    }
    if (completed === 0) return;
    core.pendingWrites.splice(0, completed);
    core.maybeHeal();
    if (core.role === 'leader') maybeCommit(core);
  }

  /** The machine has applied everything up to `index`, which is committed. */
  appliedTo(index: LogIndex): void {
    this.#core.log.appliedTo(index);
  }

  /** A durable checkpoint covers everything up to `base`, which is applied and durable: the log may begin behind it. */
  compactTo(base: EntryId): void {
    if (base.index <= this.#core.log.base.index) return;
    this.#core.log.compactTo(base);
    this.#core.memberships.compactTo(base.index);
  }

  /** Answers one of `Ready.fetches`. No entries: they could not be read; the peer is tried again later. */
  entriesFetched(peer: NodeId, entries: readonly Entry[]): void {
    sendFetched(this.#core, peer, entries);
  }

  /** Answers `Ready.snapshotsWanted`: this snapshot is pinned for the peer and is offered to it. */
  snapshotStarted(peer: NodeId, snapshot: SnapshotMeta): void {
    assert(snapshot.last.index <= this.#core.log.applied, 'offered a snapshot of what is not applied');
    this.#core.leadership?.peers.get(peer)?.becomeSnapshot(snapshot);
  }

  /**
   * The switch to the snapshot's state is durable, and every write taken before it. Before the driver begins the switch
   * it makes sure that `installing` is still this snapshot; from then until it has called this it neither steps nor takes
   * a ready. Entries behind the snapshot stay if `termAt(snapshot.last.index)` is the snapshot's term; otherwise the whole
   * log goes, in the journal too.
   */
  snapshotInstalled(snapshot: SnapshotMeta): void {
    const core = this.#core;
    const { last, membership } = snapshot;
    assert(core.installing?.snapshot.last.index === last.index, () => `snapshot ${last.index} was not to be installed`);
    core.abandonInstallation();
    // Answers to a campaign under way speak of the log of before, and of who voted then.
    if (core.role === 'pre-candidate') core.becomeFollower(core.term, undefined);
    core.restore(last, membership);
    core.hardStateChanged = true;
    answerOffer(core, true);
  }

  /** The transfer or the installation has failed; the leader begins again. */
  snapshotFailed(): void {
    const core = this.#core;
    if (core.installing === undefined) return;
    reached('raft.snapshot-failed');
    core.abandonInstallation();
    answerOffer(core, false);
  }

  /** What is to be done since the last ready; undefined if there is nothing. */
  takeReady(): Ready | undefined {
    const core = this.#core;
    if (core.role === 'leader') flushLeader(core);
    const write = this.#takeWrite();
    const roleChanged = this.#maybeChangeRole();
    const install = core.installDue ? core.installing : undefined;
    const { messages, reads, fetches, snapshotsWanted } = core;
    const asked = messages.length + reads.length + fetches.length + snapshotsWanted.length > 0;
    const { commit } = core.log;
    if (write === undefined && !roleChanged && install === undefined && !asked && commit === this.#commitTold) {
      return undefined;
    }
    this.#commitTold = commit;
    core.installDue = false;
    core.messages = [];
    core.reads = [];
    core.fetches = [];
    core.snapshotsWanted = [];
    return { messages, write, commit, role: this.#role, reads, fetches, snapshotsWanted, install };
  }

  /** Messages held for durability wait for a write even if there is nothing to write: earlier writes may be under way. */
  #takeWrite(): Write | undefined {
    const core = this.#core;
    const entries = core.log.takeUnwritten();
    if (entries.length === 0 && !core.hardStateChanged && core.release.length === 0) return undefined;
    let hardState: HardState | undefined;
    if (core.hardStateChanged || (entries.length > 0 && core.log.commit !== core.commitWritten)) {
      hardState = { term: core.term, vote: core.vote, commit: core.log.commit };
      core.commitWritten = core.log.commit;
      core.hardStateChanged = false;
    }
    this.#writesTaken += 1;
    const write: Write = { number: this.#writesTaken, hardState, entries, release: core.release };
    core.pendingWrites.push({ number: write.number, last: core.log.last, term: core.term, vote: core.vote });
    core.release = [];
    return write;
  }

  #maybeChangeRole(): boolean {
    const { role, term, leader } = this.#core;
    if (role === this.#role.role && term === this.#role.term && leader === this.#role.leader) return false;
    this.#role = { role, term, leader };
    return true;
  }

  #stepAnswer(message: Answer): void {
    const core = this.#core;
    const isPromise = message.type === 'pre-vote-response' && message.granted;
    if (!isPromise && message.term !== core.term) {
      if (message.term > core.term) core.becomeFollower(message.term, undefined);
      return;
    }
    switch (message.type) {
      case 'pre-vote-response':
      case 'vote-response':
        stepVoteResponse(core, message);
        return;
      default:
        if (core.role === 'leader') stepLeader(core, message);
    }
  }
}
