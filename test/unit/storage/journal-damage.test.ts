import { describe, expect, it } from 'vitest';
import { assessReplica } from '../../../src/cluster/group/replica-start.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import { EntryKind } from '../../../src/raft/messages.ts';
import type { Journal } from '../../../src/storage/journal.ts';
import { segmentFile } from '../../../src/storage/journal-work.ts';
import { type RecordHeader, RecordType } from '../../../src/storage/record-codec.ts';
import {
  A,
  appending,
  B,
  basing,
  disk,
  drain,
  entry,
  MEMBERSHIP,
  open,
  recovered,
} from '../../support/journal-fixture.ts';
import { recordsOf } from '../../support/segment-records.ts';
import type { SimulatedFiles } from '../../support/simulated-files.ts';

const SEALED = segmentFile(1);
const C = groupId(3);
const state = (group: GroupWrite['group'], term: number, commit = 0): GroupWrite => ({
  group,
  hardState: { term, vote: nodeId(2), commit },
  entries: [],
  base: undefined,
});
const installed = (group: GroupWrite['group'], generation: number, index: number, term: number): GroupWrite => ({
  group,
  hardState: undefined,
  entries: [],
  base: { last: { term, index }, membership: MEMBERSHIP, generation },
});

/** Writes hard states of B until another segment is begun. */
function rotate(journal: Journal, files: SimulatedFiles): void {
  const newest = (): string =>
    files
      .list()
      .map(({ name }) => name)
      .filter(name => name.endsWith('.segment'))
      .sort()
      .at(-1)!;
  const before = newest();
  for (let i = 0; newest() === before; i++) {
    if (i > 200) throw new Error('no rotation');
    journal.append([state(B, 9, i)]);
    drain(journal, files);
  }
}

/** Flips a bit in the payload of each of these records, or in the header of one that has none. */
function damage(files: SimulatedFiles, number: number, ...which: ((header: RecordHeader) => boolean)[]): void {
  const headers = recordsOf(files, segmentFile(number));
  for (const one of which) {
    const header = headers.find(one)!;
    files.flipBit(segmentFile(number), header.position + (header.length > 0 ? 52 : 40), 0);
  }
}
/** What recovery makes of an undamaged segment 1 whose index alone is lost. */
function withoutIndex(files: SimulatedFiles): Journal {
  damage(files, 1, isIndex);
  const { journal, report } = recovered(files);
  expect(report.damages).toEqual([]);
  return journal;
}

const isIndex = ({ type }: RecordHeader): boolean => type === RecordType.segmentIndex;
const isEntry =
  (group: number, index: number, term: number) =>
  (header: RecordHeader): boolean =>
    header.type === RecordType.entry && header.group === group && header.index === index && header.term === term;
const damagedOf = (files: SimulatedFiles) =>
  Object.fromEntries(recovered(files).groups.map(({ group, damaged }) => [group, damaged]));

