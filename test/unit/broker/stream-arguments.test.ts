import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import {
  checkConsumerArguments,
  checkQueueArguments,
  checkQueueArgumentsEquivalent,
} from '../../../src/broker/queue-arguments.ts';
import { retentionOf, streamOffset } from '../../../src/broker/stream-arguments.ts';
import { declareQueueIn, emptyTopology, int, queueNamed, table, text } from '../../support/metadata.ts';

const q = { kind: 'queue', vhost: '/', name: 'q' } as const;
const STREAM = { 'x-queue-type': text('stream') };
const stream = (more: Record<string, FieldValue> = {}): FieldTable => table({ ...STREAM, ...more });
const DAY_MS = 86_400_000;

describe('the arguments of a new stream', () => {
  it('may limit what is kept, and say how large segments are', () => {
    const wanted = stream({
      'x-max-age': text('7D'),
      'x-max-length-bytes': int(1_000),
      'x-stream-max-segment-size-bytes': int(0),
    });
    expect(checkQueueArguments(q, wanted)).toBeUndefined();
    expect(retentionOf(wanted)).toEqual({ maxAgeMs: 7 * DAY_MS, maxBytes: 1_000 });
    expect(retentionOf(stream())).toEqual({ maxAgeMs: undefined, maxBytes: undefined });
  });

  it.each([
    ['1s', 1_000],
    ['05m', 300_000],
    ['2h', 7_200_000],
    ['1D', DAY_MS],
    ['1M', 30 * DAY_MS],
    ['1Y', 365 * DAY_MS],
    ['99999999999999999999Y', 2 ** 48 - 1],
  ])('may be an age of %s', (age, maxAgeMs) => {
    expect(checkQueueArguments(q, stream({ 'x-max-age': text(age) }))).toBeUndefined();
    expect(retentionOf(stream({ 'x-max-age': text(age) })).maxAgeMs).toBe(maxAgeMs);
  });

  it.each<readonly [string, FieldValue, string]>([
    ...['', 'h', '1', '0s', '1x', '1H', '1hh', '-1h', '+1h', ' 1h', '1h ', '1.5h', 'é'].map(
      age => ['x-max-age', text(age), 'invalid_max_age'] as const,
    ),
    ['x-max-age', int(5), '{unacceptable_type,signedint}'],
    ['x-max-length-bytes', int(-1), '{value_negative,-1}'],
    ['x-stream-max-segment-size-bytes', int(-1), '{value_negative,-1}'],
    ['x-initial-cluster-size', int(0), '{value_zero,0}'],
    ['x-queue-leader-locator', text('odd'), 'invalid_queue_locator_arg'],
  ])('are refused in the words of RabbitMQ when a value is wrong: %s %o', (key, value, fault) => {
    expect(checkQueueArguments(q, stream({ [key]: value }))).toEqual({
      code: 'invalid',
      text: `invalid arg '${key}' for queue 'q' in vhost '/': ${fault}`,
    });
  });

  it.each([
    'x-message-ttl',
    'x-expires',
    'x-single-active-consumer',
    'x-max-priority',
    'x-max-length',
    'x-overflow',
    'x-queue-mode',
    'x-queue-version',
    'x-dead-letter-routing-key',
    'x-dead-letter-strategy',
    'x-delivery-limit',
    'x-quorum-initial-group-size',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
    'x-queue-master-locator',
  ])('do not include %s, whatever its value', key => {
    expect(checkQueueArguments(q, stream({ [key]: text('odd') }))).toEqual({
      code: 'invalid',
      text: `invalid arg '${key}' for queue 'q' in vhost '/' of queue type rabbit_stream_queue`,
    });
  });

  it('are refused by name when they would have no effect', () => {
    for (const received of [{ 'x-initial-cluster-size': int(3) }, { 'x-queue-leader-locator': text('balanced') }])
      expect(checkQueueArguments(q, stream(received))?.code).toBe('not-implemented');
    expect(checkQueueArguments(q, stream({ 'x-unheard-of': int(1) }))?.code).toBe('not-implemented');
  });
});

