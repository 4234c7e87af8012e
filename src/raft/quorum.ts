import type { LogIndex, NodeId } from '../lib/ids.ts';
import type { Membership } from './messages.ts';

/** How a campaign stands. */
export type VoteResult = 'won' | 'lost' | 'pending';

/**
 * The highest value that a majority of `voters` has reached; 0 without voters. `reachedBy` gives what each has reached:
 * its match index, or its read round.
 */
export function majorityReached(voters: readonly NodeId[], reachedBy: (voter: NodeId) => number): number {
  const count = voters.length;
  if (count === 0) return 0;
  const descending: number[] = [];
  for (const voter of voters) {
    const value = reachedBy(voter);
    let at = descending.length;
    while (at > 0 && descending[at - 1]! < value) {
      descending[at] = descending[at - 1]!;
      at -= 1;
    }
    descending[at] = value;
  }
  return descending[majorityOf(count) - 1]!;
}

/** The commit rule (Raft 5.3), by both majorities while a change is under way (Raft 6). */
export function committedIndex(membership: Membership, matchOf: (voter: NodeId) => LogIndex): LogIndex {
  const incoming = majorityReached(membership.voters, matchOf);
  if (membership.outgoing.length === 0) return incoming;
  return Math.min(incoming, majorityReached(membership.outgoing, matchOf));
}

/** The election rule (Raft 5.2), by both majorities while a change is under way (Raft 6). */
export function voteResult(membership: Membership, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const incoming = majorityVote(membership.voters, votes);
  if (membership.outgoing.length === 0) return incoming;
  const outgoing = majorityVote(membership.outgoing, votes);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  let granted = 0;
  let rejected = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    if (vote === false) rejected += 1;
  }
  const majority = majorityOf(voters.length);
  if (granted >= majority) return 'won';
  return voters.length - rejected < majority ? 'lost' : 'pending';
}

const majorityOf = (count: number): number => Math.floor(count / 2) + 1;
