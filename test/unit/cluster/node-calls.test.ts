import { beforeEach, expect, it } from 'vitest';
import type { FrameKind } from '../../../src/cluster/frames.ts';
import { NodeCalls } from '../../../src/cluster/node-calls.ts';
import { ByteWriter } from '../../../src/lib/bytes.ts';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const [ONE, TWO] = [nodeId(1), nodeId(2)];
const FRAME_BYTES_MAX = 256 * 1024;

let clock: ManualClock;
let frames: { from: NodeId; to: NodeId; kind: FrameKind; payload: Uint8Array }[];
let warnings: string[];
let one: NodeCalls;
let two: NodeCalls;
let isLinked: boolean;

beforeEach(() => {
  clock = new ManualClock();
  frames = [];
  warnings = [];
  isLinked = true;
  one = calls(ONE);
  two = calls(TWO);
});

function calls(self: NodeId): NodeCalls {
  const logger = { info: () => {}, error: () => {}, warn: (_: object, text: string) => void warnings.push(text) };
  const send = (to: NodeId, _lane: string, kind: FrameKind, _group: number, payload: Uint8Array): boolean => {
    expect(payload.length).toBeLessThan(FRAME_BYTES_MAX);
    if (isLinked) frames.push({ from: self, to, kind, payload: payload.slice() });
    return isLinked;
  };
  return new NodeCalls({ peers: { nodes: () => [][Symbol.iterator](), send } as never, clock, logger });
}

function carry(): void {
  while (frames.length > 0) {
    const { from, to, kind, payload } = frames.shift()!;
    (to === ONE ? one : two).received(from, kind, payload);
  }
}

it('an answer of any size comes back whole, in frames of bounded size', async () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => `row ${i} é 🐇`);
  two.answer('rows', ({ count }: { count: number }) => rows.slice(0, count));
  const answer = one.call(TWO, 'rows', { count: 20_000 });
  const none = one.call(TWO, 'rows', { count: 0 });
  carry();
  expect(await answer).toEqual(rows);
  expect(await none).toEqual([]);
});

it('a node that does not answer in time, cannot, or is not linked counts as silent', async () => {
  const late = one.call(TWO, 'rows', {});
  clock.advance(1_001);
  expect(await late).toBeUndefined();
  carry();
  expect(warnings).toEqual(['unknown call of a node']);
  two.answer('cannot', () => undefined);
  const cannot = one.call(TWO, 'cannot', {});
  carry();
  expect(await cannot).toBeUndefined();
  isLinked = false;
  expect(await one.call(TWO, 'cannot', {})).toBeUndefined();
});

it('bytes that make no sense, and answers that nobody waits for, change nothing', async () => {
  const call = one.call(TWO, 'rows', {});
  frames = [];
  const frame = (number: number, text: string): Uint8Array => {
    const out = new ByteWriter(64);
    out.u32(number);
    out.u8(1);
    out.bytes(new TextEncoder().encode(text));
    return out.finish();
  };
  const ANSWER: FrameKind = 41;
  one.received(nodeId(3), ANSWER, frame(1, '"of another node"'));
  one.received(TWO, ANSWER, frame(7, '"of another call"'));
  two.received(ONE, 40, frame(1, 'no line feed'));
  two.received(ONE, 40, frame(1, 'rows\n{'));
  one.received(TWO, ANSWER, frame(1, '"mine"'));
  expect(await call).toBe('mine');
});
