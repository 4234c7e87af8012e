import fc from 'fast-check';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import { utf8Encode } from '../../src/lib/bytes.ts';
import type { Method } from '../../src/protocols/amqp/methods.ts';
import type { BasicProperties } from '../../src/protocols/amqp/properties.ts';
import { type FieldType, METHODS, type MethodName } from '../../src/protocols/amqp/spec.ts';

/** Short strings of well-formed text: 255 bytes of UTF-8 at most. */
export const shortstrArb = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter(text => utf8Encode(text).length <= 255);

const int64Arb = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64Arb = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const integerArb = (type: 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32', min: number, max: number) =>
  fc.integer({ min, max }).map((value): FieldValue => ({ type, value }));

const scalarArb: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constant<FieldValue>({ type: 'void' }),
  fc.boolean().map((value): FieldValue => ({ type: 'boolean', value })),
  integerArb('int8', -128, 127),
  integerArb('uint8', 0, 255),
  integerArb('int16', -32_768, 32_767),
  integerArb('uint16', 0, 65_535),
  integerArb('int32', -(2 ** 31), 2 ** 31 - 1),
  integerArb('uint32', 0, 2 ** 32 - 1),
  int64Arb.map((value): FieldValue => ({ type: 'int64', value })),
  fc.float().map((value): FieldValue => ({ type: 'float', value })),
  fc.double().map((value): FieldValue => ({ type: 'double', value })),
  fc
    .record({ scale: fc.integer({ min: 0, max: 255 }), value: fc.integer({ min: 0, max: 2 ** 32 - 1 }) })
    .map((decimal): FieldValue => ({ type: 'decimal', ...decimal })),
  fc.string({ unit: 'grapheme' }).map((value): FieldValue => ({ type: 'string', value })),
  fc.uint8Array({ maxLength: 20 }).map((value): FieldValue => ({ type: 'bytes', value })),
  uint64Arb.map((value): FieldValue => ({ type: 'timestamp', value })),
);

export const { table: tableArb } = fc.letrec<{ value: FieldValue; table: FieldTable }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalarArb,
    fc.array(tie('value'), { maxLength: 4 }).map((value): FieldValue => ({ type: 'array', value })),
    tie('table').map((value): FieldValue => ({ type: 'table', value })),
  ),
  table: fc.array(fc.tuple(shortstrArb, tie('value')), { maxLength: 5 }).map(fields => new Map(fields)),
}));

const fieldArbs: Record<FieldType, fc.Arbitrary<unknown>> = {
  bit: fc.boolean(),
  octet: fc.integer({ min: 0, max: 255 }),
  short: fc.integer({ min: 0, max: 65_535 }),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: uint64Arb,
  shortstr: shortstrArb,
  longstr: fc.uint8Array({ maxLength: 50 }),
  table: tableArb,
};

/** Any method with any fields. */
export const methodArb: fc.Arbitrary<Method> = fc
  .constantFrom(...(Object.keys(METHODS) as MethodName[]))
  .chain(name => {
    const fields = Object.entries<FieldType>(METHODS[name][2]).filter(([field]) => !field.startsWith('reserved'));
    const arbs = Object.fromEntries(fields.map(([field, type]) => [field, fieldArbs[type]]));
    return fc.record(arbs).map(values => ({ name, ...values }) as unknown as Method);
  });

const byteArb = fieldArbs.octet as fc.Arbitrary<number>;

export const propertiesArb: fc.Arbitrary<BasicProperties> = fc.record(
  {
    contentType: shortstrArb,
    contentEncoding: shortstrArb,
    headers: tableArb,
    deliveryMode: byteArb,
    priority: byteArb,
    correlationId: shortstrArb,
    replyTo: shortstrArb,
    expiration: fc.nat().map(String),
    messageId: shortstrArb,
    timestamp: uint64Arb,
    type: shortstrArb,
    userId: fc.constant('guest'),
    appId: shortstrArb,
    clusterId: shortstrArb,
  },
  { requiredKeys: [] },
);

/** Cuts bytes into pieces at the given places (taken modulo the length). */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, i) => bytes.slice(start, at[i] ?? bytes.length));
}
