import type { LogIndex } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import { campaign } from './candidate.ts';
import type { Core } from './core.ts';
import { decodeMembership } from './membership.ts';
import {
  type AppendRequest,
  type Entry,
  type EntryId,
  EntryKind,
  type Heartbeat,
  type SnapshotMeta,
  type SnapshotOffer,
  type TimeoutNow,
} from './messages.ts';

type FromLeader = AppendRequest | Heartbeat | SnapshotOffer | TimeoutNow;

/** Who sends these leads the term (Raft 5.1, 5.2). */
export function stepFromLeader(core: Core, message: FromLeader): void {
  if (message.term < core.term) {
    answerStaleLeader(core, message);
    return;
  }
  if (message.term > core.term || core.role === 'candidate' || core.role === 'pre-candidate') {
    core.becomeFollower(message.term, message.from);
  }
  if (core.role === 'leader') return;
  core.leader ??= message.from;
  if (core.leader !== message.from) return;
  if (mayCountLost(core, message)) {
    reached('raft.damaged-raises-the-term');
    core.mustRaiseTerm = false;
    core.becomeFollower(core.term + 1, undefined);
    answerStaleLeader(core, message);
    return;
  }
  core.electionElapsed = 0;
  core.campaignIn = undefined;
  core.hintedAttempts = 0;
  core.isLogNeeded = false;
  stepFollower(core, message);
}

/**
 * Whether a leader that a damaged replica hears may count entries that it has lost. The one of the term in which it lost them may,
 * and the first one heard: the damage may have taken a later term with it. If that was a stale one the right one follows, and
 * says so: heartbeats name no commit index above what the peer is known to have (R16).
 */
const mayCountLost = (core: Core, message: FromLeader): boolean =>
  core.damagedTerm === core.term ||
  core.mustRaiseTerm ||
  (core.damaged && message.type === 'heartbeat' && message.commit > core.log.last);

/**
 * A leader of an older term learns of the newer one and steps down (Raft 5.1). A damaged replica says so on purpose,
 * by way of a new term, to a leader that may count entries it has lost (R16).
 */
function answerStaleLeader(core: Core, message: FromLeader): void {
  const answer = { from: core.id, to: message.from, term: core.term };
  switch (message.type) {
    case 'append-request':
      reject(core, message, core.log.lastId);
      return;
    case 'heartbeat':
      core.send({ ...answer, type: 'heartbeat-response', readRound: 0, lastIndex: core.log.last });
      return;
    case 'snapshot-offer':
      core.send({ ...answer, type: 'snapshot-response', installed: false, match: core.log.last });
      return;
    case 'timeout-now':
  }
}

/** What a follower does with a message of its own term from its leader. */
function stepFollower(core: Core, message: FromLeader): void {
  switch (message.type) {
    case 'append-request':
      stepAppend(core, message);
      return;
    case 'heartbeat':
      stepHeartbeat(core, message);
      return;
    case 'snapshot-offer':
      stepSnapshotOffer(core, message);
      return;
    case 'timeout-now':
      campaign(core, 'transfer');
      return;
  }
}

/** AppendEntries, receiver (Raft figure 2). Accepted entries are acknowledged when they are durable. */
function stepAppend(core: Core, request: AppendRequest): void {
  if (!isWellFormed(request)) return;
  const { log } = core;
  let { previous, entries } = request;
  if (previous.index < log.commit) {
    const known = log.commit - previous.index;
    if (known > entries.length) {
      reached('raft.append-below-commit');
      accept(core, request, log.commit);
      return;
    }
    previous = { index: log.commit, term: log.termAt(log.commit)! };
    if (entries[known - 1]!.term !== previous.term) return;
    reached('raft.append-across-commit');
    entries = entries.slice(known);
  }
  if (!log.holds(previous)) {
    reached('raft.append-does-not-fit');
    reject(core, request, conflictHint(core, request.previous));
    return;
  }
  appendNew(core, entries);
  const last = previous.index + entries.length;
  commitTo(core, Math.min(request.commit, last));
  accept(core, request, last);
}

/**
 * Entries that the log has already stay, also what is behind them: the request may be a late one. From the first that
 * differs on, the leader's entries replace the log (Raft 5.3, figure 7).
 */
