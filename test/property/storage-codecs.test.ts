import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupId, nodeId } from '../../src/lib/ids.ts';
import { manifestOperation, openValue, readManifest, sealValue } from '../../src/storage/checkpoint-codec.ts';
import { GroupLog } from '../../src/storage/group-log.ts';
import { pageKey, pagesOf, readPageKey, readStragglerKey, stragglerKey } from '../../src/storage/keyspace.ts';
import {
  payloadMatches,
  RECORD_HEADER_BYTES,
  type RecordFields,
  RecordType,
  readRecordHeader,
  writeRecordHeader,
} from '../../src/storage/record-codec.ts';
import {
  decodeGroupStatement,
  decodeSegmentHead,
  decodeSegmentIndex,
  decodeVoids,
  encodeGroupStatement,
  encodeSegmentHead,
  encodeSegmentIndex,
  encodeVoids,
} from '../../src/storage/record-payloads.ts';
import { Segment } from '../../src/storage/segment.ts';

const uint32 = fc.nat(0xffff_ffff);
const uint48 = fc.nat(2 ** 48 - 1);

const fieldsArb: fc.Arbitrary<RecordFields> = fc.record({
  type: fc.constantFrom(...Object.values(RecordType)),
  kind: fc.nat(255),
  segment: uint48,
  batch: uint48,
  position: uint32,
  group: uint32,
  generation: uint32,
  index: uint48,
  term: uint48,
});

function encode(fields: RecordFields, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  writeRecordHeader(new DataView(bytes.buffer), bytes, 0, fields, payload);
  bytes.set(payload, RECORD_HEADER_BYTES);
  return bytes;
}

describe('a record', () => {
  it('reads back as it was written, at its own place', () => {
    fc.assert(
      fc.property(fieldsArb, fc.uint8Array({ maxLength: 64 }), (fields, payload) => {
        const bytes = encode(fields, payload);
        const header = readRecordHeader(bytes, 0, fields.segment, fields.position)!;
        expect(header).toMatchObject({ ...fields, length: payload.length });
        expect(payloadMatches(header, payload)).toBe(true);
      }),
    );
  });

  it('does not pass in another segment or at another position', () => {
    fc.assert(
      fc.property(fieldsArb, uint48, uint32, (fields, segment, position) => {
        fc.pre(segment !== fields.segment || position !== fields.position);
        expect(readRecordHeader(encode(fields, new Uint8Array(3)), 0, segment, position)).toBeUndefined();
      }),
    );
  });

  it('does not pass with a flipped bit', () => {
    fc.assert(
      fc.property(fieldsArb, fc.uint8Array({ maxLength: 64 }), fc.nat(), fc.nat(7), (fields, payload, at, bit) => {
        const bytes = encode(fields, payload);
        const damaged = at % bytes.length;
        bytes[damaged] = bytes[damaged]! ^ (1 << bit);
        const header = readRecordHeader(bytes, 0, fields.segment, fields.position);
        expect(header !== undefined && payloadMatches(header, bytes.subarray(RECORD_HEADER_BYTES))).toBe(false);
      }),
    );
  });
});

