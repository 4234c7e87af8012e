import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, type EntryId, EntryKind } from '../../../src/raft/messages.ts';
import { RaftLog } from '../../../src/raft/raft-log.ts';

const entry = (index: number, term: number, bytes = 1): Entry => ({
  index,
  term,
  kind: EntryKind.command,
  payload: new Uint8Array(bytes),
});
/** '1:1 2:1 3:2' is three entries, written as in the transcripts: index and term. */
const entries = (text: string): Entry[] =>
  text.split(' ').map(id => entry(Number(id.split(':')[0]), Number(id.split(':')[1])));

const EMPTY: EntryId = { term: 0, index: 0 };
const newLog = (cachedBytesMax = 1000) => new RaftLog(EMPTY, [], 0, 0, cachedBytesMax);

/** A log with these entries, all of them written and durable. */
function durableLog(text: string, cachedBytesMax = 1000): RaftLog {
  const log = newLog(cachedBytesMax);
  log.append(entries(text));
  log.takeUnwritten();
  log.durableTo(log.last);
  return log;
}

describe('a log', () => {
  it.each([
    { index: 0, term: 0 },
    { index: 1, term: 1 },
    { index: 3, term: 3 },
    { index: 4, term: 3 },
    { index: 5, term: undefined },
  ])('has term $term at $index', ({ index, term }) => {
    expect(durableLog('1:1 2:1 3:3 4:3').termAt(index)).toBe(term);
  });

  it.each([
    { index: 9, term: 3, expected: 4 },
    { index: 4, term: 2, expected: 2 },
    { index: 1, term: 9, expected: 1 },
    { index: 4, term: 0, expected: 0 },
  ])('has its last entry at or below $index of a term not above $term at $expected', ({ index, term, expected }) => {
    expect(durableLog('1:1 2:2 3:3 4:3').lastAtOrBelow(index, term)).toBe(expected);
  });

  it.each([
    { last: { term: 3, index: 3 }, expected: false },
    { last: { term: 3, index: 4 }, expected: true },
    { last: { term: 4, index: 1 }, expected: true },
    { last: { term: 2, index: 9 }, expected: false },
  ])('thinks of $last as up to date: $expected', ({ last, expected }) => {
    expect(durableLog('1:1 2:2 3:3 4:3').isUpToDate(last)).toBe(expected);
  });

  it('refuses gaps, falling terms, and truncation of what is committed', () => {
    const log = durableLog('1:1 2:2');
    expect(() => log.append(entries('4:2'))).toThrow();
    expect(() => log.append(entries('3:1'))).toThrow();
    log.commitTo(1);
    expect(() => log.truncateFrom(1)).toThrow();
    expect(() => log.commitTo(3)).toThrow();
    expect(() => log.appliedTo(2)).toThrow();
  });

  it('hands entries out for writing once, and again when they were replaced', () => {
    const log = newLog();
    log.append(entries('1:1 2:1'));
    expect(log.takeUnwritten()).toHaveLength(2);
    expect(log.takeUnwritten()).toHaveLength(0);
    log.truncateFrom(2);
    log.append(entries('2:2 3:2'));
    expect(log.takeUnwritten().map(({ index, term }) => [index, term])).toEqual([
      [2, 2],
      [3, 2],
    ]);
  });

  it('gives at least one entry, and more within the byte bound, which counts their heads too', () => {
    const log = newLog();
    log.append([entry(1, 1, 50), entry(2, 1, 10), entry(3, 1, 10), entry(4, 1, 10)]);
    expect(log.entries(1, 4, 20)).toHaveLength(1);
    expect(log.entries(2, 4, 60)).toHaveLength(2);
    expect(log.entries(2, 4, 1000)).toHaveLength(3);
    expect(log.entries(5, 4, 1000)).toEqual([]);
  });

  it('keeps what is not durable or not applied in memory, and evicts the oldest of the rest', () => {
    const log = newLog(25);
    log.append([entry(1, 1, 10), entry(2, 1, 10), entry(3, 1, 10), entry(4, 1, 10)]);
    log.takeUnwritten();
    log.commitTo(4);
    log.appliedTo(4);
    expect(log.cachedFirst).toBe(1);
    log.durableTo(1);
    expect(log.cachedFirst).toBe(2);
    log.durableTo(4);
    expect([log.cachedFirst, log.cachedBytes]).toEqual([3, 20]);
    expect(log.entries(2, 4, 100)).toBeUndefined();
    expect(log.termAt(1)).toBe(1);
  });

  it('begins behind a checkpoint that covers applied and durable entries only', () => {
    const log = durableLog('1:1 2:1 3:2 4:2');
    log.commitTo(3);
    log.appliedTo(2);
    expect(() => log.compactTo({ index: 3, term: 2 })).toThrow();
    expect(() => log.compactTo({ index: 2, term: 7 })).toThrow();
    log.compactTo({ index: 2, term: 1 });
    expect([log.termAt(1), log.termAt(2), log.termAt(3), log.last]).toEqual([undefined, 1, 2, 4]);
  });

  it('keeps the entries behind a snapshot that it holds', () => {
    const log = durableLog('1:1 2:1 3:2 4:2');
    expect(log.restore({ index: 3, term: 2 })).toBe(true);
    expect([log.base.index, log.commit, log.applied, log.last, log.termAt(4)]).toEqual([3, 3, 3, 4, 2]);
  });

  it.each([
    { name: 'in another term', last: { index: 3, term: 3 } },
    { name: 'behind its end', last: { index: 9, term: 3 } },
  ])('is replaced by a snapshot that ends $name', ({ last }) => {
    const log = durableLog('1:1 2:1 3:2 4:2');
    expect(log.restore(last)).toBe(false);
    expect([log.base, log.last, log.commit, log.durable]).toEqual([last, last.index, last.index, last.index]);
    log.append(entries(`${last.index + 1}:3`));
    expect(log.takeUnwritten()).toHaveLength(1);
  });

  it('starts from what recovery found, with the commit index inside of it', () => {
    const runs = [
      { term: 2, first: 6, last: 7 },
      { term: 4, first: 8, last: 9 },
    ];
    const log = new RaftLog({ term: 2, index: 5 }, runs, 20, 6, 100);
    expect([log.last, log.commit, log.applied, log.durable, log.cachedFirst]).toEqual([9, 9, 6, 9, 10]);
    expect([5, 7, 8].map(index => log.termAt(index))).toEqual([2, 2, 4]);
    expect(() => new RaftLog({ term: 2, index: 5 }, [{ term: 2, first: 7, last: 8 }], 0, 5, 100)).toThrow();
  });
});

