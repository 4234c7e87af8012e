import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeChunk,
  decodeRequest,
  encodeChunk,
  encodeRequest,
  type SnapshotItem,
  SnapshotReader,
  SnapshotWriter,
} from '../../../src/cluster/snapshot/snapshot-codec.ts';

const index = fc.integer({ min: 1, max: 2 ** 40 });
const bytes = fc.uint8Array({ maxLength: 300 });
const item: fc.Arbitrary<SnapshotItem> = fc.oneof(
  fc
    .record({ space: index, kind: fc.nat(255), number: fc.nat(), content: bytes })
    .map(({ content, ...key }): SnapshotItem => ({ kind: 'page', page: { key, bytes: content } })),
  fc
    .record({ term: index, index, payload: bytes })
    .map((entry): SnapshotItem => ({ kind: 'body', entry: { ...entry, kind: 1 } })),
  fc.record({ term: index, index }).map((id): SnapshotItem => ({ kind: 'kept', id, checksum: 0xfedc_ba98 })),
  fc.record({ entry: index, position: fc.nat(), content: bytes }).map(
    ({ entry, position, content }): SnapshotItem => ({
      kind: 'straggler',
      part: { entry, position, length: content.length },
      bytes: content,
    }),
  ),
);

function chunksOf(items: readonly SnapshotItem[], chunkBytes: number): Uint8Array[] {
  const writer = new SnapshotWriter(chunkBytes);
  const chunks: Uint8Array[] = [];
  for (const one of items) {
    writer.add(one);
    chunks.push(...writer.takeChunks());
  }
  writer.end();
  return [...chunks, ...writer.takeChunks(true)];
}

describe('the stream of a snapshot', () => {
  it('gives back every item, wherever chunks are cut', () => {
    fc.assert(
      fc.property(fc.array(item), fc.integer({ min: 1, max: 500 }), (items, chunkBytes) => {
        const reader = new SnapshotReader();
        const chunks = chunksOf(items, chunkBytes);
        const read = chunks.flatMap(chunk => reader.add(chunk)!);
        expect(read.slice(0, -1)).toEqual(items);
        expect(reader.isEnded).toBe(true);
        expect(chunks.slice(0, -1).every(chunk => chunk.length === chunkBytes)).toBe(true);
      }),
    );
  });

  it('never passes for whole when a byte was changed on the way', () => {
    fc.assert(
      fc.property(fc.array(item, { minLength: 1 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (items, at, by) => {
        const [stream] = chunksOf(items, 1 << 20);
        const damaged = stream!.slice();
        damaged[at % damaged.length]! ^= by;
        const reader = new SnapshotReader();
        const read = reader.add(damaged);
        expect(read === undefined || !reader.isEnded).toBe(true);
      }),
    );
  });

  it('is not whole when it ends early', () => {
    const chunks = chunksOf([{ kind: 'kept', id: { term: 1, index: 2 }, checksum: 3 }], 8);
    const reader = new SnapshotReader();
    for (const chunk of chunks.slice(0, -1)) expect(reader.add(chunk)).toBeDefined();
    expect(reader.isEnded).toBe(false);
  });
});

describe('the frames of a snapshot transfer', () => {
  const last = { term: 3, index: 12_345 };

  it('carry requests', () => {
    const request = {
      transfer: 7,
      attempt: 2,
      last,
      from: 4,
      through: 9,
      again: true,
      held: [{ term: 2, first: 5, last: 2 ** 40 }],
    };
    expect(decodeRequest(encodeRequest(request))).toEqual(request);
  });

  it('carry chunks, and the word that there are none any more', () => {
    const chunk = { transfer: 7, last, number: 3, bytes: new Uint8Array([1, 2, 3]) };
    expect(decodeChunk(encodeChunk(chunk))).toEqual(chunk);
    expect(decodeChunk(encodeChunk({ ...chunk, bytes: undefined })).bytes).toBeUndefined();
  });
});
