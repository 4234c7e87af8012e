import { describe, expect, it } from 'vitest';
import { writeCheck, writeContinue } from '../../../src/queue/commands.ts';
import { HASH_MARK_ENTRIES } from '../../../src/queue/limits.ts';
import { ALICE, declare, enqueue, ShardDriver } from '../../support/shard-driver.ts';

function driverPastMark(body: string): ShardDriver {
  const driver = new ShardDriver();
  driver.run(ALICE, declare(), enqueue(body));
  while (!driver.machine.latestMark) driver.lead(writeContinue);
  return driver;
}

describe('the running hash', () => {
  it('is marked every so many entries', () => {
    expect(driverPastMark('a').machine.latestMark?.index).toBe(HASH_MARK_ENTRIES);
  });

  it('of the leader agrees with that of a replica that did the same', () => {
    const mark = driverPastMark('a').machine.latestMark!;
    expect(driverPastMark('a').lead(out => writeCheck(out, mark.index, mark.hash)).divergence).toBeUndefined();
  });

  it('that differs is reported as divergence', () => {
    const driver = driverPastMark('a');
    const { index, hash } = driver.machine.latestMark!;
    const { divergence } = driver.lead(out => writeCheck(out, index, hash ^ 1));
    expect(divergence).toEqual({ index, leaderHash: (hash ^ 1) >>> 0, ownHash: hash });
  });

  it('for an index that is no longer remembered says nothing', () => {
    const driver = driverPastMark('a');
    expect(driver.lead(out => writeCheck(out, 3, 4)).divergence).toBeUndefined();
  });
});
