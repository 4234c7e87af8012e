import type { NodeId } from '../../src/lib/ids.ts';
import type { Membership } from '../../src/raft/messages.ts';

/** More than half of the voters. Counted here once more: a checker must not believe what it checks. */
const isMajority = (voters: readonly NodeId[], isThere: (voter: NodeId) => boolean): boolean =>
  voters.filter(isThere).length * 2 > voters.length;

/** Of both voter sets while a change is under way (Raft 6). */
export const hasMajorities = ({ voters, outgoing }: Membership, isThere: (voter: NodeId) => boolean): boolean =>
  isMajority(voters, isThere) && (outgoing.length === 0 || isMajority(outgoing, isThere));

/** Whether there can be a majority of one and a majority of the other that share nobody. */
export function canBeDisjoint(one: Membership, other: Membership): boolean {
  return setsOf(one).every(a => setsOf(other).every(b => setsCanBeDisjoint(a, b)));
}

const setsOf = ({ voters, outgoing }: Membership): (readonly NodeId[])[] =>
  outgoing.length === 0 ? [voters] : [voters, outgoing];

/** As few shared voters as possible in both: each side fills its majority with those that it has alone, first. */
function setsCanBeDisjoint(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  const shared = a.filter(id => b.includes(id)).length;
  const fromShared = (set: readonly NodeId[]): number =>
    Math.max(0, Math.floor(set.length / 2) + 1 - (set.length - shared));
  return fromShared(a) + fromShared(b) <= shared;
}
