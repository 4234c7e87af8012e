import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONSUMER_CHECKS, QUEUE_CHECKS, READER_CHECKS, STREAM_CHECKS } from '../../../src/broker/argument-checks.ts';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { checkQueueArguments } from '../../../src/broker/queue-arguments.ts';
import { int, table, text } from '../../support/metadata.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/arguments.md'), 'utf8');

/** Argument and what the page says of it in a column: the first is about queues of both types, the second about streams. */
function rowsBelow(heading: string, column = 0): Map<string, string> {
  const section = page.split('\n## ').find(part => part.startsWith(heading))!;
  const rows = section.matchAll(/^\| `(x-[\w-]+)` *\| (\w+) *\| (\w*)/gm);
  return new Map([...rows].map(([, name, ...words]) => [name!, words[column]!]));
}

/** A value that asks for something, where it is not a number. */
const VALUES: Readonly<Record<string, FieldValue>> = {
  'x-queue-type': text('quorum'),
  'x-dead-letter-exchange': text('x'),
  'x-dead-letter-routing-key': text('k'),
  'x-dead-letter-strategy': text('at-least-once'),
  'x-overflow': text('reject-publish'),
  'x-queue-mode': text('lazy'),
  'x-queue-leader-locator': text('balanced'),
  'x-queue-master-locator': text('min-masters'),
  'x-single-active-consumer': { type: 'boolean', value: true },
  'x-max-age': text('1h'),
};

/** What it can only come with. */
const COMPANIONS: Readonly<Record<string, FieldTable>> = {
  'x-dead-letter-routing-key': table({ 'x-dead-letter-exchange': text('x') }),
};

describe('the page about arguments', () => {
  const queues = rowsBelow('Queues');
  const streams = rowsBelow('Queues', 1);

  it('knows every argument that is checked', () => {
    expect([...QUEUE_CHECKS.keys(), ...STREAM_CHECKS.keys()].filter(name => !queues.has(name))).toEqual([]);
    const consumers = rowsBelow('Consumers');
    expect([...CONSUMER_CHECKS.keys(), ...READER_CHECKS.keys()].filter(name => !consumers.has(name))).toEqual([]);
  });

  it.each([...queues])('says of %s of a queue that it is %s, and so it is', (name, word) => {
    const received = new Map([...(COMPANIONS[name] ?? []), [name, VALUES[name] ?? int(2)]]);
    const code = checkQueueArguments({ kind: 'queue', vhost: '/', name: 'q' }, received)?.code;
    expect(code === undefined ? 'effective' : code === 'not-implemented' ? 'refused' : '406').toBe(word);
  });

  it.each([...streams].filter(([name]) => name !== 'x-queue-type'))(
    'says of %s of a stream that it is %s, and so it is',
    (name, word) => {
      const received = new Map([
        ['x-queue-type', text('stream')],
        ...(COMPANIONS[name] ?? []),
        [name, VALUES[name] ?? int(2)],
      ]);
      const code = checkQueueArguments({ kind: 'queue', vhost: '/', name: 'q' }, received)?.code;
      expect(code === undefined ? 'effective' : code === 'not-implemented' ? 'refused' : '406').toBe(word);
    },
  );
});
