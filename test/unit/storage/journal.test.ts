import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../src/lib/random.ts';
import type { Entry } from '../../../src/raft/messages.ts';
import { recoverJournal } from '../../../src/storage/journal-recovery.ts';
import type { JournalWork } from '../../../src/storage/journal-work.ts';
import {
  A,
  appending,
  B,
  basing,
  counted,
  disk,
  drain,
  entry,
  fill,
  OPTIONS,
  open,
  recovered,
} from '../../support/journal-fixture.ts';
import { SimulatedFiles } from '../../support/simulated-files.ts';

describe('Journal', () => {
  it('takes one write and one sync for the appends of many groups', () => {
    const files = disk();
    const journal = open(files);
    const sequence = journal.append([appending(A, entry(1)), appending(B, entry(1))]);
    journal.append([appending(A, entry(2))]);
    const [work] = drain(journal, files);
    expect(counted(work!, 'write')).toBe(1);
    expect(counted(work!, 'sync')).toBe(1);
    expect(journal.durableThrough).toBe(sequence);
  });

  it('gathers what is appended while a work is under way for the next one', () => {
    const files = disk();
    const journal = open(files);
    const first = journal.append([appending(A, entry(1))]);
    const work = journal.takeWork()!;
    const second = journal.append([appending(A, entry(2))]);
    expect(journal.takeWork()).toBeUndefined();
    files.perform(work);
    journal.workCompleted(work.number);
    expect(journal.durableThrough).toBe(first);
    drain(journal, files);
    expect(journal.durableThrough).toBe(second);
  });

  it('refers to large payloads where they are', () => {
    const journal = open(disk());
    const large = entry(1, 5000);
    journal.append([appending(A, large)]);
    const { operations } = journal.takeWork()!;
    expect(operations.flatMap(one => (one.do === 'write' ? one.buffers : []))).toContain(large.payload);
  });

  it('finds entries by group and index, with the term that replaced another', () => {
    const journal = open(disk());
    journal.append([appending(A, entry(1), entry(2), entry(3))]);
    journal.append([appending(A, entry(2, 50, 2))]);
    expect(journal.locate(A, 2)).toMatchObject({ term: 2, length: 50 });
    expect(journal.locate(A, 3)).toBeUndefined();
    expect(journal.locate(B, 1)).toBeUndefined();
  });

  it('says which records are on disk', () => {
    const files = disk();
    const journal = open(files);
    journal.append([appending(A, entry(1))]);
    const location = journal.locate(A, 1)!;
    expect(journal.isDurable(location)).toBe(false);
    drain(journal, files);
    expect(journal.isDurable(location)).toBe(true);
  });

  it('needs less than 24 bytes of memory to find an entry again', () => {
    const block = new Uint8Array(256 * 1024);
    const recovery = recoverJournal(disk(), { ...OPTIONS, segmentBytesMax: 4 * 1024 * 1024 }, () => block);
    if (!recovery.recovered) throw new Error(recovery.reason);
    const { journal } = recovery;
    const payload = new Uint8Array(0);
    const count = 250_000;
    const before = memoryInBuffers();
    for (let first = 1; first <= count; first += 5000) {
      const entries = Array.from({ length: 5000 }, (_, i): Entry => ({ kind: 1, index: first + i, term: 1, payload }));
      journal.append([appending(A, ...entries)]);
      journal.workCompleted(journal.takeWork()!.number);
    }
    expect((memoryInBuffers() - before) / count).toBeLessThan(24);
    expect(journal.locate(A, 143_210)?.index).toBe(143_210);
  });
});

/** After a collection, so that what is counted is in use. */
function memoryInBuffers(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().arrayBuffers;
}