describe('damage of the journal', () => {
  it('is noticed where the index is lost, too: the entry that is lost may have replaced one that is there', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2, 100, 1))]);
    journal.append([appending(A, entry(2, 100, 2), entry(3, 100, 2)), appending(B, entry(1))]);
    rotate(journal, files);
    damage(files, 1, isIndex);
    expect(recovered(files).groups.find(({ group }) => group === A)!.log).toEqual([
      { term: 1, first: 1, last: 1 },
      { term: 2, first: 2, last: 3 },
    ]);
    damage(files, 1, isEntry(A, 2, 2));
    expect(damagedOf(files)).toEqual({ [A]: true, [B]: false });
  });

  it('does not void what is there when an index is rebuilt: the segment is whole at the second restart, too', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2, 100, 1))]);
    journal.append([appending(A, entry(2, 100, 2), entry(3, 100, 2)), appending(B, entry(1))]);
    rotate(journal, files);
    damage(files, 1, isIndex);
    const again = open(files);
    expect(recovered(files).report.damages).toEqual([]);
    rotate(again, files);
    expect(recovered(files).report.damages).toEqual([]);
    expect(damagedOf(files)).toEqual({ [A]: false, [B]: false });
  });

  it('of one group is none of another one, also some restarts later', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(B, entry(1), entry(2, 100, 1)), appending(A, entry(1), entry(2))]);
    journal.append([appending(B, entry(2, 100, 2), entry(3, 100, 2))]);
    drain(journal, files);
    files.perform(journal.takeIdleWork()!);
    damage(files, 1, isEntry(A, 2, 1));
    for (let restart = 1; restart <= 3; restart++) {
      expect({ restart, ...damagedOf(files) }).toEqual({ restart, [A]: true, [B]: false });
      rotate(open(files), files);
    }
  });

  it('is no loss of group 0 if it is the payload of an index, at any restart', () => {
    const Z = groupId(0);
    const files = disk();
    const journal = open(files);
    journal.append([appending(Z, entry(1), entry(2)), appending(B, entry(1))]);
    rotate(journal, files);
    damage(files, 1, isIndex);
    const again = open(files);
    expect(recovered(files).report.damages).toEqual([]);
    rotate(again, files);
    expect(damagedOf(files)).toEqual({ [Z]: false, [B]: false });
  });

  it('is no loss of anybody if it is the header of an index, at any restart', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2)), appending(B, entry(1))]);
    rotate(journal, files);
    const index = recordsOf(files, SEALED).find(isIndex)!;
    files.flipBit(SEALED, index.position + 40, 0);
    const again = open(files);
    expect(recovered(files).report.damages).toEqual([]);
    rotate(again, files);
    expect(damagedOf(files)).toEqual({ [A]: false, [B]: false });
  });

  it('does not bring back an entry at or below the base whose successor is lost', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2, 100, 1))]);
    journal.append([appending(A, entry(2, 100, 2), entry(3, 100, 2)), appending(B, entry(1))]);
    rotate(journal, files);
    journal.append([basing(A, 3, 2)]);
    drain(journal, files);
    damage(files, 1, isEntry(A, 2, 2), isIndex);
    const { journal: again, groups } = recovered(files);
    const isDamaged = groups.find(({ group }) => group === A)!.damaged;
    expect(isDamaged || again.locate(A, 2)?.term !== 1).toBe(true);
  });

  it('does not bring back an entry in whose place a lost body of a snapshot stood', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2, 100, 1)), appending(B, entry(1))]);
    journal.appendBody(A, 1, entry(2, 100, 3));
    journal.append([installed(A, 1, 9, 3)]);
    rotate(journal, files);
    expect(journal.locate(A, 2)).toMatchObject({ term: 3 });
    damage(files, 1, ({ type }) => type === RecordType.body, isIndex);
    const { journal: again, groups } = recovered(files);
    const isDamaged = groups.find(({ group }) => group === A)!.damaged;
    expect(isDamaged || again.locate(A, 2)?.term !== 1).toBe(true);
  });

  /** Ends segment 2, whose messages have been moved, so that it goes; segment 1 stays for a message of B. */
  function cleanSecond(
    journal: Journal,
    files: SimulatedFiles,
    last: { term: number; index: number },
    generation: number,
  ): void {
    journal.space.accounted(A);
    journal.space.addLive(B, 1, 100);
    journal.space.addLive(A, last.index, 50);
    rotate(journal, files);
    journal.space.cleaned({ segment: 2, account: 0 });
    journal.append([
      { group: A, hardState: undefined, entries: [], base: { last, membership: MEMBERSHIP, generation } },
    ]);
    journal.space.checkpointed(A, last.index);
    drain(journal, files);
    rotate(journal, files);
    expect(files.list().some(({ name }) => name === segmentFile(2))).toBe(false);
    expect(files.list().some(({ name }) => name === segmentFile(1))).toBe(true);
    expect(journal.locate(A, last.index)).toBeUndefined();
  }

  it('does not bring back what was replaced by a record that is void itself', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3), entry(4)), appending(B, entry(1))]);
    journal.append([appending(A, entry(2, 100, 2))]);
    rotate(journal, files);
    journal.append([appending(A, entry(2, 100, 3), entry(3, 100, 3), entry(4, 100, 3))]);
    cleanSecond(journal, files, { term: 3, index: 4 }, 0);
    expect(recovered(files).journal.locate(A, 4)).toBeUndefined();
    const again = withoutIndex(files);
    expect(again.locate(A, 4)).toBeUndefined();
  });

  it('does not bring back what a base had taken away', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3), entry(4), entry(5)), appending(B, entry(1))]);
    journal.append([installed(A, 1, 3, 2)]);
    rotate(journal, files);
    journal.append([appending(A, entry(4, 100, 2), entry(5, 100, 2))]);
    cleanSecond(journal, files, { term: 2, index: 5 }, 1);
    expect(recovered(files).journal.locate(A, 5)).toBeUndefined();
    const again = withoutIndex(files);
    expect(again.locate(A, 5)).toBeUndefined();
  });

  it('does not bring back what a log had before it began anew', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3)), appending(B, entry(1))]);
    journal.append([basing(A, 1)]);
    // As `RefilledJournal` does; then a snapshot with message 2 among the stragglers: there is no record to hide them.
    journal.append([installed(A, 1, 0, 0)]);
    expect(journal.locate(A, 2)).toBeUndefined();
    journal.append([installed(A, 3, 9, 5)]);
    rotate(journal, files);
    expect(recovered(files).journal.locate(A, 2)).toBeUndefined();
    const again = withoutIndex(files);
    expect(again.locate(A, 2)).toBeUndefined();
  });

  it('does not bring back what a dropped group of the same id had', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3)), appending(B, entry(1))]);
    journal.dropGroup(A);
    journal.append([installed(A, 1, 9, 5)]);
    rotate(journal, files);
    expect(recovered(files).journal.locate(A, 2)).toBeUndefined();
    damage(files, 1, isIndex);
    expect(recovered(files).journal.locate(A, 2)).toBeUndefined();
  });

  it('makes a group whose first statement is lost a damaged one, not an unknown one', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1))]);
    drain(journal, files);
    journal.append([{ ...state(C, 7), entries: [entry(1)] }]);
    drain(journal, files);
    journal.append([appending(C, entry(2)), state(C, 8)]);
    drain(journal, files);
    files.perform(journal.takeIdleWork()!);
    damage(files, 1, ({ type, group }) => type === RecordType.groupState && group === C);
    const { groups, report } = recovered(files);
    expect(report.damages).not.toEqual([]);
    expect(
      assessReplica(
        groups.find(({ group }) => group === C),
        'none',
      ).from,
    ).toBe('a-leader');
  });

  it('nor makes it unknown one whose statement is lost from the newest head when its first one was reclaimed', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(B, entry(1))]);
    journal.space.addLive(B, 1, 100);
    rotate(journal, files);
    journal.append([{ ...state(C, 7), entries: [entry(1), entry(2)] }]);
    journal.append([basing(C, 2)]);
    rotate(journal, files);
    rotate(journal, files);
    files.perform(journal.takeIdleWork()!);
    const segments = files
      .list()
      .map(({ name }) => name)
      .filter(name => name.endsWith('.segment'))
      .sort();
    const newest = Number.parseInt(segments.at(-1)!, 10);
    expect(segments.slice(0, -1)).toEqual([segmentFile(1)]);
    expect(recovered(files).groups.map(({ group }) => group)).toContain(C);
    damage(files, newest, ({ type, group }) => type === RecordType.groupState && group === C);
    const { groups } = recovered(files);
    expect(
      assessReplica(
        groups.find(({ group }) => group === C),
        'none',
      ).from,
    ).toBe('a-leader');
  });

  it('is not forgotten because the newest segment states otherwise', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2, 100, 1))]);
    journal.append([appending(A, entry(2, 100, 2), entry(3, 100, 2)), appending(B, entry(1))]);
    rotate(journal, files);
    damage(files, 1, isEntry(A, 2, 2));
    damage(files, 2, ({ type, group }) => type === RecordType.groupState && group === B);
    const { groups } = recovered(files);
    const found = groups.find(({ group }) => group === A)!;
    // What was: entry 1 of term 1, then 2 and 3 of term 2.
    const neverWas = found.log[0]!.last === 2 && found.log[1]!.term === 2;
    expect({ neverWas, damaged: found.damaged }).toEqual({ neverWas: true, damaged: true });
  });

  it('leaves the bodies of a snapshot that lies below the base of a damaged replica', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, ...Array.from({ length: 12 }, (_, i) => entry(i + 1)))]);
    journal.append([basing(A, 10)]);
    journal.setDamaged(A, true);
    journal.appendBody(A, 2, entry(5, 100, 3));
    journal.append([installed(A, 2, 8, 3)]);
    drain(journal, files);
    for (const one of [journal, recovered(files).journal]) expect(one.locate(A, 5)).toMatchObject({ term: 3 });
  });

  it('of nothing: what a body has replaced does not come back when its segment has gone', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1, 100, 1)), appending(B, entry(1))]);
    rotate(journal, files);
    journal.appendBody(A, 1, entry(1, 100, 2));
    rotate(journal, files);
    journal.append([installed(A, 1, 3, 2)]);
    journal.space.accounted(A);
    journal.space.addLive(B, 1, 100);
    journal.space.addLive(A, 1, 100);
    expect(journal.locate(A, 1)).toMatchObject({ term: 2, segment: 2 });
    journal.space.cleaned({ segment: 2, account: 0 });
    drain(journal, files);
    expect(files.list().map(({ name }) => name)).not.toContain(segmentFile(2));
    expect(journal.locate(A, 1)).toBeUndefined();
    expect(recovered(files).journal.locate(A, 1)).toBeUndefined();
  });

  it('of nothing: bodies that were abandoned do not come back with a later generation', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3))]);
    journal.appendBody(A, 2, { kind: EntryKind.empty, index: 3, term: 0, payload: new Uint8Array(0) });
    journal.abandonBodies(A, 2);
    journal.appendBody(A, 3, entry(7));
    journal.append([installed(A, 3, 9, 1)]);
    drain(journal, files);
    expect(journal.locate(A, 3)).toMatchObject({ length: 100 });
    expect(recovered(files).journal.locate(A, 3)).toMatchObject({ length: 100 });
  });

  it('tells after a restart which generations were tried, so that none is taken twice', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3))]);
    journal.appendBody(A, 2, { kind: EntryKind.empty, index: 3, term: 0, payload: new Uint8Array(0) });
    drain(journal, files);
    const second = open(files);
    const generation = second.group(A)!.lastGeneration + 1;
    expect(generation).toBe(3);
    second.appendBody(A, generation, entry(7));
    second.append([installed(A, generation, 9, 1)]);
    drain(second, files);
    expect(second.locate(A, 3)).toMatchObject({ length: 100 });
    expect(recovered(files).journal.locate(A, 3)).toMatchObject({ length: 100 });
  });

  it('is no loss of group 0 if it is the index of the last segment that has a head', () => {
    const Z = groupId(0);
    const files = disk();
    const journal = open(files);
    journal.append([appending(Z, entry(1)), appending(B, entry(1))]);
    drain(journal, files);
    // The crash comes when the next segment is there, but not its head.
    let work = undefined as ReturnType<Journal['takeWork']>;
    for (let i = 0; work === undefined || !work.operations.some(one => one.do === 'create'); i++) {
      if (work !== undefined) {
        files.perform(work);
        journal.workCompleted(work.number);
      }
      journal.append([state(B, 9, i)]);
      work = journal.takeWork()!;
    }
    const created = work.operations.findIndex(one => one.do === 'sync-directory');
    files.perform({ ...work, operations: work.operations.slice(0, created + 1) });
    files.crash('power');
    damage(files, 1, isIndex);
    expect(damagedOf(files)).toEqual({ [Z]: false, [B]: false });
  });

  it('does not hurt replicas that were filled again, at any restart', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1), entry(2), entry(3)), appending(B, entry(1), entry(2), entry(3))]);
    journal.append([appending(A, entry(2, 100, 2)), appending(B, entry(2, 100, 2))]);
    rotate(journal, files);
    const lost = recordsOf(files, SEALED).find(isEntry(B, 2, 2))!;
    const index = recordsOf(files, SEALED).find(isIndex)!;
    for (const { position } of [lost, index]) files.flipBit(SEALED, position + 40, 0);
    expect(damagedOf(files)).toEqual({ [A]: true, [B]: true });
    const again = open(files);
    again.append([installed(A, 1, 0, 0), appending(A, entry(1, 100, 7), entry(2, 100, 7))]);
    again.append([installed(B, 2, 2, 7), appending(B, entry(3, 100, 7))]);
    again.setDamaged(A, false);
    again.setDamaged(B, false);
    drain(again, files);
    for (let restart = 1; restart <= 3; restart++) {
      expect({ restart, ...damagedOf(files) }).toEqual({ restart, [A]: false, [B]: false });
      rotate(open(files), files);
    }
  });
});
