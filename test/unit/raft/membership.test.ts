import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';
import {
  changeTowards,
  decodeMembership,
  encodeMembership,
  isJoint,
  isValidMembership,
  isVoter,
  leaveJoint,
  MembershipHistory,
  membersOf,
} from '../../../src/raft/membership.ts';
import type { Membership } from '../../../src/raft/messages.ts';

const ids = (values: readonly number[]): NodeId[] => [...values].sort((a, b) => a - b).map(nodeId);
const members = (voters: number[], outgoing: number[] = [], learners: number[] = []): Membership => ({
  voters: ids(voters),
  outgoing: ids(outgoing),
  learners: ids(learners),
});

const idArb = fc.integer({ min: 1, max: 2 ** 40 });
const membershipArb = fc
  .record({
    voters: fc.uniqueArray(idArb, { minLength: 1, maxLength: 7 }),
    outgoing: fc.uniqueArray(idArb, { maxLength: 7 }),
    learners: fc.uniqueArray(idArb, { maxLength: 7 }),
  })
  .map(({ voters, outgoing, learners }) =>
    members(
      voters,
      outgoing,
      learners.filter(id => !voters.includes(id)),
    ),
  );

describe('membership codec', () => {
  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(membershipArb, membership => {
        expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
      }),
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        const membership = decodeMembership(bytes);
        if (membership !== undefined) expect(isValidMembership(membership)).toBe(true);
      }),
    );
  });

  it('refuses a payload that is cut off, goes on too long, or is of another version', () => {
    const payload = encodeMembership(members([1, 2, 3], [], [4]));
    expect(decodeMembership(payload.subarray(0, payload.length - 1))).toBeUndefined();
    expect(decodeMembership(Uint8Array.of(...payload, 0))).toBeUndefined();
    expect(decodeMembership(Uint8Array.of(9, ...payload.subarray(1)))).toBeUndefined();
  });
});

describe('membership', () => {
  it.each([
    { why: 'nobody votes', membership: { voters: [], outgoing: [], learners: [] } },
    { why: 'voters do not ascend', membership: { voters: ids([1, 2]).reverse(), outgoing: [], learners: [] } },
    { why: 'a voter is listed twice', membership: { voters: [nodeId(1), nodeId(1)], outgoing: [], learners: [] } },
    { why: 'an id is zero', membership: { voters: [nodeId(0)], outgoing: [], learners: [] } },
    { why: 'a voter is a learner', membership: members([1, 2], [], [2]) },
  ])('is not valid when $why', ({ membership }) => {
    expect(isValidMembership(membership)).toBe(false);
  });

  it('counts incoming and outgoing voters as voters, learners not', () => {
    const joint = members([2, 3], [1, 2], [4]);
    expect([1, 2, 3, 4, 5].filter(id => isVoter(joint, nodeId(id)))).toEqual([1, 2, 3]);
    expect(membersOf(joint)).toEqual([1, 2, 3, 4]);
  });
});

describe('membership change', () => {
  it.each([
    { name: 'another voter', current: members([1, 2, 3]), target: members([1, 2, 3, 4]) },
    { name: 'a promoted learner', current: members([1, 2, 3], [], [4]), target: members([1, 2, 3, 4]) },
    { name: 'a demoted voter', current: members([1, 2, 3]), target: members([1, 2], [], [3]) },
    { name: 'another set of voters', current: members([1, 2, 3]), target: members([4, 5, 6]) },
  ])('to $name goes through joint consensus and ends at the target', ({ current, target }) => {
    const joint = changeTowards(current, target)!;
    expect(joint.outgoing).toEqual(current.voters);
    expect(joint.voters).toEqual(target.voters);
    expect(leaveJoint(joint)).toEqual(target);
  });

  it('of learners only takes one step', () => {
    const target = members([1, 2, 3], [], [4, 5]);
    expect(changeTowards(members([1, 2, 3]), target)).toEqual(target);
  });

  it.each([
    { name: 'a change is under way', current: members([1, 2], [1]), target: members([1, 2, 3]) },
    { name: 'the target is joint', current: members([1]), target: members([1, 2], [1]) },
    { name: 'the target is not valid', current: members([1]), target: members([]) },
    { name: 'nothing changes', current: members([1, 2]), target: members([1, 2]) },
  ])('is refused when $name', ({ current, target }) => {
    expect(changeTowards(current, target)).toBeUndefined();
  });

  it('of voters always needs the old majority too, and ends at the target', () => {
    fc.assert(
      fc.property(membershipArb, membershipArb, (a, b) => {
        const current = { ...a, outgoing: [] };
        const target = { ...b, outgoing: [] };
        const next = changeTowards(current, target);
        if (next === undefined || !isJoint(next)) return;
        expect(next.outgoing).toEqual(current.voters);
        expect(leaveJoint(next)).toEqual(target);
      }),
    );
  });
});

describe('membership history', () => {
  const first = members([1]);
  const second = members([1, 2], [1]);
  const third = members([1, 2]);
  const history = () =>
    new MembershipHistory(3, first, [
      { index: 5, membership: second },
      { index: 8, membership: third },
    ]);

  it('knows the membership at every index from the base on', () => {
    expect([3, 4, 5, 7, 8, 9].map(index => history().at(index))).toEqual([first, first, second, second, third, third]);
    expect(() => history().at(2)).toThrow();
  });

  it('goes back when the entry is truncated', () => {
    const truncated = history();
    truncated.truncateFrom(8);
    expect(truncated.current).toBe(second);
    truncated.truncateFrom(4);
    expect(truncated.current).toBe(first);
    expect(truncated.currentIndex).toBe(3);
  });

  it('keeps what was in force when the log is compacted', () => {
    const compacted = history();
    compacted.compactTo(6);
    expect(compacted.at(6)).toBe(second);
    expect(compacted.at(8)).toBe(third);
    expect(() => compacted.at(5)).toThrow();
  });

  it('takes the membership of a snapshot', () => {
    const restored = history();
    restored.restore(20, members([7]));
    expect(restored.current).toEqual(members([7]));
    expect(restored.currentIndex).toBe(20);
  });
});
