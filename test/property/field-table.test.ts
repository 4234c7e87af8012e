import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import * as replicated from '../../src/broker/field-table-codec.ts';
import { ByteReader, ByteWriter } from '../../src/lib/bytes.ts';
import * as wire from '../../src/protocols/amqp/field-table-wire.ts';
import { AmqpReader, AmqpWriter } from '../../src/protocols/amqp/primitives.ts';
import { tableArb } from '../support/amqp-arbitraries.ts';

function onTheWire(table: FieldTable): Uint8Array {
  const writer = new AmqpWriter();
  wire.writeTable(writer, table);
  return writer.finish();
}

function fromTheWire(bytes: Uint8Array): FieldTable | undefined {
  const reader = new AmqpReader();
  reader.reset(bytes, 0, bytes.length);
  const table = wire.readTable(reader);
  return reader.failed || reader.remaining > 0 ? undefined : table;
}

const encoded = (table: FieldTable): Uint8Array => {
  const writer = new ByteWriter();
  replicated.writeTable(writer, table);
  return writer.finish();
};

/** One field named `k`. */
const wireBytes = (...value: readonly number[]): Uint8Array =>
  Uint8Array.of(0, 0, 0, value.length + 2, 1, 0x6b, ...value);
const codes = (text: string): number[] => [...text].map(character => character.charCodeAt(0));
const FULL = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

describe('field tables', () => {
  it('come back from the wire and from the replicated state as they were, every type and nested', () => {
    fc.assert(
      fc.property(tableArb, table => {
        expect(fromTheWire(onTheWire(table))).toEqual(table);
        expect(replicated.readTable(new ByteReader(encoded(table)))).toEqual(table);
      }),
      { numRuns: 1000 },
    );
  });

  it('have one encoding in the replicated state, whatever the order of their fields', () => {
    fc.assert(
      fc.property(tableArb, table => {
        expect(encoded(new Map([...table].reverse()))).toEqual(encoded(table));
      }),
    );
  });

  it.each<readonly [string, readonly number[], FieldValue]>([
    ['t', [2], { type: 'boolean', value: true }],
    ['b', [0xff], { type: 'int8', value: -1 }],
    ['B', [0xff], { type: 'uint8', value: 255 }],
    ['s', [0xff, 0xfe], { type: 'int16', value: -2 }],
    ['u', [0xff, 0xfe], { type: 'uint16', value: 65_534 }],
    ['I', [0xff, 0xff, 0xff, 0xff], { type: 'int32', value: -1 }],
    ['i', [0xff, 0xff, 0xff, 0xff], { type: 'uint32', value: 4_294_967_295 }],
    ['l', FULL, { type: 'int64', value: -1n }],
    ['L', FULL, { type: 'int64', value: -1n }],
    ['T', FULL, { type: 'timestamp', value: 2n ** 64n - 1n }],
    ['f', [0x3f, 0xc0, 0, 0], { type: 'float', value: 1.5 }],
    ['d', [0x3f, 0xf8, 0, 0, 0, 0, 0, 0], { type: 'double', value: 1.5 }],
    ['D', [2, 0xff, 0xff, 0xff, 0xff], { type: 'decimal', scale: 2, value: 4_294_967_295 }],
    ['S', [0, 0, 0, 2, 0xc3, 0x28], { type: 'string', value: '\udcc3(' }],
    ['x', [0, 0, 0, 2, 0xc3, 0x28], { type: 'bytes', value: Uint8Array.of(0xc3, 0x28) }],
    ['A', [0, 0, 0, 3, 0x56, 0x74, 0], { type: 'array', value: [{ type: 'void' }, { type: 'boolean', value: false }] }],
    ['F', [0, 0, 0, 3, 1, 0x61, 0x56], { type: 'table', value: new Map([['a', { type: 'void' }]]) }],
    ['V', [], { type: 'void' }],
  ])('are read by the letters of RabbitMQ: %s', (letter, value, field) => {
    expect(fromTheWire(wireBytes(...codes(letter), ...value))).toEqual(new Map([['k', field]]));
  });

  it.each(['U', 'a', '\0'])('have no type %j', letter => {
    expect(fromTheWire(wireBytes(...codes(letter), 0, 0, 0, 0))).toBeUndefined();
  });

  it('show the first of two fields with one name', () => {
    expect(fromTheWire(Uint8Array.of(0, 0, 0, 8, 1, 0x6b, 0x74, 1, 1, 0x6b, 0x74, 0))).toEqual(
      new Map([['k', { type: 'boolean', value: true }]]),
    );
  });
});