/** The same in the plainest way: every entry since the beginning, and six numbers. */
class NaiveLog {
  readonly all: Entry[] = [];
  base = 0;
  commit = 0;
  applied = 0;
  written = 0;
  durable = 0;

  get last(): number {
    return this.all.length;
  }

  termAt(index: number): number | undefined {
    if (index < this.base || index > this.last) return undefined;
    return index === 0 ? 0 : this.all[index - 1]!.term;
  }

  lastAtOrBelow(index: number, term: number): number {
    let at = Math.min(index, this.last);
    while (at > this.base && this.termAt(at)! > term) at -= 1;
    return at;
  }
}

const stepArb = fc.tuple(
  fc.constantFrom('append', 'append', 'truncate', 'commit', 'apply', 'write', 'durable', 'compact'),
  fc.nat(30),
);

/** Does the same to both, if it is allowed at all. */
function applyStep(log: RaftLog, naive: NaiveLog, [kind, number]: readonly [string, number]): void {
  const upTo = (from: number, to: number) => from + (to > from ? 1 + (number % (to - from)) : 0);
  if (kind === 'append') {
    const term = (naive.all.at(-1)?.term ?? 1) + (number % 3 === 0 ? 1 : 0);
    const added = [entry(naive.last + 1, term, number), entry(naive.last + 2, term, 1)];
    log.append(added);
    naive.all.push(...added);
  } else if (kind === 'truncate' && naive.last > naive.commit) {
    const from = upTo(naive.commit, naive.last);
    log.truncateFrom(from);
    naive.all.length = from - 1;
    naive.written = Math.min(naive.written, from - 1);
    naive.durable = Math.min(naive.durable, from - 1);
  } else if (kind === 'commit') {
    naive.commit = upTo(naive.commit, naive.last);
    log.commitTo(naive.commit);
  } else if (kind === 'apply') {
    naive.applied = upTo(naive.applied, naive.commit);
    log.appliedTo(naive.applied);
  } else if (kind === 'write') {
    expect(log.takeUnwritten()).toEqual(naive.all.slice(naive.written));
    naive.written = naive.last;
  } else if (kind === 'durable') {
    naive.durable = upTo(naive.durable, naive.written);
    log.durableTo(naive.durable);
  } else if (kind === 'compact') {
    naive.base = upTo(naive.base, Math.max(naive.base, Math.min(naive.applied, naive.durable)));
    log.compactTo({ index: naive.base, term: naive.termAt(naive.base)! });
  }
}

describe('a log and its naive twin', () => {
  it('always agree', () => {
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 80 }), fc.nat(60), (steps, cachedBytesMax) => {
        const log = newLog(cachedBytesMax);
        const naive = new NaiveLog();
        for (const step of steps) {
          applyStep(log, naive, step);
          expect([log.base.index, log.last, log.commit, log.applied, log.written, log.durable]).toEqual([
            naive.base,
            naive.last,
            naive.commit,
            naive.applied,
            naive.written,
            naive.durable,
          ]);
          const first = log.cachedFirst;
          expect(log.entries(first, log.last, 1e6)).toEqual(naive.all.slice(first - 1));
          expect(log.cachedBytes).toBe(naive.all.slice(first - 1).reduce((sum, each) => sum + each.payload.length, 0));
          if (log.cachedBytes > cachedBytesMax) expect(first).toBeGreaterThan(Math.min(log.applied, log.durable));
        }
        for (let index = 0; index <= naive.last + 1; index++) {
          expect(log.termAt(index)).toBe(naive.termAt(index));
          if (index >= naive.base) expect(log.lastAtOrBelow(index, 2)).toBe(naive.lastAtOrBelow(index, 2));
        }
      }),
    );
  });
});
