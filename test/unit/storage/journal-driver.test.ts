import { beforeEach, describe, expect, it } from 'vitest';
import { JournalDriver } from '../../../src/storage/journal-driver.ts';
import { FilesThread } from '../../support/files-thread.ts';
import { A, appending, basing, disk, entry, OPTIONS, recovered } from '../../support/journal-fixture.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import type { SimulatedFiles } from '../../support/simulated-files.ts';

const RETRY_MS = 500;

describe("the journal's driver on a full disk", () => {
  let files: SimulatedFiles;
  let clock: ManualClock;
  let writer: FilesThread;
  let reader: FilesThread;
  let turns: (() => void)[];
  let durable: number[];

  beforeEach(() => {
    files = disk();
    clock = new ManualClock();
    turns = [];
    durable = [];
  });

  function open(options = OPTIONS): JournalDriver {
    const journal = new JournalDriver({ retryMs: RETRY_MS }, recovered(files, options).journal, {
      thread: (role, replied) => {
        const thread = new FilesThread(files, callback => turns.push(callback), replied);
        if (role === 'write') writer = thread;
        else reader = thread;
        return thread;
      },
      after: (delayMs, callback) => clock.after(delayMs, callback),
      defer: callback => turns.push(callback),
      failed: reason => expect.fail(reason),
    });
    journal.whenSettled(() => {});
    settle();
    writer.requests.length = 0;
    return journal;
  }

  /** Everything happens that is not waiting for the clock. */
  const settle = (): void => {
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) turn();
  };

  /** What every turn of a node's event loop does, and what its quiet moments do. */
  const spinLoop = (journal: JournalDriver): void => {
    for (let turn = 0; turn < 20; turn++) {
      journal.flush();
      journal.idle();
      settle();
    }
  };

  const append = (journal: JournalDriver, index: number, bytes: number): void =>
    journal.append(appending(A, entry(index, bytes)), () => durable.push(index));

  /** Enough that segments die with the base behind it. */
  const fillAndBase = (journal: JournalDriver): void => {
    for (let index = 1; index <= 40; index++) append(journal, index, 600);
    spinLoop(journal);
    journal.append(basing(A, 40), () => {});
  };

  const fillDisk = (): void => {
    files.capacityBytes = files.bytesUsed;
  };

  it('tries once in every interval, however many turns there are', () => {
    const journal = open();
    fillDisk();
    append(journal, 1, 3_000);
    spinLoop(journal);
    expect(journal.isFull).toBe(true);
    expect(writer.requests).toHaveLength(1);
    for (let tries = 1; tries < 4; tries++) {
      append(journal, tries + 1, 100);
      clock.advance(RETRY_MS - 1);
      spinLoop(journal);
      expect(writer.requests).toHaveLength(tries);
      clock.advance(1);
      spinLoop(journal);
      expect(writer.requests).toHaveLength(tries + 1);
    }
    expect(durable).toEqual([]);
    files.capacityBytes = Number.POSITIVE_INFINITY;
    clock.advance(RETRY_MS);
    settle();
    expect(durable).toEqual([1, 2, 3, 4]);
    expect(journal.isFull).toBe(false);
    expect(clock.timerCount).toBe(0);
  });

  it('does not wait where it has made room itself', () => {
    const journal = open();
    fillAndBase(journal);
    spinLoop(journal);
    fillDisk();
    append(journal, 41, 3_000);
    journal.flush();
    settle();
    expect(durable.at(-1)).toBe(41);
    expect(clock.timerCount).toBe(0);
  });

  it('does not wait when it was only preparing a spare', () => {
    const journal = open({ ...OPTIONS, sparesMin: 1 });
    files.capacityBytes = files.bytesUsed + 1_000;
    journal.idle();
    append(journal, 1, 100);
    spinLoop(journal);
    expect(durable).toEqual([1]);
    expect(clock.timerCount).toBe(0);
  });

  it('names each file that has gone once to the thread that reads, however often the work was tried', () => {
    const journal = open({ ...OPTIONS, sparesMax: 0 });
    fillAndBase(journal);
    append(journal, 41, 3_000);
    fillDisk();
    spinLoop(journal);
    for (let tries = 0; tries < 5; tries++) {
      clock.advance(RETRY_MS);
      settle();
    }
    reader.requests.length = 0;
    files.capacityBytes = Number.POSITIVE_INFINITY;
    clock.advance(RETRY_MS);
    settle();
    const forgotten = reader.requests.flatMap(request => (request.do === 'forget' ? request.files : []));
    expect(forgotten.length).toBeGreaterThan(2);
    expect(new Set(forgotten).size).toBe(forgotten.length);
  });

  it('tries nothing any more when it is closed', async () => {
    const journal = open();
    fillDisk();
    append(journal, 1, 3_000);
    spinLoop(journal);
    await journal.close();
    expect(clock.timerCount).toBe(0);
    clock.advance(RETRY_MS);
    spinLoop(journal);
    expect(writer.requests).toHaveLength(1);
  });
});
