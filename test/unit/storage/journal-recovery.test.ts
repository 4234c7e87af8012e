import { describe, expect, it } from 'vitest';
import { nodeId } from '../../../src/lib/ids.ts';
import { recoverJournal } from '../../../src/storage/journal-recovery.ts';
import {
  A,
  appending,
  B,
  basing,
  disk,
  drain,
  entry,
  fill,
  MEMBERSHIP,
  OPTIONS,
  open,
  recovered,
} from '../../support/journal-fixture.ts';

describe('recovery of the journal', () => {
  it('finds hard state, base, membership and log of every group', () => {
    const files = disk();
    const journal = open(files);
    const hardState = { term: 4, vote: nodeId(3), commit: 2 };
    journal.append([{ ...appending(A, entry(1), entry(2), entry(3, 10, 4)), hardState }, appending(B, entry(1))]);
    journal.append([basing(A, 2)]);
    drain(journal, files);
    files.crash('power');
    const { groups, report } = recovered(files);
    expect(report.damages).toEqual([]);
    expect(groups.find(group => group.group === A)).toMatchObject({
      hardState,
      base: { last: { term: 1, index: 2 }, membership: MEMBERSHIP, generation: 0 },
      log: [{ term: 4, first: 3, last: 3 }],
      damaged: false,
    });
    expect(groups.find(group => group.group === B)?.log).toEqual([{ term: 1, first: 1, last: 1 }]);
  });

  it('makes durable what was only in the system memory before anything is said about it', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1))]);
    const work = journal.takeWork()!;
    files.perform({ ...work, operations: work.operations.filter(one => one.do === 'write') });
    files.crash('process');
    expect(recovered(files).groups[0]!.log).toHaveLength(1);
    open(files);
    files.crash('power');
    expect(recovered(files).groups[0]!.log).toHaveLength(1);
  });

  it('loses a dropped group for ever, also when its id comes back', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2))]);
    journal.dropGroup(A);
    journal.append([appending(A, entry(1, 5, 9))]);
    drain(journal, files);
    expect(recovered(files).groups).toMatchObject([{ group: A, log: [{ term: 9, first: 1, last: 1 }] }]);
  });

  it('forgets bodies of a transfer that was not installed', () => {
    const files = disk();
    const journal = open(files);
    journal.appendBody(A, 1, entry(7, 30, 3));
    drain(journal, files);
    const { journal: again } = recovered(files);
    expect(again.locate(A, 7)).toBeUndefined();
  });

  it('finds bodies of the generation that was installed', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2))]);
    journal.appendBody(A, 1, entry(2, 30, 3));
    journal.appendBody(A, 1, entry(7, 31, 3));
    expect(journal.locate(A, 7)).toBeUndefined();
    const base = { last: { term: 3, index: 9 }, membership: MEMBERSHIP, generation: 1 };
    journal.append([{ group: A, hardState: undefined, entries: [entry(10, 10, 3)], base }]);
    drain(journal, files);
    const { journal: again, groups } = recovered(files);
    expect(groups[0]).toMatchObject({ base, log: [{ term: 3, first: 10, last: 10 }] });
    expect(again.locate(A, 2)).toMatchObject({ term: 3, length: 30 });
    expect(again.locate(A, 7)).toMatchObject({ term: 3, length: 31 });
  });

  it('takes a last batch that is not whole for torn, one before it for damaged', () => {
    const torn = disk();
    const first = open(torn);
    first.append([appending(A, entry(1))]);
    drain(first, torn);
    const end = torn.list()[0]!.bytes;
    torn.flipBit('000000000001.segment', end - 100, 0);
    expect(recovered(torn).report.damages).toEqual([]);

    const damaged = disk();
    const second = open(damaged);
    second.append([appending(A, entry(1))]);
    drain(second, damaged);
    const idle = second.takeIdleWork()!;
    damaged.perform(idle);
    damaged.flipBit('000000000001.segment', end - 100, 0);
    const { report, groups } = recovered(damaged);
    expect(report.damages).not.toEqual([]);
    expect(groups.every(group => group.damaged)).toBe(true);
  });

  it('remembers damage over restarts until the group has been filled again', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1))]);
    journal.setDamaged(A, true);
    drain(journal, files);
    const again = open(files);
    expect(again.group(A)?.damaged).toBe(true);
    again.setDamaged(A, false);
    drain(again, files);
    expect(recovered(files).groups[0]!.damaged).toBe(false);
  });

  it('notices a segment that is gone', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    drain(journal, files);
    files.remove('000000000002.segment');
    const { groups, report } = recovered(files);
    expect(groups[0]!.damaged).toBe(true);
    expect(report.damages).toHaveLength(1);
  });

  it('refuses a directory in which no state of the groups is left', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 3);
    drain(journal, files);
    fill(journal, A, 4, 5);
    drain(journal, files);
    files.flipBit('000000000001.segment', 4, 3);
    expect(recoverJournal(files, OPTIONS).recovered).toBe(false);
  });
});
