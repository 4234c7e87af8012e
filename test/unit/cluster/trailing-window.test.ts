import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { baseOf, type TrailingWindow } from '../../../src/cluster/group/trailing-window.ts';

const usual: TrailingWindow = {
  checkpointed: 10_000,
  wanted: { through: 0, isUrgent: false },
  entries: 1_000,
  restartFloor: 0,
  catchUpFloor: 0,
  followers: [],
  offered: undefined,
};
const follower = (match: number, recentlyActive = true) => ({ match, recentlyActive });

describe('where the log begins', () => {
  it('is a number of entries behind the checkpoint, or fewer when they are large', () => {
    expect(baseOf(usual)).toBe(9_000);
    expect(baseOf({ ...usual, restartFloor: 9_700 })).toBe(9_700);
    expect(baseOf({ ...usual, checkpointed: 300 })).toBe(0);
  });

  it('waits for a follower that answers, up to a bound', () => {
    expect(baseOf({ ...usual, followers: [follower(9_900), follower(4_000)] })).toBe(4_000);
    expect(baseOf({ ...usual, followers: [follower(4_000)], catchUpFloor: 6_000 })).toBe(6_000);
  });

  it('does not wait for one that is away, or that nothing is known of', () => {
    expect(baseOf({ ...usual, followers: [follower(4_000, false), follower(0)] })).toBe(9_000);
  });

  it('waits for a follower that is being sent a snapshot', () => {
    expect(baseOf({ ...usual, offered: 5_000 })).toBe(5_000);
    expect(baseOf({ ...usual, offered: 9_990 })).toBe(9_000);
    expect(baseOf({ ...usual, offered: 5_000, catchUpFloor: 7_000 })).toBe(7_000);
  });

  it('is never behind the checkpoint, whatever is asked for', () => {
    const index = fc.nat(20_000);
    const window = fc.record({
      checkpointed: fc.constant(10_000),
      wanted: fc.record({ through: index, isUrgent: fc.boolean() }),
      entries: index,
      restartFloor: fc.nat(10_000),
      catchUpFloor: fc.nat(10_000),
      followers: fc.array(fc.record({ match: index, recentlyActive: fc.boolean() })),
      offered: fc.option(index, { nil: undefined }),
    });
    fc.assert(
      fc.property(window, one => {
        expect(baseOf(one)).toBeLessThanOrEqual(one.checkpointed);
      }),
    );
  });
});
