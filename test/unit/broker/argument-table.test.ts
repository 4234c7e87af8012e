import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONSUMER_CHECKS, QUEUE_CHECKS } from '../../../src/broker/argument-checks.ts';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { checkQueueArguments } from '../../../src/broker/queue-arguments.ts';
import { int, table, text } from '../../support/metadata.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/arguments.md'), 'utf8');

/** Argument and what the page says of it. */
function rowsBelow(heading: string): Map<string, string> {
  const section = page.split('\n## ').find(part => part.startsWith(heading))!;
  return new Map([...section.matchAll(/^\| `(x-[\w-]+)` *\| (\w+)/gm)].map(([, name, word]) => [name!, word!]));
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
};

/** What it can only come with. */
const COMPANIONS: Readonly<Record<string, FieldTable>> = {
  'x-dead-letter-routing-key': table({ 'x-dead-letter-exchange': text('x') }),
};

describe('the page about arguments', () => {
  const queues = rowsBelow('Queues');

  it('knows every argument that is checked', () => {
    expect([...QUEUE_CHECKS.keys()].filter(name => !queues.has(name))).toEqual([]);
    const consumers = rowsBelow('Consumers');
    expect([...CONSUMER_CHECKS.keys()].filter(name => !consumers.has(name))).toEqual([]);
  });

  it.each([...queues])('says of %s of a queue that it is %s, and so it is', (name, word) => {
    const received = new Map([...(COMPANIONS[name] ?? []), [name, VALUES[name] ?? int(2)]]);
    const code = checkQueueArguments({ kind: 'queue', vhost: '/', name: 'q' }, received)?.code;
    expect(code === undefined ? 'effective' : code === 'not-implemented' ? 'refused' : '406').toBe(word);
  });
});
