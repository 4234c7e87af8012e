import { describe, expect, it } from 'vitest';
import { Checkpointer, type CheckpointerDependencies } from '../../../src/cluster/group/checkpointer.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';

const OPTIONS = {
  entries: 10,
  bytes: 1_000,
  idleMs: 1_000,
  trailingEntries: 5,
  trailingBytesMax: 1_000,
  catchUpBytesMax: 1_000,
  offeredBytesMax: 1_000,
  pageBytes: 100,
};
const MEMBERSHIP = { voters: [nodeId(1), nodeId(2), nodeId(3)], outgoing: [], learners: [] };

/** A replica that has applied `applied` entries, of which `durable` are on its disk, and what it does about them, in order. */
function checkpointed(
  applied: number,
  durable: number,
): { readonly steps: string[]; readonly checkpointer: Checkpointer } {
  const steps: string[] = [];
  const machine = {
    applied: 0,
    cut: () => ({
      at: { term: 1, index: applied },
      nextPages: () => [],
      completed: () => void steps.push('cut completed'),
      abandoned: () => {},
    }),
  };
  const raft = {
    durable,
    base: { term: 0, index: 0 },
    termAt: () => 1,
    membershipAt: () => MEMBERSHIP,
    status: () => ({ peers: [] }),
    compactTo: ({ index }: { index: number }) => void steps.push(`the log begins behind ${index}`),
  };
  const store = {
    generationOf: () => 0,
    floorWithin: () => 0,
    beginCheckpoint: () => ({ add: async () => {}, finish: async () => void steps.push('checkpoint durable') }),
    journal: {
      checkpointed: (_: number, index: number) => void steps.push(`journal told of ${index}`),
      append: ({ base }: { base: { last: { index: number } } }) =>
        void steps.push(`journal begins behind ${base.last.index}`),
    },
  };
  const deps = {
    driver: { group: groupId(1), applied: { term: 1, index: applied }, appliedBytes: 0, raft },
    machine,
    store,
    offered: () => undefined,
    monotonicMs: () => 0,
  } as unknown as CheckpointerDependencies;
  const checkpointer = new Checkpointer(OPTIONS, deps);
  machine.applied = applied;
  return { steps, checkpointer };
}

describe('a checkpoint', () => {
  it('is durable before anything is given up for it, and nobody asks the journal for what it gives up', async () => {
    const { steps, checkpointer } = checkpointed(20, 20);
    checkpointer.tick();
    await checkpointer.suspend();
    expect(steps).toEqual([
      'checkpoint durable',
      'cut completed',
      'journal told of 20',
      'the log begins behind 15',
      'journal begins behind 15',
    ]);
  });

  it('is not cut above what is durable in the journal', async () => {
    const { steps, checkpointer } = checkpointed(20, 19);
    checkpointer.tick();
    await checkpointer.suspend();
    expect(steps).toEqual([]);
  });
});
