import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../../src/lib/bytes.ts';
import { consumerId, incarnation, nodeId, queueId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeEnqueue,
  writeEnsureQueue,
  writeFence,
  writePart,
  writeSettle,
} from '../../../src/queue/commands.ts';
import { BATCH_HEADER_BYTES, type BatchHeader, checkBatch, writeBatch } from '../../../src/queue/entry-codec.ts';
import { MESSAGE_BLOCK_BYTES_MAX, PART_BYTES_MAX } from '../../../src/queue/limits.ts';
import { consume, encodeCommands, enqueue, message, type Write } from '../../support/shard-driver.ts';

const HEADER: BatchHeader = {
  node: nodeId(3),
  incarnation: incarnation(2),
  firstSequence: 10,
  seenThrough: 9,
  topologyIndex: 77,
  commandCount: 1,
};

function batchOf(header: Partial<BatchHeader>, ...writes: Write[]): Uint8Array {
  const out = new ByteWriter();
  writeBatch(out, { ...HEADER, commandCount: writes.length, ...header }, encodeCommands(writes));
  return out.finish();
}

const problemOf = (bytes: Uint8Array) => {
  const check = checkBatch(bytes);
  return check.ok ? 'none' : check.problem;
};

describe('a batch from another node', () => {
  it('tells its header when it is sound', () => {
    const batch = batchOf({}, enqueue('a'), enqueue('b'));
    expect(checkBatch(batch)).toEqual({ ok: true, header: { ...HEADER, commandCount: 2 } });
  });

  it('may be empty, to report what was seen', () => {
    const batch = batchOf({});
    expect(batch.length).toBe(BATCH_HEADER_BYTES);
    expect(problemOf(batch)).toBe('none');
  });

  it('is refused when it is cut off anywhere', () => {
    const batch = batchOf({}, enqueue('a message'), out => writeSettle(out, 0, consumerId(1), [1, 5]));
    for (let end = 0; end < batch.length; end++) expect(problemOf(batch.subarray(0, end))).not.toBe('none');
  });

  it.each([
    ['the node is the leader itself', { node: nodeId(0) }],
    ['the incarnation is missing', { incarnation: incarnation(0) }],
    ['sequences do not begin at 1', { firstSequence: 0, seenThrough: 0 }],
    ['it claims to have seen its own answers', { seenThrough: 10 }],
  ])('is refused when %s', (_what, header) => {
    expect(problemOf(batchOf(header, enqueue('a')))).toBe('bad-header');
  });

  it('is refused when the command count and the commands differ', () => {
    expect(problemOf(batchOf({ commandCount: 1 }, enqueue('a'), enqueue('b')))).toBe('wrong-length');
    expect(problemOf(batchOf({ commandCount: 3 }, enqueue('a'), enqueue('b')))).toBe('truncated');
  });

  it('is refused when it holds a command of the leader', () => {
    expect(problemOf(batchOf({}, out => writeFence(out, nodeId(1), incarnation(1))))).toBe('leader-command');
  });

  it('is refused when it holds a command that this release does not know', () => {
    expect(problemOf(batchOf({}, out => out.bytes(new Uint8Array([0, 0, 0, 1, 40]))))).toBe('unknown-command');
  });

  it.each<[string, Write]>([
    ['a queue id is 0', out => writeEnqueue(out, [queueId(0)], message('a'))],
    ['a delivery number is 0', out => writeSettle(out, Settlement.settle, consumerId(1), [0, 5])],
    ['a range goes backwards', out => writeSettle(out, Settlement.settle, consumerId(1), [5, 4])],
    ['a consumer id is 0', out => writeSettle(out, Settlement.settle, consumerId(0), [1, 1])],
    ['a settlement is of no kind', out => writeSettle(out, 3 as Settlement, consumerId(1), [1, 1])],
    ['a part is empty', out => writePart(out, 1, new Uint8Array(0))],
    ['a part is too long', out => writePart(out, 1, new Uint8Array(PART_BYTES_MAX + 1))],
    ['a message is too long', enqueue(new Uint8Array(MESSAGE_BLOCK_BYTES_MAX))],
    [
      'a queue name is too long',
      out =>
        writeEnsureQueue(out, queueId(1), {
          vhost: '/',
          name: 'n'.repeat(256),
          autoDelete: false,
          exclusive: false,
          singleActive: false,
        }),
    ],
    ['credit is no number', consume(1, { bytesThrough: Number.NaN })],
    ['a priority is no number', consume(1, { priority: Number.NaN })],
    ['a priority is no integer', consume(1, { priority: 0.5 })],
    ['a priority has no end', consume(1, { priority: Number.NEGATIVE_INFINITY })],
  ])('is refused when %s', (_what, write) => {
    expect(problemOf(batchOf({}, write))).toBe('bad-command');
  });
});