describe("the journal's own payloads", () => {
  it('state a group as it was', () => {
    const membership = { voters: [nodeId(1), nodeId(4)], outgoing: [nodeId(2)], learners: [nodeId(9)] };
    const statement = fc.record({ term: uint48, vote: uint32, commit: uint48, damaged: fc.boolean(), at: uint48 });
    fc.assert(
      fc.property(statement, uint32, ({ term, vote, commit, damaged, at }, generation) => {
        const group = new GroupLog(groupId(1));
        group.hardState = { term, vote: vote === 0 ? undefined : nodeId(vote), commit };
        group.base = { last: { term, index: at }, membership, generation };
        group.damaged = damaged;
        const { hardState, base } = group;
        expect(decodeGroupStatement(encodeGroupStatement(group), generation)).toEqual({ hardState, base, damaged });
      }),
    );
  });

  it('list the segments that are alive, and void records', () => {
    const summary = fc.record({ number: uint48, end: uint32, indexPosition: uint32 });
    const range = fc.record({ group: uint32.map(groupId), generation: uint32, from: uint48, to: uint48 });
    fc.assert(
      fc.property(fc.array(summary), fc.array(range), (summaries, ranges) => {
        const segments = summaries.map(one => Object.assign(new Segment(one.number), one));
        expect(decodeSegmentHead(encodeSegmentHead(segments))).toEqual(summaries);
        expect(decodeVoids(encodeVoids(ranges))).toEqual(ranges);
      }),
    );
  });

  it('list every valid record of a segment', () => {
    const runs = fc.array(fc.record({ gap: fc.nat(3), term: fc.integer({ min: 1, max: 3 }), isBody: fc.boolean() }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(runs, records => {
        const segment = new Segment(1);
        const group = new GroupLog(groupId(7));
        const expected = new Set<string>();
        let index = 1;
        let term = 1;
        for (const [i, record] of records.entries()) {
          term = Math.max(term, record.term);
          index += record.isBody ? 1 + record.gap : 0;
          const at = record.isBody ? index : group.lastIndex + 1;
          if (record.isBody) group.addBody(segment, 2, at, term, i * 64, i);
          else group.addEntry(segment, at, term, at % 3 === 0, i * 64, i);
          expected.add([7, record.isBody ? 2 : 0, at, term, !record.isBody && at % 3 === 0, i * 64, i].join());
        }
        const listed: string[] = [];
        const payload = encodeSegmentIndex(segment, () => group.configurations);
        decodeSegmentIndex(payload, (...record) => listed.push(record.join()));
        expect(new Set(listed)).toEqual(expected);
        expect(listed).toHaveLength(expected.size);
      }),
    );
  });
});

describe('values and keys in the key-value store', () => {
  const page = fc.record({ space: uint48, kind: fc.nat(255), number: uint32 });
  const smallGroup = fc.nat(0xffff_fffe).map(groupId);

  it('open only under their own key and undamaged', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.nat(), fc.nat(7), (key, value, at, bit) => {
        const sealed = sealValue(key, value).slice();
        expect(openValue(key, sealed)).toEqual(value);
        expect(openValue(Uint8Array.of(...key, 0), sealed)).toBeUndefined();
        sealed[at % sealed.length] = sealed[at % sealed.length]! ^ (1 << bit);
        expect(openValue(key, sealed)).toBeUndefined();
      }),
    );
  });

  it('hold a manifest', () => {
    const manifestArb = fc.record({
      number: uint48,
      predecessor: uint48,
      at: fc.record({ term: uint48, index: uint48 }),
      pageCount: uint32,
      pageSum: uint32,
    });
    fc.assert(
      fc.property(manifestArb, smallGroup, uint32, (manifest, group, generation) => {
        const operation = manifestOperation(group, generation, manifest);
        expect(operation.type === 'put' && readManifest(operation.key, operation.value)).toEqual(manifest);
      }),
    );
  });

  it('name pages and stragglers, in the order of their numbers', () => {
    fc.assert(
      fc.property(smallGroup, fc.nat(0xffff_fffe), page, page, uint48, (group, generation, a, b, checkpoint) => {
        const key = pageKey(group, generation, a, checkpoint);
        expect(readPageKey(key)).toEqual({ page: a, checkpoint });
        const { from, to } = pagesOf(group, generation);
        expect(compare(from, key)).toBeLessThan(0);
        expect(compare(key, to)).toBeLessThan(0);
        const order = a.space - b.space || a.kind - b.kind || a.number - b.number;
        expect(compare(key, pageKey(group, generation, b, checkpoint))).toBe(Math.sign(order));
      }),
    );
    fc.assert(
      fc.property(smallGroup, uint48, uint32, (group, index, position) => {
        expect(readStragglerKey(stragglerKey(group, index, position))).toEqual({ group, index, position });
      }),
    );
  });
});

const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);
