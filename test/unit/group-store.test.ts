import { beforeEach, describe, expect, it } from 'vitest';
import { A, appending, B, basing, disk, entry, recovered } from '../support/journal-fixture.ts';
import type { SimulatedFiles } from '../support/simulated-files.ts';
import { StoreLife } from '../support/store-life.ts';

describe('what a store remembers of losses', () => {
  let files: SimulatedFiles;
  let life: StoreLife;

  beforeEach(async () => {
    files = disk();
    life = await StoreLife.begin(files);
    for (const group of [A, B]) {
      life.store.append(basing(group, 0, 0), () => {});
      life.store.append(appending(group, entry(1)), () => {});
    }
    life.store.flush();
    await life.settle();
  });

  const damaged = (): boolean[] => recovered(files).groups.map(group => group.damaged);

  it('is every group that lost something before the node stopped', async () => {
    life.store.lost(A, 'entry 1 cannot be read back');
    life.store.lost(A, 'entry 2 cannot be read back');
    life.store.lost(B, 'entry 1 cannot be read back');
    await life.settle();
    expect(life.failures).toHaveLength(1);
    expect(damaged()).toEqual([true, true]);
  });

  it('is not forgotten because the group had just been filled after an earlier loss', async () => {
    // The disk is busy: what follows is written together.
    life.store.append(appending(A, entry(2)), () => {});
    life.store.flush();
    life.store.lost(A, 'entry 1 cannot be read back');
    void life.store.setDamaged(A, false);
    await life.settle();
    expect(life.failures).toHaveLength(1);
    expect(damaged()).toEqual([true, false]);
  });

  it('is over when the group has been filled in a later life', async () => {
    life.store.lost(A, 'entry 1 cannot be read back');
    await life.settle();
    life = await StoreLife.begin(files);
    expect(life.store.recovered.get(A)?.damaged).toBe(true);
    void life.store.setDamaged(A, false);
    await life.settle();
    expect(damaged()).toEqual([false, false]);
  });
});
