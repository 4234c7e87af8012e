import { describe, expect, it } from 'vitest';
import { gatherLivingBodies, HeldEntries } from '../../../src/cluster/group/living-bodies.ts';

const references = (...refs: readonly (readonly [entry: number, position: number])[]) => ({
  entries: refs.map(([entry]) => entry),
  positions: refs.map(([, position]) => position),
  lengths: refs.map(() => 10),
  accounted: refs.map(() => 10),
});
const noPause = async (): Promise<void> => {};

describe('the bodies that a snapshot needs', () => {
  it('are each entry once, ascending, whichever queues its messages are in', async () => {
    const pieces = [references([9, 0], [9, 50]), references([4, 0], [9, 0])];
    const bodies = await gatherLivingBodies(pieces, () => true, noPause);
    expect(bodies.map(({ entry }) => entry)).toEqual([4, 9]);
    expect(bodies.every(({ stragglers }) => stragglers === undefined)).toBe(true);
  });

  it('are single messages where the entry has left the journal', async () => {
    const pieces = [references([4, 0], [4, 50]), references([4, 0], [6, 0])];
    const bodies = await gatherLivingBodies(pieces, entry => entry !== 4, noPause);
    expect(bodies).toEqual([
      {
        entry: 4,
        stragglers: [
          { entry: 4, position: 0, length: 10 },
          { entry: 4, position: 50, length: 10 },
        ],
      },
      { entry: 6, stragglers: undefined },
    ]);
  });

  it('are not sent when the follower names index and term', () => {
    const held = new HeldEntries([
      { term: 2, first: 30, last: 40 },
      { term: 1, first: 5, last: 20 },
    ]);
    expect([4, 5, 20, 21, 30, 40, 41].map(index => held.has(index, index < 25 ? 1 : 2))).toEqual([
      false,
      true,
      true,
      false,
      true,
      true,
      false,
    ]);
    expect(held.has(30, 1)).toBe(false);
  });
});
