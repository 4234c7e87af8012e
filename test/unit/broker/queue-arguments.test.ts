import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { checkTable } from '../../../src/broker/field-table-codec.ts';
import { checkQueueArguments, checkQueueArgumentsEquivalent } from '../../../src/broker/queue-arguments.ts';
import { int, table, text } from '../../support/metadata.ts';

const q = { kind: 'queue', vhost: '/', name: 'q' } as const;

describe('the arguments of a new queue', () => {
  it.each(['quorum', 'classic'])('may ask for the type %s', type => {
    expect(checkQueueArguments(q, table({ 'x-queue-type': text(type) }))).toBeUndefined();
  });

  it('may hold anything that does not begin with x-', () => {
    expect(checkQueueArguments(q, table({ note: text('ours'), ttl: int(1) }))).toBeUndefined();
  });

  it.each(['x-message-ttl', 'x-max-length', 'x-dead-letter-exchange', 'x-unheard-of'])(
    'are refused by name when they would have no effect: %s',
    key => {
      expect(checkQueueArguments(q, table({ [key]: int(1) }))).toEqual({
        code: 'not-implemented',
        text: `argument '${key}' for queue 'q' in vhost '/' is not supported`,
      });
    },
  );

  it('are refused when the queue type is none', () => {
    expect(checkQueueArguments(q, table({ 'x-queue-type': text('stream') }))?.code).toBe('not-implemented');
    expect(checkQueueArguments(q, table({ 'x-queue-type': text('odd') }))).toEqual({
      code: 'invalid',
      text: `invalid arg 'x-queue-type' for queue 'q' in vhost '/': "unsupported queue type 'odd'"`,
    });
    expect(checkQueueArguments(q, table({ 'x-queue-type': int(1) }))).toEqual({
      code: 'invalid',
      text: `invalid arg 'x-queue-type' for queue 'q' in vhost '/': {unacceptable_type,signedint}`,
    });
  });
});

describe('the arguments of a queue that is declared again', () => {
  const ttl = (value: FieldValue): FieldTable => table({ 'x-message-ttl': value });

  it('are equal by value, whatever the width of an integer', () => {
    expect(checkQueueArgumentsEquivalent(q, ttl({ type: 'int64', value: 60n }), ttl(int(60)))).toBeUndefined();
    expect(checkQueueArgumentsEquivalent(q, ttl({ type: 'uint8', value: 60 }), ttl(int(60)))).toBeUndefined();
  });

  it('are told apart in the words of RabbitMQ', () => {
    expect(checkQueueArgumentsEquivalent(q, ttl(int(5)), ttl(int(6)))).toMatchObject({
      received: "'5'",
      current: "'6'",
    });
    expect(checkQueueArgumentsEquivalent(q, table({}), ttl(int(6)))).toMatchObject({
      argument: 'x-message-ttl',
      received: 'none',
      current: "the value '6' of type 'signedint'",
    });
    expect(checkQueueArgumentsEquivalent(q, ttl(text('6')), ttl(int(6)))?.code).toBe('inequivalent');
  });
});

describe('tables of arguments', () => {
  it('are refused when nested too deep, too large, or with names that are too long', () => {
    let nested: FieldValue = int(1);
    for (let depth = 0; depth < 40; depth++) nested = { type: 'array', value: [nested] };
    expect(checkTable(table({ nested }))?.code).toBe('invalid');
    expect(checkTable(table({ large: text('x'.repeat(70_000)) }))?.code).toBe('invalid');
    expect(checkTable(table({ ['k'.repeat(256)]: int(1) }))?.code).toBe('invalid');
    expect(checkTable(table({ fine: { type: 'array', value: [int(1)] } }))).toBeUndefined();
  });
});
