import { describe, expect, it } from 'vitest';
import type { GroupJournal } from '../../../src/cluster/group/group-journal.ts';
import { assessReplica, RefilledJournal } from '../../../src/cluster/group/replica-start.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import type { GroupWrite, RecoveredGroup } from '../../../src/raft/log-store.ts';

const group = groupId(4);
const membership = { voters: [nodeId(1), nodeId(2), nodeId(3)], outgoing: [], learners: [] };
const hardState = { term: 3, vote: nodeId(2), commit: 90 };
const found = (base: number, last: number, damaged = false): RecoveredGroup => ({
  group,
  hardState,
  base: { last: { term: base === 0 ? 0 : 2, index: base }, membership, generation: 5 },
  log: last > base ? [{ term: 2, first: base + 1, last }] : [],
  configurations: [],
  damaged,
});
const at = (index: number) => ({ at: { term: 2, index }, pages: [] });

describe('a replica that starts', () => {
  it('begins with nothing when it is new', () => {
    expect(assessReplica(undefined, 'none')).toEqual({ from: 'nothing' });
  });

  it('begins with its checkpoint', () => {
    expect(assessReplica(found(50, 90), at(70))).toEqual({ from: 'checkpoint', loaded: at(70) });
  });

  it('needs no checkpoint as long as its log has the first entry', () => {
    expect(assessReplica(found(0, 90), 'none')).toEqual({ from: 'nothing' });
    expect(assessReplica(found(0, 90), 'damaged')).toEqual({ from: 'nothing' });
  });

  it.each([
    ['a damaged checkpoint', found(50, 90), 'damaged' as const],
    ['a missing checkpoint', found(50, 90), 'none' as const],
    ['a checkpoint older than its log', found(50, 90), at(40)],
    ['a log that ends before its checkpoint', found(50, 60), at(70)],
    ['damaged records behind which bodies may be lost', found(50, 90, true), at(70)],
    ['damaged records in a log that has the first entry', found(0, 40, true), at(30)],
  ])('is filled by a leader after %s', (_, recovered, loaded) => {
    expect(assessReplica(recovered, loaded).from).toBe('a-leader');
  });
});

/** Keeps what it is asked to write. */
class Recorder {
  readonly writes: GroupWrite[] = [];
  readonly journal = new RefilledJournal(
    {
      append: (write: GroupWrite) => void this.writes.push(write),
      accounted: () => {},
    } as unknown as GroupJournal,
    found(50, 90).base,
  );

  write(write: Partial<GroupWrite>): GroupWrite {
    this.journal.append({ group, hardState: undefined, entries: [], base: undefined, ...write }, () => {});
    return this.writes.at(-1)!;
  }
}

describe('the journal of a replica that is filled again', () => {
  const entries = [{ kind: 1 as const, term: 4, index: 1, payload: new Uint8Array(3) }];

  it('keeps what is there while only votes are written', () => {
    expect(new Recorder().write({ hardState }).base).toBeUndefined();
  });

  it('begins anew, once, when the leader begins with the first entry', () => {
    const recorder = new Recorder();
    expect(recorder.write({ entries }).base).toEqual({ last: { term: 0, index: 0 }, membership, generation: 6 });
    expect(recorder.write({ entries: [{ ...entries[0]!, index: 2 }] }).base).toBeUndefined();
  });

  it('goes on from an installed snapshot as any other', () => {
    const recorder = new Recorder();
    const base = { last: { term: 4, index: 200 }, membership, generation: 6 };
    expect(recorder.write({ base }).base).toBe(base);
    expect(recorder.write({ entries: [{ ...entries[0]!, index: 201 }] }).base).toBeUndefined();
  });
});
