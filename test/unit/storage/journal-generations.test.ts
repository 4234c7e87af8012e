import { describe, expect, it } from 'vitest';
import { encodeMembership } from '../../../src/raft/membership.ts';
import { EntryKind } from '../../../src/raft/messages.ts';
import { A, appending, disk, drain, entry, fill, MEMBERSHIP, open, recovered } from '../../support/journal-fixture.ts';

const anew = { last: { term: 0, index: 0 }, membership: MEMBERSHIP, generation: 1 };
const based = (index: number) => ({ last: { term: 1, index }, membership: MEMBERSHIP, generation: 0 });

describe('a log that begins anew', () => {
  it('has nothing of what was there, also after a restart', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    journal.append([{ group: A, hardState: undefined, entries: [], base: based(10) }]);
    drain(journal, files);
    const hardState = { term: 4, vote: undefined, commit: 0 };
    journal.append([{ group: A, hardState, entries: [entry(1, 100, 4)], base: anew }]);
    journal.append([appending(A, entry(2, 100, 4))]);
    drain(journal, files);
    for (const one of [journal, recovered(files).journal]) {
      expect(one.group(A)).toMatchObject({ base: anew, lastIndex: 2, lastTerm: 4 });
      expect(one.locate(A, 1)).toMatchObject({ term: 4 });
      expect(one.locate(A, 3)).toBeUndefined();
      expect(one.recordsThrough(A, 100)).toEqual([{ term: 4, first: 1, last: 2 }]);
    }
    const [group] = recovered(files).groups;
    expect(group).toMatchObject({ hardState, log: [{ term: 4, first: 1, last: 2 }], damaged: false });
  });
});

describe('a transfer that a restart has cut short', () => {
  it('is begun again under the same generation, and its bodies stay', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 4);
    journal.appendBody(A, 1, entry(7));
    drain(journal, files);
    const { journal: second } = recovered(files);
    drain(second, files);
    second.appendBody(A, 1, entry(7));
    second.append([{ group: A, hardState: undefined, entries: [], base: { ...based(9), generation: 1 } }]);
    drain(second, files);
    expect(second.locate(A, 7)).toBeDefined();
    fill(second, A, 10, 60);
    drain(second, files);
    expect(recovered(files).journal.locate(A, 7)).toBeDefined();
  });
});

describe('the changes of members in a log that begins anew', () => {
  it('are those of the new log alone, also after a restart', () => {
    const change = (index: number, term: number) => ({
      ...entry(index, 0, term),
      kind: EntryKind.configuration,
      payload: encodeMembership(MEMBERSHIP),
    });
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    journal.append([appending(A, change(21, 1))]);
    journal.append([{ group: A, hardState: undefined, entries: [], base: based(10) }]);
    drain(journal, files);
    const hardState = { term: 4, vote: undefined, commit: 0 };
    journal.append([{ group: A, hardState, entries: [entry(1, 100, 4), change(2, 4)], base: anew }]);
    drain(journal, files);
    expect(journal.group(A)?.configurations).toEqual([2]);
    expect(recovered(files).groups[0]?.configurations).toEqual([{ index: 2, membership: MEMBERSHIP }]);
  });
});

describe('records that a replica can name', () => {
  it('are those of its log and of installed snapshots, up to an index, without those that only mark stragglers', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 4);
    journal.appendBody(A, 1, entry(7));
    journal.appendBody(A, 1, { ...entry(8, 0, 0), kind: 0 });
    journal.appendBody(A, 1, entry(9));
    expect(journal.recordsThrough(A, 100)).toEqual([{ term: 1, first: 1, last: 4 }]);
    journal.append([{ group: A, hardState: undefined, entries: [], base: { ...based(9), generation: 1 } }]);
    drain(journal, files);
    for (const one of [journal, recovered(files).journal]) {
      expect(one.recordsThrough(A, 8)).toEqual([
        { term: 1, first: 1, last: 4 },
        { term: 1, first: 7, last: 7 },
      ]);
      expect(one.recordsThrough(A, 9).at(-1)).toEqual({ term: 1, first: 9, last: 9 });
    }
  });
});
