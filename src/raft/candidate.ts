import { assert } from '../lib/assert.ts';
import type { NodeId, Term } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { Core } from './core.ts';
import { lead } from './leader.ts';
import { membersOf } from './membership.ts';
import type { VoteRequest, VoteResponse } from './messages.ts';
import { voteResult } from './quorum.ts';

/** `timeout`: no word from a leader. `preferred`: this replica is asked to lead. Both respect a living leader. */
export type CampaignReason = 'timeout' | 'preferred' | 'leader-gone' | 'transfer';

/** A first campaign begins within so many ticks after a hint that the leader is gone. */
const HINT_DELAY_TICKS_MAX = 3;
/** Attempts that may follow each other quickly after such a hint; then the election timeout decides again. */
const HINTED_ATTEMPTS_MAX = 6;

/** Begins an election, unless this replica leads or may not lead. */
export function campaign(core: Core, reason: CampaignReason): void {
  if (core.role === 'leader' || !core.promotable) return;
  if (reason === 'transfer') {
    reached('raft.transfer-campaign');
    startElection(core, { force: true });
    return;
  }
  if (!core.hasVote) reached('raft.learner-campaigns');
  core.becomePreCandidate();
  retrySoon(core);
  const request = { force: reason === 'leader-gone', type: 'pre-vote-request', term: core.term + 1 } as const;
  for (const voter of otherVoters(core)) core.send(voteRequest(core, voter, request));
  countVote(core, core.id, true);
}

/**
 * The leader's process is known to be gone: its lease is forgotten, so that pre-votes are granted, and this replica
 * campaigns soon. The random delay keeps two followers with the same hint from splitting the vote.
 */
export function leaderIsGone(core: Core): void {
  reached('raft.leader-known-gone');
  core.leader = undefined;
  if (!core.promotable) return;
  core.hintedAttempts = HINTED_ATTEMPTS_MAX;
  core.campaignIn = core.random.integer(0, HINT_DELAY_TICKS_MAX);
  if (core.campaignIn === 0) campaign(core, 'leader-gone');
}

/** The other replicas may have got the same hint a little later, or have campaigned at the same time. */
function retrySoon(core: Core): void {
  if (core.hintedAttempts === 0) return;
  reached('raft.hinted-campaign-repeated');
  core.hintedAttempts -= 1;
  core.campaignIn = core.random.integer(2, Math.max(4, core.options.electionTimeoutTicks >> 1));
}

/** Follower, pre-candidate and candidate: campaign when nobody was heard for the election timeout (Raft 5.2). */
export function tickWithoutLead(core: Core): void {
  core.electionElapsed += 1;
  if (core.campaignIn !== undefined) {
    core.campaignIn -= 1;
    if (core.campaignIn <= 0) {
      core.campaignIn = undefined;
      campaign(core, 'leader-gone');
      return;
    }
  }
  if (core.electionElapsed < core.electionTimeout) return;
  core.electionElapsed = 0;
  if (core.promotable) campaign(core, 'timeout');
  else core.leader = undefined;
}

/** Answers to the present campaign; others are late. */
export function stepVoteResponse(core: Core, response: VoteResponse): void {
  if (response.type === 'pre-vote-response') {
    if (core.role !== 'pre-candidate') return;
    if (response.granted && response.term !== core.term + 1) return;
  } else if (core.role !== 'candidate') {
    return;
  }
  countVote(core, response.from, response.granted);
}

/** The vote for itself is on disk, so it counts like one that came in a message. */
export function ownVoteIsDurable(core: Core, term: Term): void {
  if (core.role === 'candidate' && core.term === term) countVote(core, core.id, true);
}

/** The requests say "I voted for myself in this term", so they leave when that is durable. */
function startElection(core: Core, { force }: { readonly force: boolean }): void {
  core.becomeCandidate();
  retrySoon(core);
  const request = { force, type: 'vote-request', term: core.term } as const;
  for (const voter of otherVoters(core)) core.sendWhenDurable(voteRequest(core, voter, request));
}

function countVote(core: Core, voter: NodeId, granted: boolean): void {
  if (!core.votes.has(voter)) core.votes.set(voter, granted);
  const result = voteResult(core.memberships.current, core.votes);
  if (result === 'pending') return;
  if (result === 'lost') {
    lose(core);
    return;
  }
  if (core.role === 'pre-candidate') {
    startElection(core, { force: false });
    return;
  }
  assert(core.role === 'candidate', () => `a ${core.role} won an election`);
  lead(core);
}

function lose(core: Core): void {
  reached('raft.campaign-lost');
  core.becomeFollower(core.term, undefined);
  retrySoon(core);
}

function otherVoters(core: Core): NodeId[] {
  const { voters, outgoing } = core.memberships.current;
  return membersOf({ voters, outgoing, learners: [] }).filter(voter => voter !== core.id);
}

function voteRequest(core: Core, to: NodeId, request: Pick<VoteRequest, 'type' | 'term' | 'force'>): VoteRequest {
  return { ...request, from: core.id, to, last: core.log.lastId };
}
