import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { checkTable } from '../../../src/broker/field-table-codec.ts';
import {
  checkConsumerArguments,
  checkQueueArguments,
  checkQueueArgumentsEquivalent,
  expiresMs,
  messageTtlMs,
} from '../../../src/broker/queue-arguments.ts';
import { int, table, text } from '../../support/metadata.ts';

const q = { kind: 'queue', vhost: '/', name: 'q' } as const;

describe('the arguments of a new queue', () => {
  it.each(['quorum', 'classic'])('may ask for the type %s', type => {
    expect(checkQueueArguments(q, table({ 'x-queue-type': text(type) }))).toBeUndefined();
  });

  it('may hold anything that does not begin with x-', () => {
    expect(checkQueueArguments(q, table({ note: text('ours'), ttl: int(1) }))).toBeUndefined();
  });

  it('may ask for what every queue does anyway', () => {
    const wanted = table({
      'x-queue-mode': text('default'),
      'x-single-active-consumer': { type: 'boolean', value: false },
    });
    expect(checkQueueArguments(q, wanted)).toBeUndefined();
  });

  it.each<readonly [string, FieldValue, string]>([
    ['x-expires', int(0), '{value_zero,0}'],
    ['x-expires', int(-1), '{value_negative,-1}'],
    ['x-expires', text('1'), '"expected integer, got longstr"'],
    ['x-expires', { type: 'int64', value: 315_360_000_001n }, '{value_too_large,315360000001}'],
    ['x-expires', { type: 'double', value: 5 }, '"expected integer, got double"'],
    ['x-expires', { type: 'timestamp', value: 5n }, '"expected integer, got timestamp"'],
    ['x-message-ttl', int(-1), '{value_negative,-1}'],
    ['x-dead-letter-routing-key', text('k'), 'routing_key_but_no_dlx_defined'],
    ['x-dead-letter-routing-key', int(1), '{unacceptable_type,signedint}'],
    ['x-dead-letter-strategy', text('odd'), 'invalid_dlx_strategy'],
    ['x-max-length', { type: 'boolean', value: true }, '"expected integer, got bool"'],
    ['x-max-length-bytes', int(-7), '{value_negative,-7}'],
    ['x-max-in-memory-length', int(-3), '{value_negative,-3}'],
    ['x-max-priority', int(256), '{max_value_exceeded,256}'],
    ['x-overflow', text('odd'), 'invalid_overflow'],
    ['x-overflow', int(3), '{unacceptable_type,signedint}'],
    ['x-queue-mode', text('odd'), `"unsupported queue mode 'odd'"`],
    ['x-queue-version', int(3), `"unsupported queue version '3'"`],
    ['x-single-active-consumer', text('true'), '{unacceptable_type,longstr}'],
    ['x-quorum-initial-group-size', int(0), '{value_zero,0}'],
    ['x-queue-leader-locator', text('odd'), 'invalid_queue_locator_arg'],
  ])('are refused in the words of RabbitMQ when a value is wrong: %s', (key, value, fault) => {
    expect(checkQueueArguments(q, table({ [key]: value }))).toEqual({
      code: 'invalid',
      text: `invalid arg '${key}' for queue 'q' in vhost '/': ${fault}`,
    });
  });

  it('are refused when they are those of a stream, or name no exchange', () => {
    expect(checkQueueArguments(q, table({ 'x-max-age': text('1h') }))).toEqual({
      code: 'invalid',
      text: "invalid arg 'x-max-age' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
    });
    expect(checkQueueArguments(q, table({ 'x-dead-letter-exchange': int(1) }))).toEqual({
      code: 'invalid',
      text: "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
    });
  });

  it('may limit the time of messages and of the queue without use, up to ten years', () => {
    const limits = table({ 'x-message-ttl': int(0), 'x-expires': { type: 'int64', value: 315_360_000_000n } });
    expect(checkQueueArguments(q, limits)).toBeUndefined();
    expect(messageTtlMs(limits)).toBe(0);
    expect(expiresMs(limits)).toBe(315_360_000_000);
    expect(messageTtlMs(table({}))).toBeUndefined();
  });

  it.each(['x-max-length', 'x-delivery-limit', 'x-unheard-of'])(
    'are refused by name when they would have no effect: %s',
    key => {
      expect(checkQueueArguments(q, table({ [key]: int(1) }))).toEqual({
        code: 'not-implemented',
        text: `argument '${key}' for queue 'q' in vhost '/' is not supported`,
      });
    },
  );

  it('are refused when the queue type is none', () => {
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
    expect(checkQueueArgumentsEquivalent(q, ttl({ type: 'double', value: 6 }), ttl(int(6)))).toMatchObject({
      received: "'6.0'",
      current: "'6'",
    });
  });
});

describe('the arguments of a consumer', () => {
  const check = (consumerArguments: FieldTable) => checkConsumerArguments(q, consumerArguments, table({}));

  it('are checked in the words of RabbitMQ', () => {
    expect(check(table({ 'x-priority': { type: 'int8', value: -5 }, 'x-odd': int(1) }))).toBeUndefined();
    expect(check(table({ 'x-priority': text('x') }))).toMatchObject({
      text: `invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
    });
    expect(check(table({ 'x-cancel-on-ha-failover': text('x') }))).toMatchObject({
      text: "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': {unacceptable_type,longstr}",
    });
    expect(check(table({ 'x-stream-offset': text('first') }))).toMatchObject({
      text: "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
    });
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
