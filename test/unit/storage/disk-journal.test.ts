import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import type { Entry } from '../../../src/raft/messages.ts';
import { type OpenedJournal, openDiskJournal } from '../../../src/storage/disk-journal.ts';
import type { Location } from '../../../src/storage/group-log.ts';
import type { JournalDriver } from '../../../src/storage/journal-driver.ts';

const GROUP = groupId(1);
const JOURNAL = { segmentBytesMax: 64 * 1024, sparesMax: 1, sparesMin: 0, deadBytesReserve: 0 };

describe('the journal on disk', () => {
  let directory = '';
  let journals: JournalDriver[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'warren-journal-'));
  });
  afterEach(async () => {
    await Promise.all(journals.map(journal => journal.close()));
    journals = [];
    await rm(directory, { recursive: true, force: true });
  });

  async function open(
    failed: (reason: string) => void = expect.fail,
  ): Promise<Extract<OpenedJournal, { opened: true }>> {
    const after = (): (() => void) => expect.fail('nothing is tried again here');
    const opened = await openDiskJournal(
      { directory, journal: JOURNAL, retryMs: 1, mustExist: false },
      { after, failed },
    );
    if (!opened.opened) throw new Error(opened.reason);
    journals.push(opened.journal);
    return opened;
  }

  const entry = (index: number, bytes: number): Entry => {
    const payload = new Uint8Array(new SharedArrayBuffer(bytes));
    payload.fill(index);
    return { kind: 1, index, term: 1, payload };
  };

  const append = (journal: JournalDriver, ...entries: Entry[]): Promise<void> =>
    new Promise(resolve => {
      journal.append({ group: GROUP, hardState: undefined, entries, base: undefined }, resolve);
      journal.flush();
    });

  const read = (journal: JournalDriver, ...indexes: number[]): Promise<(Entry | undefined)[]> =>
    new Promise(resolve => {
      const locations = indexes.map(index => journal.locate(GROUP, index)) as Location[];
      journal.read(locations, resolve);
    });

  it('has after it is opened again what was durable', async () => {
    const { journal } = await open();
    await append(journal, entry(1, 10), entry(2, 100_000), entry(3, 20_000));
    await journal.close();
    const { journal: again, groups, report } = await open();
    expect(report.damages).toEqual([]);
    expect(groups[0]?.log).toEqual([{ term: 1, first: 1, last: 3 }]);
    const entries = await read(again, 1, 2, 3);
    expect(entries.map(one => [one?.index, one?.payload.length, one?.payload[0]])).toEqual([
      [1, 10, 1],
      [2, 100_000, 2],
      [3, 20_000, 3],
    ]);
  });

  it('reads an entry that is not on disk yet when it is', async () => {
    const { journal } = await open();
    const durable = append(journal, entry(1, 2000));
    const [found] = await read(journal, 1);
    expect(found?.payload[0]).toBe(1);
    await durable;
  });

  it('keeps a segment that is being read', async () => {
    const { journal } = await open();
    for (let index = 1; index <= 20; index++) await append(journal, entry(index, 20_000));
    const reading = read(journal, 1, 2);
    const base = { last: { term: 1, index: 20 }, membership: { voters: [nodeId(1)], outgoing: [], learners: [] } };
    await new Promise<void>(resolve => {
      const write = { group: GROUP, hardState: undefined, entries: [], base: { ...base, generation: 0 } };
      journal.append(write, resolve);
      journal.flush();
    });
    expect((await reading).map(one => one?.index)).toEqual([1, 2]);
  });

  it('tells that the disk cannot be trusted when its files cannot be written', async () => {
    const reasons: string[] = [];
    const failure = new Promise<string>(resolve => {
      void open(reason => {
        reasons.push(reason);
        resolve(reason);
      }).then(async ({ journal }) => {
        await rm(directory, { recursive: true });
        const entries = Array.from({ length: 5 }, (_, i) => entry(i + 1, 60_000));
        void append(journal, ...entries).then(() => expect.fail('nothing is durable'));
      });
    });
    expect(await failure).toContain('could not be written');
    expect(reasons).toHaveLength(1);
  });
});
