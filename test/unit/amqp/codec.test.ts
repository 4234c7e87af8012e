import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { isAmqpError } from '../../../src/protocols/amqp/amqp-error.ts';
import { readTable, skipHeaders, TABLE_DEPTH_MAX, writeTable } from '../../../src/protocols/amqp/field-table-wire.ts';
import { decodeMethod, writeMethod } from '../../../src/protocols/amqp/methods.ts';
import { AmqpReader, AmqpWriter } from '../../../src/protocols/amqp/primitives.ts';
import {
  decodeProperties,
  encodeProperties,
  withDeliveryCount,
  withStreamOffset,
} from '../../../src/protocols/amqp/properties.ts';
import { checkPublished } from '../../../src/protocols/amqp/published-properties.ts';
import { methodArb, propertiesArb, tableArb } from '../../support/amqp-arbitraries.ts';

function tableBytes(table: FieldTable): Uint8Array {
  const writer = new AmqpWriter();
  writeTable(writer, table);
  return writer.finish();
}

function readerOf(bytes: Uint8Array): AmqpReader {
  const reader = new AmqpReader();
  reader.reset(bytes, 0, bytes.length);
  return reader;
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(text.split(' ').map(byte => Number.parseInt(byte, 16)));
const hexOf = (bytes: Uint8Array): string => [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join(' ');

/** Bytes with some of them changed, and perhaps cut short. */
const damaged = (bytesArb: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(bytesArb, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }), fc.nat())
    .map(([bytes, changes, end]) => {
      const copy = bytes.slice(0, end % 3 === 0 ? end % (bytes.length + 1) : bytes.length);
      for (const [place, value] of changes) if (copy.length > 0) copy[place % copy.length] = value;
      return copy;
    });

describe('field tables', () => {
  it('come out as they went in, each value with its type', () => {
    fc.assert(
      fc.property(tableArb, table => {
        const reader = readerOf(tableBytes(table));
        expect(readTable(reader)).toEqual(table);
        expect([reader.failed, reader.remaining]).toEqual([false, 0]);
      }),
    );
  });

  it('use the tags of RabbitMQ', () => {
    const table = new Map<string, FieldValue>([
      ['t', { type: 'boolean', value: true }],
      ['l', { type: 'int64', value: -2n }],
      ['s', { type: 'int16', value: -2 }],
      ['A', { type: 'array', value: [{ type: 'void' }, { type: 'int32', value: 7 }] }],
    ]);
    const expected =
      '00 00 00 21 01 74 74 01 01 6c 6c ff ff ff ff ff ff ff fe 01 73 73 ff fe 01 41 41 00 00 00 06 56 49 00 00 00 07';
    expect(hexOf(tableBytes(table))).toBe(expected);
  });

  it('have long integers under both letters that clients write', () => {
    for (const letter of ['6c', '4c']) {
      const bytes = bytesOf(`00 00 00 0b 01 6e ${letter} ff ff ff ff ff ff ff fe`);
      const [reader, walking] = [readerOf(bytes), readerOf(bytes)];
      expect(readTable(reader)).toEqual(new Map([['n', { type: 'int64', value: -2n }]]));
      skipHeaders(walking, []);
      expect([reader.failed, walking.failed, walking.remaining]).toEqual([false, false, 0]);
    }
  });

  it('are walked over exactly when they can be read, however damaged', () => {
    fc.assert(
      fc.property(damaged(tableArb.map(tableBytes)), bytes => {
        const reading = readerOf(bytes);
        const walking = readerOf(bytes);
        readTable(reading);
        skipHeaders(walking, []);
        expect(walking.failed).toBe(reading.failed);
        if (!reading.failed) expect(walking.position).toBe(reading.position);
      }),
      { numRuns: 1000 },
    );
  });

  it('are refused when they are nested too deeply', () => {
    const nested = (depth: number): FieldTable =>
      depth === 0
        ? new Map([['leaf', { type: 'void' }]])
        : new Map([['t', { type: 'table', value: nested(depth - 1) }]]);
    for (const [depth, failed] of [
      [TABLE_DEPTH_MAX - 1, false],
      [TABLE_DEPTH_MAX, true],
    ] as const) {
      const bytes = tableBytes(nested(depth));
      const [reading, walking] = [readerOf(bytes), readerOf(bytes)];
      readTable(reading);
      skipHeaders(walking, []);
      expect([reading.failed, walking.failed]).toEqual([failed, failed]);
    }
  });

  it('keep nothing of the bytes they were read from', () => {
    const bytes = tableBytes(new Map([['b', { type: 'bytes', value: new Uint8Array([1, 2, 3]) }]]));
    const table = readTable(readerOf(bytes));
    bytes.fill(0);
    expect(table.get('b')).toEqual({ type: 'bytes', value: new Uint8Array([1, 2, 3]) });
  });
});

describe('methods', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(methodArb, method => {
        const writer = new AmqpWriter();
        writeMethod(writer, method);
        const bytes = writer.finish();
        expect(decodeMethod(bytes, 0, bytes.length)).toEqual(method);
      }),
      { numRuns: 500 },
    );
  });

  it('have the layout of the specification', () => {
    const payload = bytesOf('00 32 00 0a 00 00 01 71 12 00 00 00 00');
    expect(decodeMethod(payload, 0, payload.length)).toEqual({
      name: 'queue.declare',
      queue: 'q',
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      noWait: true,
      arguments: new Map(),
    });
    const writer = new AmqpWriter();
    writeMethod(writer, { name: 'basic.nack', deliveryTag: 258n, multiple: true, requeue: true });
    expect(hexOf(writer.finish())).toBe('00 3c 00 78 00 00 00 00 00 00 01 02 03');
  });

  it('are either read or refused when damaged, and what is read can be written', () => {
    const methodBytesArb = methodArb.map(method => {
      const writer = new AmqpWriter();
      writeMethod(writer, method);
      return writer.finish();
    });
    fc.assert(
      fc.property(damaged(methodBytesArb), bytes => {
        const method = decodeMethod(bytes, 0, bytes.length);
        if (isAmqpError(method)) expect(['syntax-error', 'frame-error', 'command-invalid']).toContain(method.reply);
      }),
      { numRuns: 1000 },
    );
  });
});

