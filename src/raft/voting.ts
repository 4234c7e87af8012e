import type { NodeId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { Core } from './core.ts';
import type { VoteRequest, VoteResponse } from './messages.ts';

/**
 * Answers a candidate or pre-candidate, in every role. A replica that hears from a leader ignores it (Raft 4.2.3 of the
 * thesis), except in a leadership transfer. A forced pre-vote is answered, but granted only by a replica that lost its
 * leader too.
 */
export function stepVoteRequest(core: Core, request: VoteRequest): void {
  const isTransfer = request.force && request.type === 'vote-request';
  if (request.term > core.term && core.leaderIsAlive && !isTransfer) {
    if (request.force) {
      reached('raft.forced-pre-vote-refused');
      refuse(core, request);
    }
    return;
  }
  if (!core.log.isUpToDate(request.last)) core.isLogNeeded = true;
  if (request.type === 'pre-vote-request') {
    answerPreVote(core, request);
    return;
  }
  if (request.term > core.term) core.becomeFollower(request.term, undefined);
  if (request.term < core.term || !mayVoteFor(core, request.from) || !core.log.isUpToDate(request.last)) {
    refuse(core, request);
    return;
  }
  core.giveVote(request.from);
  core.sendWhenDurable(response(core, request, true));
}

/** A pre-vote promises nothing and changes nothing, so it need not be durable (thesis 9.6). */
function answerPreVote(core: Core, request: VoteRequest): void {
  const granted = request.term > core.term && !core.damaged && core.log.isUpToDate(request.last);
  if (granted) core.send(response(core, request, true));
  else refuse(core, request);
}

/** One vote in a term, first come, first served (Raft 5.2). */
function mayVoteFor(core: Core, candidate: NodeId): boolean {
  if (core.damaged) {
    reached('raft.damaged-does-not-vote');
    return false;
  }
  return core.vote === candidate || (core.vote === undefined && core.leader === undefined);
}

function refuse(core: Core, request: VoteRequest): void {
  core.send(response(core, request, false));
}

/** A granted pre-vote speaks of the term that was asked for; everything else of the own term. */
function response(core: Core, request: VoteRequest, granted: boolean): VoteResponse {
  const isPreVote = request.type === 'pre-vote-request';
  return {
    type: isPreVote ? 'pre-vote-response' : 'vote-response',
    from: core.id,
    to: request.from,
    term: isPreVote && granted ? request.term : core.term,
    granted,
  };
}
