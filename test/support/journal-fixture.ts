import { expect } from 'vitest';
import { groupId, nodeId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import type { GroupWrite } from '../../src/raft/log-store.ts';
import type { Entry } from '../../src/raft/messages.ts';
import type { Journal } from '../../src/storage/journal.ts';
import { type Recovery, recoverJournal } from '../../src/storage/journal-recovery.ts';
import type { JournalOptions, JournalWork } from '../../src/storage/journal-work.ts';
import { SimulatedFiles } from './simulated-files.ts';

export const OPTIONS: JournalOptions = { segmentBytesMax: 4096, sparesMax: 2, sparesMin: 0, deadBytesReserve: 1024 };
export const A = groupId(1);
export const B = groupId(2);
export const MEMBERSHIP = { voters: [nodeId(1), nodeId(2), nodeId(3)], outgoing: [], learners: [] };

export const entry = (index: number, bytes = 100, term = 1): Entry => ({
  kind: 1,
  index,
  term,
  payload: new Uint8Array(bytes).fill(index % 251),
});
export const appending = (group: GroupWrite['group'], ...entries: Entry[]): GroupWrite => ({
  group,
  hardState: undefined,
  entries,
  base: undefined,
});
export const basing = (group: GroupWrite['group'], index: number, term = 1): GroupWrite => ({
  group,
  hardState: undefined,
  entries: [],
  base: { last: { term, index }, membership: MEMBERSHIP, generation: 0 },
});

export function recovered(files: SimulatedFiles, options = OPTIONS): Extract<Recovery, { recovered: true }> {
  const recovery = recoverJournal(files, options);
  if (!recovery.recovered) throw new Error(recovery.reason);
  return recovery;
}

/** A recovered journal whose first work is done. */
export function open(files: SimulatedFiles, options = OPTIONS): Journal {
  const { journal } = recovered(files, options);
  drain(journal, files);
  return journal;
}

export function drain(journal: Journal, files: SimulatedFiles): JournalWork[] {
  const done: JournalWork[] = [];
  for (let work = journal.takeWork(); work !== undefined; work = journal.takeWork()) {
    expect(files.perform(work).outcome).toBe('done');
    journal.workCompleted(work.number);
    done.push(work);
  }
  return done;
}

export const disk = (): SimulatedFiles => new SimulatedFiles(new SeededRandom(5));
export const counted = (work: JournalWork, kind: string): number =>
  work.operations.filter(one => one.do === kind).length;
export const fill = (journal: Journal, group: GroupWrite['group'], from: number, to: number): void => {
  for (let index = from; index <= to; index++) journal.append([appending(group, entry(index, 600))]);
};
