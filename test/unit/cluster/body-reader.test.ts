import { beforeEach, describe, expect, it } from 'vitest';
import { BodyReader } from '../../../src/cluster/shard/body-reader.ts';
import type { BodyPart } from '../../../src/queue/effects.ts';

const part = (entry: number, position: number, length = 2): BodyPart => ({ entry, position, length });

describe('BodyReader', () => {
  let reads: string[];
  let pending: (() => void)[];
  let memory: Map<number, Uint8Array>;
  let journal: Map<number, Uint8Array>;
  let bodies: BodyReader;
  /** In segments that were cleaned: by entry and position. */
  let stragglers: Map<string, Uint8Array>;

  beforeEach(() => {
    reads = [];
    pending = [];
    memory = new Map();
    journal = new Map();
    stragglers = new Map();
    bodies = new BodyReader(
      { cacheBytesMax: 25 },
      {
        inMemory: entry => memory.get(entry),
        fromJournal: (entry, done) => {
          reads.push(`entry ${entry}`);
          pending.push(() => done(journal.get(entry)?.slice()));
        },
        fromStragglers: ({ entry, position }, done) => {
          reads.push(`straggler ${entry}/${position}`);
          pending.push(() => done(stragglers.get(`${entry}/${position}`)?.slice()));
        },
        lost: ({ entry }) => expect.fail(`nobody asked for the body of entry ${entry}`),
      },
    );
  });

  const answerAll = (): void => {
    while (pending.length > 0) pending.shift()!();
  };
  const found = ({ entry, position, length }: BodyPart): number[] | undefined => {
    const bytes = bodies.find(entry, position, length);
    return bytes && [...bytes];
  };
  const tenBytes = (first: number): Uint8Array => Uint8Array.from({ length: 10 }, (_, i) => first + i);

  it('finds what is in memory without reading', () => {
    memory.set(1, tenBytes(0));
    expect(found(part(1, 4))).toEqual([4, 5]);
    expect(reads).toEqual([]);
  });

  it('reads an entry once for all who wait for messages in it', () => {
    journal.set(1, tenBytes(0));
    const seen: unknown[] = [];
    for (const position of [0, 3, 6]) bodies.load(part(1, position), () => seen.push(found(part(1, position))));
    answerAll();
    expect(seen).toEqual([
      [0, 1],
      [3, 4],
      [6, 7],
    ]);
    expect(reads).toEqual(['entry 1']);
  });

  it('gives each who waits its own message when the segment turns out to be cleaned', () => {
    stragglers.set('1/0', Uint8Array.of(10, 11)).set('1/6', Uint8Array.of(60, 61));
    const seen: unknown[] = [];
    for (const position of [0, 6, 6]) bodies.load(part(1, position), () => seen.push(found(part(1, position))));
    answerAll();
    expect(seen).toEqual([
      [10, 11],
      [60, 61],
      [60, 61],
    ]);
    expect(reads).toEqual(['entry 1', 'straggler 1/0', 'straggler 1/6']);
  });

  it('does not ask the journal again for an entry that it knows to be cleaned', () => {
    stragglers.set('1/0', Uint8Array.of(10, 11)).set('1/6', Uint8Array.of(60, 61));
    bodies.load(part(1, 0), () => {});
    answerAll();
    bodies.load(part(1, 6), () => {});
    answerAll();
    expect(reads).toEqual(['entry 1', 'straggler 1/0', 'straggler 1/6']);
  });

  it('keeps what was just read while those who waited look at it, and at most its bound after that', () => {
    for (const entry of [1, 2, 3, 4]) journal.set(entry, tenBytes(entry * 10));
    const seen: unknown[] = [];
    for (const entry of [1, 2, 3, 4]) bodies.load(part(entry, 0), () => seen.push(found(part(entry, 0))));
    answerAll();
    expect(seen).toEqual([
      [10, 11],
      [20, 21],
      [30, 31],
      [40, 41],
    ]);
    expect([1, 2, 3, 4].map(entry => found(part(entry, 0)) !== undefined)).toEqual([false, false, true, true]);
  });

  it('may be asked for more from within an answer', () => {
    journal.set(1, tenBytes(0)).set(2, tenBytes(20));
    const seen: unknown[] = [];
    bodies.load(part(1, 0), () => bodies.load(part(2, 0), () => seen.push(found(part(1, 0)), found(part(2, 0)))));
    answerAll();
    expect(seen).toEqual([
      [0, 1],
      [20, 21],
    ]);
  });

  it('says of a body that is nowhere any more that it is not there', () => {
    const seen: boolean[] = [];
    bodies.load(part(1, 0), isThere => seen.push(isThere));
    answerAll();
    expect(seen).toEqual([false]);
  });
});
