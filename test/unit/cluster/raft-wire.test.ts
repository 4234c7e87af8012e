import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  APPEND_ENTRY_HEAD_BYTES,
  APPEND_HEAD_BYTES,
  decodeRaftMessage,
  ENTRY_PAYLOAD_BYTES_MAX,
  encodeRaftMessage,
  laneOf,
} from '../../../src/cluster/transport/raft-wire.ts';
import { FRAME_PAYLOAD_BYTES_MAX } from '../../../src/cluster/transport/transport.ts';
import { ByteWriter, UINT48_MAX } from '../../../src/lib/bytes.ts';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';
import type { AppendRequest, EntryKind, RaftMessage } from '../../../src/raft/messages.ts';

function encode(message: RaftMessage): Uint8Array {
  const writer = new ByteWriter();
  const parts = encodeRaftMessage(writer, message);
  for (const part of parts) writer.bytes(part);
  return writer.finish();
}

const numberArb = fc.oneof(fc.nat(1_000), fc.integer({ min: 0, max: UINT48_MAX - 1_000 }));
const idArb = fc.integer({ min: 1, max: 2 ** 40 }).map(nodeId);
const entryIdArb = fc.record({ term: numberArb, index: numberArb });
const ascendingIds = (min: number): fc.Arbitrary<NodeId[]> =>
  fc.uniqueArray(idArb, { minLength: min, maxLength: 5 }).map(ids => ids.sort((a, b) => a - b));
const envelope = { from: idArb, to: idArb, term: numberArb };

const appendArb: fc.Arbitrary<AppendRequest> = fc
  .record({
    ...envelope,
    previous: entryIdArb,
    commit: numberArb,
    steps: fc.array(
      fc.record({
        termStep: fc.nat(2),
        kind: fc.integer({ min: 0, max: 2 }).map(kind => kind as EntryKind),
        payload: fc.uint8Array({ maxLength: 300 }),
      }),
      { maxLength: 20 },
    ),
  })
  .map(({ from, to, previous, commit, steps }) => {
    let { term, index } = previous;
    const entries = steps.map(({ termStep, kind, payload }) => {
      term += termStep;
      index++;
      return { term, index, kind, payload };
    });
    return { type: 'append-request', from, to, term, previous, commit, entries };
  });

const messageArb: fc.Arbitrary<RaftMessage> = fc.oneof(
  appendArb,
  fc.record({
    type: fc.constantFrom('vote-request' as const, 'pre-vote-request' as const),
    ...envelope,
    last: entryIdArb,
    force: fc.boolean(),
  }),
  fc.record({
    type: fc.constantFrom('vote-response' as const, 'pre-vote-response' as const),
    ...envelope,
    granted: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('append-response' as const),
    ...envelope,
    accepted: fc.boolean(),
    match: numberArb,
    hint: entryIdArb,
  }),
  fc.record({ type: fc.constant('heartbeat' as const), ...envelope, commit: numberArb, readRound: numberArb }),
  fc.record({
    type: fc.constant('heartbeat-response' as const),
    ...envelope,
    readRound: numberArb,
    lastIndex: numberArb,
  }),
  fc.record({
    type: fc.constant('snapshot-offer' as const),
    ...envelope,
    snapshot: fc.record({
      last: entryIdArb,
      membership: fc.record({ voters: ascendingIds(1), outgoing: ascendingIds(0), learners: fc.constant([]) }),
    }),
  }),
  fc.record({
    type: fc.constant('snapshot-response' as const),
    ...envelope,
    installed: fc.boolean(),
    match: numberArb,
  }),
  fc.record({ type: fc.constant('timeout-now' as const), ...envelope }),
);

describe('Raft messages as bytes', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(messageArb, message => {
        expect(decodeRaftMessage(encode(message))).toEqual(message);
      }),
    );
  });

  it('are not taken when they are cut short or go on', () => {
    fc.assert(
      fc.property(messageArb, fc.nat(), (message, seed) => {
        const bytes = encode(message);
        expect(decodeRaftMessage(bytes.subarray(0, seed % bytes.length))).toBeUndefined();
        expect(decodeRaftMessage(Uint8Array.of(...bytes, 0))).toBeUndefined();
      }),
    );
  });

  it('never make the decoder fail, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => void decodeRaftMessage(bytes)));
  });

  it('are not taken when terms of entries go down or above the message', () => {
    const append = (terms: number[], term: number): AppendRequest => ({
      type: 'append-request',
      from: nodeId(1),
      to: nodeId(2),
      term,
      previous: { term: 5, index: 10 },
      commit: 10,
      entries: terms.map((entryTerm, i) => ({ term: entryTerm, index: 11 + i, kind: 1, payload: new Uint8Array(1) })),
    });
    expect(decodeRaftMessage(encode(append([5, 6], 6)))).toBeDefined();
    expect(decodeRaftMessage(encode(append([4], 6)))).toBeUndefined();
    expect(decodeRaftMessage(encode(append([6, 5], 6)))).toBeUndefined();
    expect(decodeRaftMessage(encode(append([7], 6)))).toBeUndefined();
  });

  it('fit into a frame with one entry of the largest size', () => {
    const message: AppendRequest = {
      type: 'append-request',
      from: nodeId(1),
      to: nodeId(2),
      term: 1,
      previous: { term: 1, index: 1 },
      commit: 1,
      entries: [{ term: 1, index: 2, kind: 1, payload: new Uint8Array(ENTRY_PAYLOAD_BYTES_MAX) }],
    };
    const bytes = encode(message).length;
    expect(bytes).toBe(FRAME_PAYLOAD_BYTES_MAX);
    expect(bytes).toBe(APPEND_HEAD_BYTES + APPEND_ENTRY_HEAD_BYTES + ENTRY_PAYLOAD_BYTES_MAX);
    expect(laneOf(message)).toBe('log');
  });
});
