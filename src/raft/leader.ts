import type { LogIndex, NodeId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { Core, Leadership } from './core.ts';
import { changeTowards, encodeMembership, isJoint, isVoter, leaveJoint, membersOf } from './membership.ts';
import {
  type AppendResponse,
  type EntryId,
  EntryKind,
  type HeartbeatResponse,
  type Membership,
  type SnapshotResponse,
} from './messages.ts';
import { Progress } from './progress.ts';
import { committedIndex, voteResult } from './quorum.ts';
import type { ProposeResult } from './ready.ts';
import { replicate, sendHeartbeats } from './replication.ts';

const NOTHING = new Uint8Array(0);

/**
 * Takes the lead after an election. The first entry of the term is empty: it commits, with itself, everything earlier
 * terms left behind (Raft 5.4.2, 8).
 */
export function lead(core: Core): void {
  const leadership: Leadership = {
    peers: new Map(),
    firstIndex: core.log.last + 1,
    heartbeatElapsed: 0,
    heartbeatDue: true,
    readRound: 0,
    reads: [],
    transfer: undefined,
    writeAtCheck: undefined,
  };
  core.becomeLeader(leadership);
  followMembership(core, { countAsHeard: false });
  appendOwn(core, EntryKind.empty, NOTHING);
}

/** Answers of the own term. Those of strangers, and of members that were removed, do not matter. */
export function stepLeader(core: Core, message: AppendResponse | HeartbeatResponse | SnapshotResponse): void {
  const progress = core.leadership!.peers.get(message.from);
  if (progress === undefined) {
    reached('raft.answer-of-a-stranger');
    return;
  }
  progress.heard();
  switch (message.type) {
    case 'append-response':
      stepAppendResponse(core, progress, message);
      return;
    case 'heartbeat-response':
      progress.heartbeatAnswered(message.lastIndex);
      progress.readRound = Math.max(progress.readRound, Math.min(message.readRound, core.leadership!.readRound));
      return;
    case 'snapshot-response':
      stepSnapshotResponse(core, progress, message);
      return;
  }
}

function stepAppendResponse(core: Core, progress: Progress, response: AppendResponse): void {
  if (!response.accepted) {
    progress.rejected(response.match, nextAfterConflict(core, response.hint));
    return;
  }
  if (response.match > core.log.last) return;
  progress.accepted(response.match);
  maybeCommit(core);
}

/**
 * Where the logs may agree: at the peer's hint, or at the last entry of this log with a term not above the hint's (Raft
 * 5.3). Behind the base if even the base's term is: then only a snapshot helps.
 */
function nextAfterConflict(core: Core, hint: EntryId): LogIndex {
  const { log } = core;
  if (hint.index < log.base.index) {
    reached('raft.conflict-below-base');
    return hint.index + 1;
  }
  const common = log.lastAtOrBelow(hint.index, hint.term);
  return log.termAt(common)! > hint.term ? common : common + 1;
}

/** The peer says where to go on; only its answers to appends count as acknowledgements. */
function stepSnapshotResponse(core: Core, progress: Progress, response: SnapshotResponse): void {
  if (progress.state !== 'snapshot') return;
  progress.becomeProbe(Math.max(progress.match, Math.min(response.match, core.log.last)) + 1);
  if (!response.installed) {
    reached('raft.snapshot-refused');
    progress.probing = true;
  }
}

/**
 * Commits what a majority has on disk, this replica's disk included, if it is of the own term; what comes before is
 * committed with it (Raft 5.3, 5.4.2, figure 8).
 */
export function maybeCommit(core: Core): void {
  const { log, leadership } = core;
  const agreed = committedIndex(core.memberships.current, voter => {
    return voter === core.id ? log.durable : (leadership!.peers.get(voter)?.match ?? 0);
  });
  if (agreed <= log.commit) return;
  if (log.termAt(agreed) !== core.term) {
    reached('raft.old-term-not-counted');
    return;
  }
  log.commitTo(agreed);
  if (core.memberships.currentIndex <= agreed) membershipCommitted(core);
}

/** The first half of a joint change is followed by the second; a leader that is not a voter any more goes (Raft 6). */
function membershipCommitted(core: Core): void {
  const { current } = core.memberships;
  if (isJoint(current)) {
    reached('raft.joint-membership-left');
    appendMembership(core, leaveJoint(current));
  } else if (!isVoter(current, core.id)) handOver(core, current);
}

/** The others learn that the change is committed, and the one with the longest log need not wait for a timeout. */
function handOver(core: Core, membership: Membership): void {
  reached('raft.leader-removed');
  replicate(core);
  const { peers } = core.leadership!;
  let successor: NodeId | undefined;
  let longest = -1;
  for (const voter of membership.voters) {
    const match = peers.get(voter)?.match ?? 0;
    if (match > longest) [successor, longest] = [voter, match];
  }
  if (successor !== undefined) core.send({ type: 'timeout-now', from: core.id, to: successor, term: core.term });
  core.becomeFollower(core.term, undefined);
}

export function propose(core: Core, payload: Uint8Array): ProposeResult {
  const { leadership } = core;
  if (leadership === undefined || leadership.transfer !== undefined) return { proposed: false, leader: core.leader };
  return { proposed: true, id: appendOwn(core, EntryKind.command, payload) };
}

/** One change at a time, and none before this leader knows what is committed (thesis 4.1; the 2015 correction). */
export function proposeMembership(core: Core, target: Membership): ProposeResult {
  const { leadership, log, memberships } = core;
  const refused: ProposeResult = { proposed: false, leader: core.leader };
  if (leadership === undefined || leadership.transfer !== undefined) return refused;
  if (log.commit < leadership.firstIndex || memberships.currentIndex > log.commit) return refused;
  const next = changeTowards(memberships.current, target);
  return next === undefined ? refused : { proposed: true, id: appendMembership(core, next) };
}

function appendMembership(core: Core, membership: Membership): EntryId {
  const id = appendOwn(core, EntryKind.configuration, encodeMembership(membership));
  followMembership(core, { countAsHeard: true });
  return id;
}

function appendOwn(core: Core, kind: EntryKind, payload: Uint8Array): EntryId {
  const entry = { kind, payload, term: core.term, index: core.log.last + 1 };
  core.append([entry]);
  return { term: entry.term, index: entry.index };
}

/**
 * Peers are the members of the membership in force. New ones start as probes; those of a running leadership count as
 * heard from until the next quorum check, or adding them would end it.
 */
function followMembership(core: Core, added: { readonly countAsHeard: boolean }): void {
  const { options, leadership, log } = core;
  const peers = new Map<NodeId, Progress>();
  for (const member of membersOf(core.memberships.current)) {
    if (member === core.id) continue;
    let progress = leadership!.peers.get(member);
    if (progress === undefined) {
      progress = new Progress(log.last + 1, options.inflightEntriesMax, options.inflightBytesMax);
      if (added.countAsHeard) progress.heard();
    }
    peers.set(member, progress);
  }
  leadership!.peers = peers;
  const to = leadership!.transfer?.to;
  if (to !== undefined && !peers.has(to)) leadership!.transfer = undefined;
}

export function tickLeader(core: Core): void {
  const leadership = core.leadership!;
  core.electionElapsed += 1;
  leadership.heartbeatElapsed += 1;
  if (leadership.transfer !== undefined) {
    leadership.transfer.elapsed += 1;
    if (leadership.transfer.elapsed >= core.options.electionTimeoutTicks) {
      reached('raft.transfer-given-up');
      leadership.transfer = undefined;
    }
  }
  if (core.electionElapsed >= core.options.electionTimeoutTicks) {
    core.electionElapsed = 0;
    if (!mayStayLeader(core, leadership)) {
      core.becomeFollower(core.term, undefined);
      return;
    }
  }
  if (leadership.heartbeatElapsed >= core.options.heartbeatTicks) leadership.heartbeatDue = true;
}

/** CheckQuorum (thesis 6.2): a leader that a majority does not hear, or whose own disk hangs (R10), makes room. */
function mayStayLeader(core: Core, leadership: Leadership): boolean {
  const heard = new Map<NodeId, boolean>([[core.id, true]]);
  for (const [peer, progress] of leadership.peers) heard.set(peer, progress.takeHeard());
  const membership = core.memberships.current;
  if (voteResult(membership, heard) !== 'won') {
    reached('raft.leader-without-quorum');
    return false;
  }
  const oldest = core.pendingWrites[0]?.number;
  const hangs = oldest !== undefined && oldest === leadership.writeAtCheck;
  leadership.writeAtCheck = oldest;
  return !hangs || membersOf({ ...membership, learners: [] }).every(voter => voter === core.id);
}

/** Thesis 3.10. The target is brought up to date first; meanwhile nothing is proposed. */
export function transferLeadership(core: Core, to: NodeId): boolean {
  const { leadership } = core;
  const progress = leadership?.peers.get(to);
  if (leadership === undefined || progress === undefined || !progress.recentlyActive) return false;
  if (!core.memberships.current.voters.includes(to)) return false;
  if (leadership.transfer !== undefined) return leadership.transfer.to === to;
  leadership.transfer = { to, elapsed: 0, asked: false };
  return true;
}

/** Registers a read; its round of heartbeats leaves with the next ready (Raft 8, thesis 6.4). */
export function readIndex(core: Core, context: number): boolean {
  const { leadership, log } = core;
  if (leadership === undefined) return false;
  const index = log.commit >= leadership.firstIndex ? log.commit : undefined;
  leadership.reads.push({ context, round: leadership.readRound + 1, index });
  return true;
}

/** All that a leader sends without being asked: appends, heartbeats, the end of a transfer, confirmed reads. */
export function flushLeader(core: Core): void {
  const leadership = core.leadership!;
  replicate(core);
  const lastRead = leadership.reads.at(-1);
  if (lastRead !== undefined && lastRead.round > leadership.readRound) {
    leadership.readRound = lastRead.round;
    leadership.heartbeatDue = true;
  }
  if (leadership.heartbeatDue) sendHeartbeats(core);
  finishTransfer(core, leadership);
  confirmReads(core, leadership);
}

function finishTransfer(core: Core, leadership: Leadership): void {
  const { transfer } = leadership;
  if (transfer === undefined || transfer.asked) return;
  if (leadership.peers.get(transfer.to)!.match < core.log.last) return;
  reached('raft.transfer-asked');
  transfer.asked = true;
  core.send({ type: 'timeout-now', from: core.id, to: transfer.to, term: core.term });
}

/** A read is safe when a majority still knew this leader after it came in, and this leader knows what is committed. */
function confirmReads(core: Core, leadership: Leadership): void {
  const { reads } = leadership;
  if (reads.length === 0 || core.log.commit < leadership.firstIndex) return;
  const confirmed = committedIndex(core.memberships.current, voter => {
    return voter === core.id ? leadership.readRound : (leadership.peers.get(voter)?.readRound ?? 0);
  });
  let count = 0;
  for (const read of reads) {
    if (read.round > confirmed) break;
    core.reads.push({ context: read.context, index: read.index ?? core.log.commit });
    count += 1;
  }
  if (count > 0) leadership.reads = reads.slice(count);
}