function appendNew(core: Core, entries: readonly Entry[]): void {
  const { log } = core;
  let held = 0;
  while (held < entries.length && log.holds(entries[held]!)) held += 1;
  if (held === entries.length) return;
  const first = entries[held]!.index;
  if (first <= log.last) core.truncateFrom(first);
  core.append(held === 0 ? entries : entries.slice(held));
}

/**
 * A damaged replica stores what it gets and acknowledges nothing. It is whole when it has what a leader of a later term
 * than it lost its entries in has committed in its own term: that leader was elected without it, and everything that
 * was committed before stands in that log (R16, Raft 5.4.2).
 */
function accept(core: Core, request: AppendRequest, match: LogIndex): void {
  const { log } = core;
  if (core.damaged) {
    reached('raft.damaged-does-not-acknowledge');
    if (log.commit >= request.commit && log.termAt(request.commit) === core.term) core.healedAt ??= request.commit;
    core.maybeHeal();
    reject(core, request, { index: match, term: log.termAt(match)! });
    return;
  }
  core.sendWhenDurable({
    type: 'append-response',
    from: core.id,
    to: request.from,
    term: core.term,
    accepted: true,
    match,
    hint: { index: 0, term: 0 },
  });
}

/** Also the answer to a leader of an older term, which learns of the newer one by it. */
function reject(core: Core, request: AppendRequest, hint: EntryId): void {
  core.send({
    type: 'append-response',
    from: core.id,
    to: request.from,
    term: core.term,
    accepted: false,
    match: request.previous.index,
    hint,
  });
}

/** Terms never fall along a log, so nothing of a higher term than the leader's entry can fit (Raft 5.3, last paragraph). */
function conflictHint(core: Core, previous: EntryId): EntryId {
  const index = core.log.lastAtOrBelow(previous.index, previous.term);
  return { index, term: core.log.termAt(index)! };
}

/** A peer's message may be damaged or forged; what does not form a log is dropped before it touches ours. */
function isWellFormed({ previous, entries, term }: AppendRequest): boolean {
  let last: EntryId = previous;
  for (const entry of entries) {
    if (entry.index !== last.index + 1 || entry.term < last.term) return false;
    if (entry.kind === EntryKind.configuration && decodeMembership(entry.payload) === undefined) return false;
    last = entry;
  }
  return last.term <= term;
}

function commitTo(core: Core, index: LogIndex): void {
  core.log.commitTo(index);
  if (core.installing !== undefined && core.installing.snapshot.last.index <= core.log.commit) {
    reached('raft.snapshot-overtaken');
    core.abandonInstallation();
  }
}

/** The leader names no commit index above what this replica has acknowledged to it. */
function stepHeartbeat(core: Core, heartbeat: Heartbeat): void {
  commitTo(core, Math.min(heartbeat.commit, core.log.last));
  core.send({
    type: 'heartbeat-response',
    from: core.id,
    to: heartbeat.from,
    term: core.term,
    readRound: core.damaged ? 0 : heartbeat.readRound,
    lastIndex: core.log.last,
  });
}

/**
 * InstallSnapshot, receiver (Raft 7, figure 13). What the log holds already needs no transfer. No leader has what a later
 * term than its own has written: such an offer is dropped, as an append is that forms no log.
 */
function stepSnapshotOffer(core: Core, offer: SnapshotOffer): void {
  const { snapshot } = offer;
  if (snapshot.last.term > offer.term) return;
  if (snapshot.last.index <= core.log.commit || core.log.holds(snapshot.last)) {
    reached('raft.snapshot-not-needed');
    commitTo(core, snapshot.last.index);
    answerOffer(core, true);
    return;
  }
  const current = core.installing;
  if (current?.from === offer.from && isSameSnapshot(current.snapshot, snapshot)) {
    reached('raft.snapshot-offer-repeated');
    return;
  }
  reached('raft.snapshot-begun');
  core.installing = { from: offer.from, snapshot };
  core.installDue = true;
}

const isSameSnapshot = (a: SnapshotMeta, b: SnapshotMeta): boolean =>
  a.last.index === b.last.index && a.last.term === b.last.term;

/** Tells the leader where to go on: no acknowledgement, so a damaged replica may send it too. */
export function answerOffer(core: Core, installed: boolean): void {
  if (core.leader === undefined || core.leader === core.id) return;
  core.sendWhenDurable({
    type: 'snapshot-response',
    from: core.id,
    to: core.leader,
    term: core.term,
    installed,
    match: installed ? core.log.commit : core.log.last,
  });
}