describe('a stream', () => {
  const declare = (more: Parameters<typeof queueNamed>[1]) => {
    const { topology } = emptyTopology();
    const request = queueNamed('q', { arguments: stream(), durable: true, ...more });
    const declared = topology.declareQueue(request, () => ({
      ok: false,
      error: { code: 'unavailable', text: 'fine' },
    }));
    return declared.ok || !('text' in declared.error) ? undefined : declared.error.text;
  };

  it('is durable, shared, and stays', () => {
    expect(declare({})).toBe('fine');
    expect(declare({ durable: false })).toBe("invalid property 'non-durable' for queue 'q' in vhost '/'");
    expect(declare({ exclusive: true })).toBe("invalid property 'exclusive-owner' for queue 'q' in vhost '/'");
    expect(declare({ autoDelete: true, exclusive: true })).toBe(
      "invalid property 'auto-delete' for queue 'q' in vhost '/'",
    );
    const segment = { 'x-stream-max-segment-size-bytes': { type: 'uint32', value: 3_000_000_001 } } as const;
    expect(declare({ arguments: stream(segment) })).toBe('Exceeded max value for x-stream-max-segment-size-bytes');
  });

  it('is another queue than one of another type, before anything else is compared', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q', { durable: true, arguments: stream({ 'x-max-age': text('1h') }) });
    const again = (received: FieldTable) =>
      topology.declareQueue(queueNamed('q', { durable: true, arguments: received }), () => ({
        ok: false,
        error: { code: 'unavailable', text: 'a home is wanted' },
      }));
    expect(again(stream({ 'x-max-age': text('1h') })).ok).toBe(true);
    expect(again(table({ 'x-max-age': text('2h') }))).toMatchObject({
      error: { argument: 'x-queue-type', received: 'none', current: "the value 'stream' of type 'longstr'" },
    });
    expect(again(table({ 'x-queue-type': text('quorum') }))).toMatchObject({
      error: { argument: 'x-queue-type', received: "'quorum'", current: "'stream'" },
    });
    expect(again(stream())).toMatchObject({ error: { argument: 'x-max-age', received: 'none' } });
    // An interval is compared as it is written.
    expect(again(stream({ 'x-max-age': text('60m') }))).toMatchObject({
      error: { received: "'60m'", current: "'1h'" },
    });
  });

  it('is not what a queue of another type becomes by being declared again', () => {
    expect(checkQueueArgumentsEquivalent(q, stream(), table({}))).toMatchObject({
      argument: 'x-queue-type',
      received: "the value 'stream' of type 'longstr'",
      current: 'none',
    });
    const more = stream({ 'x-max-age': text('1h') });
    expect(checkQueueArgumentsEquivalent(q, more, table({ 'x-queue-type': text('classic') }))).toMatchObject({
      argument: 'x-queue-type',
      received: "'stream'",
      current: "'classic'",
    });
  });

  it('has its arguments compared in the order of RabbitMQ', () => {
    const wanted = [
      'x-max-length-bytes',
      'x-max-age',
      'x-stream-max-segment-size-bytes',
      'x-initial-cluster-size',
      'x-queue-leader-locator',
    ];
    for (let from = 0; from < wanted.length; from++) {
      const received = stream(Object.fromEntries(wanted.slice(from).map(name => [name, int(1)])));
      expect(checkQueueArgumentsEquivalent(q, received, stream())).toMatchObject({ argument: wanted[from] });
    }
  });
});

describe('the arguments of a reader of a stream', () => {
  const check = (received: Record<string, FieldValue>) => checkConsumerArguments(q, table(received), stream());

  it.each<readonly [FieldValue, ReturnType<typeof streamOffset>]>([
    [text('first'), { from: 'first' }],
    [text('last'), { from: 'last' }],
    [text('next'), { from: 'next' }],
    [int(7), { from: 'offset', offset: 7 }],
    [int(-1), { from: 'offset', offset: 0 }],
    [
      { type: 'int64', value: 2n ** 60n },
      { from: 'offset', offset: Number.MAX_SAFE_INTEGER },
    ],
    [
      { type: 'timestamp', value: 1_700_000_000n },
      { from: 'time', timeMs: 1_700_000_000_000 },
    ],
    [
      { type: 'timestamp', value: 2n ** 64n - 1n },
      { from: 'time', timeMs: Number.MAX_SAFE_INTEGER },
    ],
    [text('1h'), { from: 'age', ageMs: 3_600_000 }],
  ])('may say where to begin: %o', (field, offset) => {
    expect(check({ 'x-stream-offset': field })).toBeUndefined();
    expect(streamOffset(table({ 'x-stream-offset': field }))).toEqual(offset);
  });

  it('need not say it', () => {
    expect(check({ 'x-odd': int(1) })).toBeUndefined();
    expect(streamOffset(table({}))).toBeUndefined();
  });

  it.each<readonly [FieldValue, string]>([
    [text('5'), '{longstr,<<"5">>}'],
    [text('First'), '{longstr,<<"First">>}'],
    [text(''), '{longstr,<<>>}'],
    [{ type: 'boolean', value: true }, '{bool,true}'],
    [{ type: 'double', value: 1.5 }, '{double,1.5}'],
    [{ type: 'void' }, '{void,undefined}'],
  ])('are refused when they name no place: %o', (field, term) => {
    expect(check({ 'x-stream-offset': field })).toEqual({
      code: 'invalid',
      text: `invalid arg 'x-stream-offset' for queue 'q' in vhost '/': {invalid_stream_offset_arg,${term}}`,
    });
  });

  it.each(['x-priority', 'x-cancel-on-ha-failover'])('do not include %s', name => {
    expect(check({ [name]: text('odd') })).toEqual({
      code: 'invalid',
      text: `invalid arg '${name}' for queue 'q' in vhost '/' of queue type rabbit_stream_queue`,
    });
  });
});
