import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../src/broker/field-table.ts';
import { MessageSchema } from '../../../src/gen/warren/v1/message_pb.ts';
import { ByteWriter, utf8Encode } from '../../../src/lib/bytes.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from '../../../src/protocols/amqp/properties.ts';
import { fromFieldTable, toFieldTable } from '../../../src/protocols/grpc/field-mapping.ts';
import { PropertyMapping } from '../../../src/protocols/grpc/property-mapping.ts';
import { propertyCodec } from '../../support/property-codec.ts';

const mapping = new PropertyMapping(propertyCodec);

const keyArb = fc.string({ minLength: 1, maxLength: 10 }).filter(key => key !== '__proto__');
const leafArb: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constant({ type: 'void' as const }),
  fc.record({ type: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('int8' as const), value: fc.integer({ min: -128, max: 127 }) }),
  fc.record({ type: fc.constant('uint8' as const), value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ type: fc.constant('int16' as const), value: fc.integer({ min: -32_768, max: 32_767 }) }),
  fc.record({ type: fc.constant('uint16' as const), value: fc.integer({ min: 0, max: 65_535 }) }),
  fc.record({ type: fc.constant('int32' as const), value: fc.integer() }),
  fc.record({ type: fc.constant('uint32' as const), value: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  fc.record({ type: fc.constant('int64' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ type: fc.constant('timestamp' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({ type: fc.constant('float' as const), value: fc.float({ noNaN: true }) }),
  fc.record({ type: fc.constant('double' as const), value: fc.double({ noNaN: true }) }),
  fc.record({ type: fc.constant('decimal' as const), scale: fc.nat(255), value: fc.nat() }),
  fc.record({ type: fc.constant('string' as const), value: fc.string() }),
  fc.record({ type: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 20 }) }),
);
const { table: tableArb } = fc.letrec<{ value: FieldValue; table: FieldTable }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leafArb,
    fc.record({ type: fc.constant('array' as const), value: fc.array(tie('value'), { maxLength: 3 }) }),
    fc.record({ type: fc.constant('table' as const), value: tie('table') }),
  ),
  table: fc
    .uniqueArray(fc.tuple(keyArb, tie('value')), { maxLength: 4, selector: ([key]) => key })
    .map(entries => new Map(entries)),
}));

const overTheWire = (fields: ReturnType<typeof fromFieldTable>): ReturnType<typeof fromFieldTable> =>
  fromBinary(MessageSchema, toBinary(MessageSchema, create(MessageSchema, { headers: fields }))).headers;

function block(exchange: string, routingKey: string, properties: Uint8Array, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  for (const name of [exchange, routingKey]) {
    writer.u8(utf8Encode(name).length);
    writer.bytes(utf8Encode(name));
  }
  writer.block(properties);
  writer.bytes(body);
  return writer.finish();
}

describe('properties of messages between AMQP and gRPC', () => {
  it('keep every header with its type, there and back', () => {
    fc.assert(
      fc.property(tableArb, table => {
        expect(toFieldTable(overTheWire(fromFieldTable(table)))).toEqual({ ok: true, value: table });
      }),
    );
  });

  it('keep everything else, and what is absent stays absent', () => {
    const shortArb = fc.string({ maxLength: 40 });
    const propertiesArb: fc.Arbitrary<BasicProperties> = fc.record(
      {
        contentType: shortArb,
        contentEncoding: shortArb,
        headers: tableArb.filter(table => table.size > 0),
        deliveryMode: fc.nat(255),
        priority: fc.nat(255),
        correlationId: shortArb,
        replyTo: shortArb,
        expiration: fc.nat().map(String),
        messageId: shortArb,
        timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        type: shortArb,
        userId: fc.constant('guest'),
        appId: shortArb,
        clusterId: shortArb,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(propertiesArb, fc.uint8Array(), (properties, body) => {
        const content = block('an exchange', 'a key', encodeProperties(properties), body);
        const message = mapping.toMessage(content, []);
        expect(message).toMatchObject({ exchange: 'an exchange', routingKey: 'a key', body });
        const back = mapping.toProperties(fromBinary(MessageSchema, toBinary(MessageSchema, message)), {
          user: 'guest',
          mayImpersonate: false,
        });
        expect(back.ok && decodeProperties(back.value.bytes)).toEqual(properties);
        expect(back.ok && back.value.headers).toEqual(properties.headers);
      }),
    );
  });

  it('join the parts of a large body', () => {
    const content = block('', 'q', encodeProperties({}), Uint8Array.of(1, 2));
    expect(mapping.toMessage(content, [Uint8Array.of(3), Uint8Array.of(4, 5)]).body).toEqual(
      Uint8Array.of(1, 2, 3, 4, 5),
    );
  });

  it.each<[string, MessageInitShape<typeof MessageSchema>, string]>([
    ['a routing key above 255 bytes', { routingKey: 'ä'.repeat(128) }, 'routing key of 256 bytes; at most 255'],
    ['an octet above 255', { priority: 256 }, 'priority is 256; at most 255'],
    ['a field without a value', { headers: { h: {} } }, "field 'h' has no value"],
    [
      "somebody else's user id",
      { userId: 'other' },
      "user_id property set to 'other' but authenticated user was 'guest'",
    ],
    [
      'a name of a header above 255 bytes',
      { headers: { ['h'.repeat(300)]: { value: { case: 'boolean', value: true } } } },
      'name of an argument of 300 bytes; at most 255',
    ],
  ])('are refused with %s', (_, message, text) => {
    expect(mapping.toProperties(create(MessageSchema, message), { user: 'guest', mayImpersonate: false })).toEqual({
      ok: false,
      error: { code: 'invalid', text },
    });
  });
});
