import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';
import type { Membership } from '../../../src/raft/messages.ts';
import { committedIndex, voteResult } from '../../../src/raft/quorum.ts';

const ids = (...values: number[]): NodeId[] => values.map(nodeId);
const members = (voters: number[], outgoing: number[] = []): Membership => ({
  voters: ids(...voters),
  outgoing: ids(...outgoing),
  learners: [],
});
const matches = (values: Record<number, number>) => (voter: NodeId) => values[voter] ?? 0;
const votesOf = (values: Record<number, boolean>) =>
  new Map(Object.entries(values).map(([voter, vote]) => [nodeId(Number(voter)), vote]));

const idsArb = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 }).map(list => ids(...list));
const membershipArb = fc.record({
  voters: idsArb,
  outgoing: fc.oneof(fc.constant([]), idsArb),
  learners: fc.constant([]),
});

/** The definitions, word for word. */
const isMajority = (voters: readonly NodeId[], has: (voter: NodeId) => boolean) =>
  voters.filter(has).length * 2 > voters.length;
const halves = ({ voters, outgoing }: Membership) => (outgoing.length === 0 ? [voters] : [voters, outgoing]);

describe('committed index', () => {
  it.each([
    { voters: [1], match: { 1: 7 }, expected: 7 },
    { voters: [1, 2], match: { 1: 7, 2: 5 }, expected: 5 },
    { voters: [1, 2, 3], match: { 1: 7, 2: 5, 3: 6 }, expected: 6 },
    { voters: [1, 2, 3], match: { 1: 7 }, expected: 0 },
    { voters: [1, 2, 3, 4], match: { 1: 9, 2: 8, 3: 7, 4: 6 }, expected: 7 },
    { voters: [1, 2, 3, 4, 5], match: { 1: 9, 2: 9, 3: 9 }, expected: 9 },
    { voters: [], match: {}, expected: 0 },
  ])('of $voters with $match is $expected', ({ voters, match, expected }) => {
    expect(committedIndex(members(voters), matches(match))).toBe(expected);
  });

  it.each([
    { voters: [3, 4, 5], outgoing: [1, 2, 3], match: { 1: 9, 2: 9, 3: 9 }, expected: 0 },
    { voters: [3, 4, 5], outgoing: [1, 2, 3], match: { 1: 9, 2: 9, 3: 8, 4: 7 }, expected: 7 },
    { voters: [1, 2], outgoing: [1], match: { 1: 4, 2: 3 }, expected: 3 },
  ])('needs both majorities of $voters and $outgoing', ({ voters, outgoing, match, expected }) => {
    expect(committedIndex(members(voters, outgoing), matches(match))).toBe(expected);
  });

  it('is the highest index that a majority of each half has reached', () => {
    fc.assert(
      fc.property(membershipArb, fc.array(fc.nat(20), { minLength: 10, maxLength: 10 }), (membership, values) => {
        const matchOf = (voter: NodeId) => values[voter]!;
        let highest = 0;
        for (let index = 1; index <= 20; index++) {
          if (halves(membership).every(half => isMajority(half, voter => matchOf(voter) >= index))) highest = index;
        }
        expect(committedIndex(membership, matchOf)).toBe(highest);
      }),
    );
  });
});

describe('vote result', () => {
  it.each([
    { voters: [1], votes: {}, expected: 'pending' },
    { voters: [1], votes: { 1: true }, expected: 'won' },
    { voters: [1, 2, 3], votes: { 1: true }, expected: 'pending' },
    { voters: [1, 2, 3], votes: { 1: true, 2: true }, expected: 'won' },
    { voters: [1, 2, 3], votes: { 1: true, 2: false }, expected: 'pending' },
    { voters: [1, 2, 3], votes: { 1: true, 2: false, 3: false }, expected: 'lost' },
    { voters: [1, 2, 3, 4], votes: { 1: true, 2: true, 3: false, 4: false }, expected: 'lost' },
    { voters: [1, 2, 3], votes: { 1: true, 8: true, 9: true }, expected: 'pending' },
    { voters: [], votes: { 1: true }, expected: 'lost' },
  ])('of $voters with $votes is $expected', ({ voters, votes, expected }) => {
    expect(voteResult(members(voters), votesOf(votes))).toBe(expected);
  });

  it.each([
    { votes: { 1: true, 2: true }, expected: 'pending' },
    { votes: { 1: true, 2: true, 3: true, 4: true }, expected: 'won' },
    { votes: { 1: false, 2: false, 3: true, 4: true }, expected: 'lost' },
  ])('of a joint membership with $votes is $expected', ({ votes, expected }) => {
    expect(voteResult(members([3, 4, 5], [1, 2, 3]), votesOf(votes))).toBe(expected);
  });

  it('is won with a majority of each half, lost when one half cannot win any more', () => {
    const votesArb = fc.array(fc.option(fc.boolean(), { nil: undefined }), { minLength: 10, maxLength: 10 });
    fc.assert(
      fc.property(membershipArb, votesArb, (membership, values) => {
        const votes = new Map<NodeId, boolean>();
        for (const [id, vote] of values.entries()) if (vote !== undefined) votes.set(nodeId(id), vote);
        const won = halves(membership).every(half => isMajority(half, voter => values[voter] === true));
        const open = halves(membership).every(half => isMajority(half, voter => values[voter] !== false));
        expect(voteResult(membership, votes)).toBe(won ? 'won' : open ? 'pending' : 'lost');
      }),
    );
  });
});
