import { describe, expect, it } from 'vitest';
import { checkDurability, type TracedNode } from './durability-checker.ts';
import { parseTrace } from './system-calls.ts';

const escaped = (bytes: Uint8Array | string): string =>
  [...Buffer.from(bytes as string)].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('');

const JOURNAL = escaped('/data/journal/1');
const MARKERS = ['marker-ab-0001', 'marker-ab-0002', 'marker-ab-0003'];

const write = (at: number, marker: string): string =>
  `9 ${at}.000000 pwrite64(22<${JOURNAL}>, "${escaped(`head ${marker} tail`)}", 24, 0) = 24 <0.000100>`;
const sync = (at: number): string => `9 ${at}.000000 fdatasync(22<${JOURNAL}>) = 0 <0.500000>`;

function ack(at: number, tag: number, multiple = false): string {
  const frame = Buffer.alloc(21);
  frame[0] = 1;
  frame[2] = 1;
  frame[6] = 13;
  frame.writeUInt32BE(0x003c0050, 7);
  frame.writeBigUInt64BE(BigInt(tag), 11);
  frame[19] = multiple ? 1 : 0;
  frame[20] = 0xce;
  return `7 ${at}.000000 write(20<TCP:[127.0.0.1:5672->127.0.0.1:4000]>, "${escaped(frame)}", 21) = 21 <0.000010>`;
}

const node = (name: string, ...lines: string[]): TracedNode => ({ name, calls: parseTrace(lines.join('\n')) });
const check = (...nodes: TracedNode[]) => checkDurability({ nodes, amqpPort: 5672, markers: MARKERS, majority: 2 });

describe('the durability checker', () => {
  it('accepts a confirm that was written after two nodes had synced its message', () => {
    const report = check(
      node('a', write(10, MARKERS[0]!), sync(11), ack(20, 1)),
      node('b', write(12, MARKERS[0]!), sync(13)),
      node('c'),
    );
    expect(report).toMatchObject({ confirms: 1, durable: 1, earlyCount: 0 });
    expect(report.slackMs).toBeCloseTo(6_500, 0);
  });

  it('finds a confirm that was written while the second sync was under way', () => {
    const report = check(
      node('a', write(10, MARKERS[0]!), sync(11), ack(13, 1)),
      node('b', write(12, MARKERS[0]!), sync(13)),
      node('c'),
    );
    expect(report).toMatchObject({ confirms: 1, durable: 0, earlyCount: 1 });
    expect(report.early[0]).toContain('500.000 ms later');
  });

  it('finds a confirm of a message that only one node synced', () => {
    const report = check(
      node('a', write(10, MARKERS[0]!), sync(11), ack(20, 1)),
      node('b', write(10, MARKERS[0]!)),
      node('c', sync(9), write(10, MARKERS[0]!)),
    );
    expect(report).toMatchObject({ confirms: 1, earlyCount: 1 });
    expect(report.early[0]).toContain('never');
  });

  it('takes a multiple ack as a confirm of every message up to it', () => {
    const both = [write(10, MARKERS[0]!), write(10, MARKERS[2]!), sync(11)];
    const report = check(node('a', ...both, ack(20, 3, true)), node('b', ...both), node('c'));
    expect(report).toMatchObject({ confirms: 3, durable: 2, earlyCount: 1 });
    expect(report.early[0]).toContain('message 2');
  });

  it('puts interrupted calls together and counts only bytes that were taken', () => {
    const calls = parseTrace(
      [
        `9 1.000000 fdatasync(22<${JOURNAL}> <unfinished ...>`,
        ack(2, 1),
        '9 3.000000 <... fdatasync resumed>) = 0 <2.250000>',
        `9 4.000000 pwritev(22<${JOURNAL}>, [{iov_base="${escaped('abc')}", iov_len=3}, {iov_base="${escaped('def')}", iov_len=3}], 2, 0) = 4 <0.000001>`,
        `9 5.000000 fdatasync(22<${JOURNAL}>) = -1 EIO (Input/output error) <0.000001>`,
      ].join('\n'),
    );
    expect(calls.map(({ name, result }) => ({ name, result }))).toEqual([
      { name: 'write', result: 21 },
      { name: 'fdatasync', result: 0 },
      { name: 'pwritev', result: 4 },
      { name: 'fdatasync', result: -1 },
    ]);
    expect(calls[1]).toMatchObject({ target: '/data/journal/1', entered: 1, returned: 3.25 });
    expect(Buffer.from(calls[2]!.bytes).toString()).toBe('abcd');
  });

  it('refuses a trace with shortened strings', () => {
    expect(() => parseTrace(`9 1.0 write(22<${JOURNAL}>, "${escaped('abc')}"..., 99) = 99 <0.000001>`)).toThrow(
      '-s must',
    );
  });
});