describe('segments of the journal', () => {
  it('are recycled when a base covers their entries and no message of theirs is alive', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    drain(journal, files);
    const before = journal.bytesUsed;
    journal.append([basing(A, 20)]);
    drain(journal, files);
    expect(journal.bytesUsed).toBeLessThan(before / 2);
    expect(files.list().filter(file => file.name.endsWith('.spare'))).toHaveLength(OPTIONS.sparesMax);
    expect(journal.locate(A, 1)).toBeUndefined();
  });

  it('stay while one message in them is alive, and until a checkpoint knows that it is not', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    journal.space.addLive(A, 2, 600);
    journal.append([basing(A, 20)]);
    drain(journal, files);
    expect(journal.locate(A, 2)).toBeDefined();
    journal.space.releaseLive(A, 2, 600, 25);
    drain(journal, files);
    expect(journal.locate(A, 2)).toBeDefined();
    journal.space.checkpointed(A, 25);
    drain(journal, files);
    expect(journal.locate(A, 2)).toBeUndefined();
  });

  it('stay while they are pinned', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 20);
    const pin = journal.space.pin(A);
    journal.append([basing(A, 20)]);
    drain(journal, files);
    expect(journal.locate(A, 1)).toBeDefined();
    journal.space.unpin(pin);
    drain(journal, files);
    expect(journal.locate(A, 1)).toBeUndefined();
  });

  it('stay after a restart until all that is alive was told', () => {
    const files = disk();
    const first = open(files);
    fill(first, A, 1, 20);
    first.space.addLive(A, 2, 600);
    first.append([basing(A, 20)]);
    drain(first, files);
    const journal = open(files);
    expect(journal.locate(A, 2)).toBeDefined();
    journal.space.accounted(A);
    drain(journal, files);
    expect(journal.locate(A, 2)).toBeUndefined();
  });

  it('never pass for new ones by what is left in them', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 40);
    journal.append([basing(A, 40)]);
    drain(journal, files);
    fill(journal, A, 41, 43);
    drain(journal, files);
    const { groups, report } = recovered(files);
    expect(report.damages).toEqual([]);
    expect(groups[0]!.log).toEqual([{ term: 1, first: 41, last: 43 }]);
  });

  it('are worth cleaning when most of the journal is dead, the emptiest first', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 60);
    for (const index of [2, 3, 20]) journal.space.addLive(A, index, 600);
    journal.append([basing(A, 60)]);
    drain(journal, files);
    const candidate = journal.space.wanted()!.candidate!;
    expect(candidate.liveBytes).toBe(600);
    expect(candidate.ranges).toHaveLength(1);
    expect(candidate.ranges[0]!.first).toBeLessThanOrEqual(20);
    expect(candidate.ranges[0]!.last).toBeGreaterThanOrEqual(20);
    journal.space.cleaned(candidate);
    drain(journal, files);
    expect(journal.locate(A, 20)).toBeUndefined();
    expect(journal.locate(A, 2)).toBeDefined();
  });

  it.each(['before', 'while'])('stay when a snapshot brings other living messages %s what was alive is moved', when => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 60);
    for (const index of [2, 3, 20]) journal.space.addLive(A, index, 600);
    journal.append([basing(A, 60)]);
    drain(journal, files);
    const candidate = journal.space.wanted()!.candidate!;
    if (when === 'before') journal.space.cleaned(candidate);
    journal.space.resetLive(A);
    const { first, last } = candidate.ranges[0]!;
    const other = first === 20 ? last : first;
    for (const index of [2, 3, other]) journal.space.addLive(A, index, 600);
    journal.space.accounted(A);
    if (when === 'while') journal.space.cleaned(candidate);
    drain(journal, files);
    expect(journal.locate(A, other)).toBeDefined();
  });

  it('are not worth cleaning when most of the journal is alive', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 60);
    for (let index = 1; index <= 60; index++) journal.space.addLive(A, index, 600);
    journal.append([basing(A, 60)]);
    drain(journal, files);
    expect(journal.space.wanted()).toBeUndefined();
  });
});

/** The place of the operation that finds no room. */
function performFully(files: SimulatedFiles, work: JournalWork): number {
  const done = files.perform(work);
  if (done.outcome !== 'full') throw new Error(`the work is ${done.outcome}`);
  return done.at;
}

describe('the journal on a full disk', () => {
  it('does not touch again what is synced, whatever power loss leaves of the work that goes on', () => {
    for (let done = 0, isOver = false; !isOver; done++) {
      for (let seed = 0; seed < 20; seed++) {
        const files = new SimulatedFiles(new SeededRandom(seed));
        const journal = open(files);
        for (let index = 1; index <= 4; index++) journal.append([appending(A, entry(index, 3_900))]);
        const work = journal.takeWork()!;
        const written = files.bytesUsed;
        files.capacityBytes = written + 3 * OPTIONS.segmentBytesMax;
        const at = performFully(files, work);
        expect(work.operations.slice(0, at).filter(one => one.do === 'create').length).toBeGreaterThan(1);
        expect(journal.workFull(work.number, at)).toBe(false);
        files.capacityBytes = Number.POSITIVE_INFINITY;
        const rest = journal.takeWork()!;
        isOver = done > rest.operations.length;
        files.perform({ ...rest, operations: rest.operations.slice(0, done) });
        files.crash('power');
        expect(recovered(files).report.damages, `${done} operations, seed ${seed}`).toEqual([]);
      }
    }
  });

  it('gives up a spare to go on', () => {
    const files = disk();
    const journal = open(files);
    fill(journal, A, 1, 40);
    journal.append([basing(A, 40)]);
    drain(journal, files);
    const sequence = journal.append([appending(A, entry(41, 6000))]);
    files.capacityBytes = files.bytesUsed;
    const work = journal.takeWork()!;
    expect(journal.workFull(work.number, performFully(files, work))).toBe(true);
    drain(journal, files);
    expect(journal.durableThrough).toBe(sequence);
  });

  it('does the same work again when there is nothing to give up, and loses nothing', () => {
    const files = disk();
    const journal = open(files);
    const sequence = journal.append([appending(A, entry(1, 3000))]);
    files.capacityBytes = files.bytesUsed + 100;
    const work = journal.takeWork()!;
    expect(journal.workFull(work.number, performFully(files, work))).toBe(false);
    journal.append([appending(A, entry(2))]);
    files.capacityBytes = Number.POSITIVE_INFINITY;
    drain(journal, files);
    expect(journal.durableThrough).toBeGreaterThanOrEqual(sequence);
    expect(recovered(files).groups[0]!.log).toEqual([{ term: 1, first: 1, last: 2 }]);
  });

  it('prepares a spare in idle moments and does without when there is no room', () => {
    const files = disk();
    const journal = open(files, { ...OPTIONS, sparesMin: 1 });
    const idle = journal.takeIdleWork()!;
    files.capacityBytes = files.bytesUsed + 1000;
    expect(journal.workFull(idle.number, performFully(files, idle))).toBe(true);
    drain(journal, files);
    expect(files.list().map(file => file.name)).toEqual(['000000000001.segment']);
  });
});