const author = (user: string) => ({ user, mayImpersonate: false });

describe('basic properties', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(propertiesArb, properties => {
        expect(decodeProperties(encodeProperties(properties))).toEqual(properties);
      }),
    );
  });

  it('are accepted from a publisher exactly when they can be decoded', () => {
    fc.assert(
      fc.property(damaged(propertiesArb.map(encodeProperties)), bytes => {
        const decoded = decodeProperties(bytes);
        const error = checkPublished(bytes, 0, bytes.length, author(decoded?.userId ?? ''));
        if (decoded === undefined) expect(error?.reply).toBe('syntax-error');
        else expect(error?.reply ?? 'precondition-failed').toBe('precondition-failed');
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    [{ expiration: '60000' }, undefined],
    [{ expiration: '-1' }, "invalid expiration '-1': {value_negative,-1}"],
    [{ expiration: 'soon' }, "invalid expiration 'soon': no_integer"],
    [{ expiration: '' }, "invalid expiration '': no_integer"],
    [{ expiration: '5s' }, 'invalid expiration \'5s\': {leftover_string,"s"}'],
    [{ expiration: '315360000001' }, "invalid expiration '315360000001': {value_too_large,315360000001}"],
    [{ userId: 'guest' }, undefined],
    [{ userId: 'mallory' }, "user_id property set to 'mallory' but authenticated user was 'guest'"],
  ])('of a publish are checked as RabbitMQ does: %j', (properties, text) => {
    const bytes = encodeProperties(properties);
    expect(checkPublished(bytes, 0, bytes.length, author('guest'))?.text).toBe(text);
  });

  it('may name another user if the publisher is an impersonator', () => {
    const bytes = encodeProperties({ userId: 'mallory' });
    expect(checkPublished(bytes, 0, bytes.length, { user: 'guest', mayImpersonate: true })).toBeUndefined();
  });

  it('get the delivery count beside the other headers', () => {
    fc.assert(
      fc.property(propertiesArb, fc.nat(), (properties, count) => {
        const headers = decodeProperties(withDeliveryCount(encodeProperties(properties), count))?.headers;
        expect(headers?.get('x-delivery-count')).toEqual({ type: 'int64', value: BigInt(count) });
        for (const [key, value] of properties.headers ?? []) {
          if (key !== 'x-delivery-count') expect(headers?.get(key)).toEqual(value);
        }
      }),
    );
  });

  it('get the offset in a stream beside the other headers, instead of one that the publisher has set', () => {
    const ownArb = fc.option(fc.constant<FieldValue>({ type: 'string', value: 'mine' }), { nil: undefined });
    fc.assert(
      fc.property(propertiesArb, ownArb, fc.nat({ max: 2 ** 48 }), (properties, own, offset) => {
        const headers = own && new Map([...(properties.headers ?? []), ['x-stream-offset', own] as const]);
        const published = headers === undefined ? properties : { ...properties, headers };
        const delivered = decodeProperties(withStreamOffset(encodeProperties(published), offset));
        const wanted = new Map(published.headers).set('x-stream-offset', { type: 'int64', value: BigInt(offset) });
        expect(delivered).toEqual({ ...properties, headers: wanted });
      }),
    );
  });
});
