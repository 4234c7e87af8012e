import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assessReplica } from '../../../src/cluster/group/replica-start.ts';
import { DiskStore, type OpenedStore } from '../../../src/disk-store.ts';
import { SystemClock } from '../../../src/lib/clock.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import type { LogBase } from '../../../src/raft/log-store.ts';
import { encodeMembership } from '../../../src/raft/membership.ts';
import { EntryKind } from '../../../src/raft/messages.ts';

const GROUP = groupId(3);
const AT = { term: 2, index: 20 };
const HARD_STATE = { term: 7, vote: nodeId(2), commit: 20 };
const PAGES = 300;
const THREE = [nodeId(1), nodeId(2), nodeId(3)];

describe('the store of a node', () => {
  let directory = '';
  let stores: DiskStore[] = [];
  let errors: string[] = [];
  let failures: string[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'warren-store-'));
    stores = [];
    errors = [];
    failures = [];
  });
  afterEach(async () => {
    await Promise.all(stores.map(store => store.close()));
    await rm(directory, { recursive: true, force: true });
  });

  const tryOpen = async (): Promise<OpenedStore> => {
    const logger = { info: () => {}, warn: () => {}, error: (_: object, text: string) => void errors.push(text) };
    const failed = (reason: string): void => void failures.push(reason);
    const opened = await DiskStore.open({ directory, freeBytesMin: 0 }, { clock: new SystemClock(), logger, failed });
    if (opened.ok) stores.push(opened.store);
    return opened;
  };

  const open = async (): Promise<DiskStore> => {
    const opened = await tryOpen();
    if (!opened.ok) throw new Error(opened.error);
    return opened.store;
  };

  const close = async (store: DiskStore): Promise<void> => {
    stores = stores.filter(one => one !== store);
    await store.close();
  };

  const append = (store: DiskStore, write: Partial<Parameters<DiskStore['append']>[0]>): Promise<void> =>
    new Promise(resolve => {
      store.append({ group: GROUP, hardState: undefined, entries: [], base: undefined, ...write }, resolve);
      store.flush();
    });

  const entries = (store: DiskStore, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const payload = store.allocate(GROUP, 400);
      payload.fill(i);
      return { kind: 1 as const, index: i + 1, term: 2, payload };
    });

  it('gives the entries of different groups memory that they do not share', async () => {
    const store = await open();
    const [own, next, other] = [
      store.allocate(GROUP, 100),
      store.allocate(GROUP, 100),
      store.allocate(groupId(99), 100),
    ];
    expect(next.buffer).toBe(own.buffer);
    expect(other.buffer).not.toBe(own.buffer);
  });

  const baseAt = (last: LogBase['last'], voters = THREE): LogBase => ({
    last,
    membership: { voters, outgoing: [], learners: [] },
    generation: 0,
  });

  /** A replica with a term, a vote, a log that begins behind its checkpoint, and a message that was moved. */
  const fill = async (voters = THREE): Promise<void> => {
    const store = await open();
    await append(store, { hardState: HARD_STATE, base: baseAt({ term: 0, index: 0 }, voters) });
    await append(store, { entries: entries(store, 24) });
    const writer = store.beginCheckpoint(GROUP, 0, AT);
    for (let at = 0; at < PAGES; at += 100) {
      const pages = Array.from({ length: 100 }, (_, i) => ({
        key: { space: 1, kind: 17, number: at + i },
        bytes: new Uint8Array(700).fill(i),
      }));
      await writer.add(pages);
    }
    await writer.finish();
    await store.putStragglers([{ group: GROUP, entry: 4, position: 8, length: 3, bytes: Uint8Array.of(1, 2, 3) }]);
    await append(store, { base: baseAt(AT, voters) });
    await store.saveFormation(Uint8Array.of(1));
    await close(store);
    // Opened once more, so that what was in the log of the key-value store is in a table file.
    await close(await open());
  };

  const level = (): string => join(directory, 'level');
  const filesLike = (pattern: RegExp): string[] => readdirSync(level()).filter(name => pattern.test(name));
  const change = (pattern: RegExp, edit: (bytes: Buffer) => Buffer): void => {
    const names = filesLike(pattern);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) writeFileSync(join(level(), name), edit(readFileSync(join(level(), name))));
  };
  const flip = (bytes: Buffer, from: number, to: number): Buffer => {
    for (let at = Math.max(0, from); at < Math.min(to, bytes.length); at++) bytes[at]! ^= 0x5a;
    return bytes;
  };

  /** What a replica would begin with. */
  const start = async (store: DiskStore) => {
    const found = store.recovered.get(GROUP);
    return { found, start: assessReplica(found, await store.loadCheckpoint(GROUP, 0)) };
  };

  it.each([
    ['a table whose end is damaged', () => change(/ldb$/, bytes => flip(bytes, bytes.length - 60, bytes.length))],
    [
      'a table whose index is damaged',
      () => change(/ldb$/, bytes => flip(bytes, bytes.length - 400, bytes.length - 60)),
    ],
    ['a table that was cut', () => change(/ldb$/, bytes => bytes.subarray(0, 3_000))],
    ['a table that is gone', () => rmSync(join(level(), filesLike(/ldb$/)[0]!))],
    ['a damaged MANIFEST', () => change(/^MANIFEST/, bytes => flip(bytes, 10, 40))],
    ['no MANIFEST', () => rmSync(join(level(), filesLike(/^MANIFEST/)[0]!))],
    ['no CURRENT', () => rmSync(join(level(), 'CURRENT'))],
    ['a CURRENT that names nothing', () => writeFileSync(join(level(), 'CURRENT'), 'nothing')],
  ])(
    'starts with %s: it is set aside, and the replica waits for a leader with its term and vote',
    async (_, damage) => {
      await fill();
      damage();
      const store = await open();
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain(`set aside as ${level()}.damaged`);
      expect(existsSync(`${level()}.damaged`)).toBe(true);
      const { found, start: begun } = await start(store);
      expect(found?.hardState).toEqual(HARD_STATE);
      expect(begun.from).toBe('a-leader');
      expect(failures).toEqual([]);
    },
  );

  it.each([
    ['values', () => change(/ldb$/, bytes => flip(bytes, 1_000, 1_200))],
    ['all tables and logs, in places,', () => change(/(ldb|log)$/, bytes => flip(bytes, 1_000, 1_200))],
  ])('finds damage in %s that LevelDB does not see', async (_, damage) => {
    await fill();
    damage();
    const { found, start: begun } = await start(await open());
    expect(found?.hardState).toEqual(HARD_STATE);
    expect(begun.from).toBe('a-leader');
  });

  it('keeps one store that was set aside, and does without it from then on', async () => {
    await fill();
    rmSync(join(level(), 'CURRENT'));
    await close(await open());
    await close(await open());
    expect(errors).toHaveLength(1);
    rmSync(join(level(), 'CURRENT'));
    await close(await open());
    expect(errors).toHaveLength(2);
    expect(readdirSync(directory).filter(name => name.startsWith('level'))).toEqual(['level', 'level.damaged']);
  });

  it('stops when it finds in the middle of its life that it cannot read, and sets the store aside at the next start', async () => {
    await fill();
    const store = await open();
    for (const name of filesLike(/ldb$/)) {
      // In place: LevelDB has the file mapped into memory.
      const file = openSync(join(level(), name), 'r+');
      writeSync(file, new Uint8Array(readFileSync(join(level(), name)).length - 1_000).fill(0xff));
      closeSync(file);
    }
    store.readStraggler(GROUP, { entry: 4, position: 8, length: 3 }, () => expect.fail('damage was read'));
    await expect.poll(() => failures).toHaveLength(1);
    expect(failures[0]).toContain('could not be read');
    await close(store);
    expect((await start(await open())).start.from).toBe('a-leader');
    expect(errors).toHaveLength(1);
  });

  it.each([
    ['deleted', (folder: string) => rmSync(folder, { recursive: true })],
    [
      'made unreadable',
      (folder: string) => {
        for (const name of readdirSync(folder)) writeFileSync(join(folder, name), new Uint8Array(4_096));
      },
    ],
  ])('does not start as new when its journal was %s: it had votes', async (_, damage) => {
    await fill();
    damage(join(directory, 'journal'));
    for (let attempt = 0; attempt < 2; attempt++) {
      const opened = await tryOpen();
      expect(opened.ok).toBe(false);
      expect(!opened.ok && opened.error).toMatch(
        /journal .* cannot be used: .*put the journal back, or start it with an empty/,
      );
    }
  });

  it('marks a replica whose log cannot be read back, stops, and has it filled at the next start', async () => {
    await fill();
    const journal = join(directory, 'journal');
    const store = await open();
    for (const name of readdirSync(journal).filter(one => one.endsWith('.segment'))) {
      const bytes = readFileSync(join(journal, name));
      const at = bytes.indexOf(new Uint8Array(400).fill(22));
      if (at >= 0) writeFileSync(join(journal, name), flip(bytes, at + 10, at + 12));
    }
    store.readEntries(GROUP, 21, 24, 1_000_000, () => expect.fail('a damaged entry was handed out'));
    await expect.poll(() => failures).toHaveLength(1);
    expect(failures[0]).toMatch(/entry 23 cannot be read back.*start this node again/);
    await close(store);
    const { found, start: begun } = await start(await open());
    expect(found).toMatchObject({ damaged: true, hardState: HARD_STATE });
    expect(begun.from).toBe('a-leader');
  });

  it('does not ask for help from others where there are none', async () => {
    await fill([nodeId(1)]);
    const store = await open();
    store.lost(GROUP, 'entry 22 cannot be read back');
    expect(failures[0]).toContain('no other node has it');
    await close(store);
    expect((await start(await open())).start.from).toBe('checkpoint');
  });

  it('asks for help where it has joined and does not know whom yet', async () => {
    await fill([]);
    const store = await open();
    store.lost(GROUP, 'entry 22 cannot be read back');
    await expect.poll(() => failures).toHaveLength(1);
    expect(failures[0]).toContain('start this node again');
  });

  it('asks for help where its log has brought others since', async () => {
    await fill([nodeId(1)]);
    const store = await open();
    const change = encodeMembership({ voters: THREE, outgoing: [nodeId(1)], learners: [] });
    const payload = store.allocate(GROUP, change.length);
    payload.set(change);
    await append(store, { entries: [{ kind: EntryKind.configuration, index: 25, term: 2, payload }] });
    store.lost(GROUP, 'entry 22 cannot be read back');
    await expect.poll(() => failures).toHaveLength(1);
    expect(failures[0]).toContain('start this node again');
  });
});
