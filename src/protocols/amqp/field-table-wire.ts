import { EMPTY_TABLE, type FieldTable, type FieldValue } from '../../broker/field-table.ts';
import { unreachable } from '../../lib/assert.ts';
import { utf8Encode } from '../../lib/bytes.ts';
import type { AmqpReader, AmqpWriter } from './primitives.ts';

/** Tables and arrays inside each other; deeper ones are refused. Bounds the recursion here and in everything behind. */
export const TABLE_DEPTH_MAX = 32;

/** The tags that RabbitMQ reads and writes, which differ from the specification's in part (RabbitMQ, "AMQP 0-9-1 Errata", 3). */
const TAGS = {
  boolean: 't',
  int8: 'b',
  uint8: 'B',
  int16: 's',
  uint16: 'u',
  int32: 'I',
  uint32: 'i',
  int64: 'l',
  float: 'f',
  double: 'd',
  decimal: 'D',
  string: 'S',
  bytes: 'x',
  timestamp: 'T',
  array: 'A',
  table: 'F',
  void: 'V',
} as const satisfies Record<FieldValue['type'], string>;

/** RabbitMQ reads `L` as it reads `l`, and py-amqp writes it for what does not fit into 32 bits. */
const LONG_TAG = 'L'.charCodeAt(0);

const typeOfTag = new Map<number, FieldValue['type']>([
  ...Object.entries(TAGS).map(([type, tag]): [number, FieldValue['type']] => [
    tag.charCodeAt(0),
    type as FieldValue['type'],
  ]),
  [LONG_TAG, 'int64'],
]);

/** A table with its length in front. A malformed one makes the reader fail. */
export function readTable(reader: AmqpReader, depthLeft = TABLE_DEPTH_MAX): FieldTable {
  const bytes = reader.u32();
  if (bytes === 0) return EMPTY_TABLE;
  if (depthLeft === 0 || bytes > reader.remaining) {
    reader.fail();
    return EMPTY_TABLE;
  }
  return readFields(reader, reader.position + bytes, depthLeft - 1);
}

/** The fields of a table up to position `end`, without a length in front (the response of AMQPLAIN). */
export function readFields(reader: AmqpReader, end: number, depthLeft = TABLE_DEPTH_MAX): FieldTable {
  const table = new Map<string, FieldValue>();
  while (reader.position < end && !reader.failed) {
    const key = reader.shortstr();
    const value = readValue(reader, depthLeft);
    // Of fields with one name RabbitMQ sees the first.
    if (!table.has(key)) table.set(key, value);
  }
  if (reader.position !== end) reader.fail();
  return table;
}

function readValue(reader: AmqpReader, depthLeft: number): FieldValue {
  const type = typeOfTag.get(reader.u8());
  switch (type) {
    case 'void':
      return { type };
    case 'boolean':
      return { type, value: reader.u8() !== 0 };
    case 'int8':
      return { type, value: (reader.u8() << 24) >> 24 };
    case 'uint8':
      return { type, value: reader.u8() };
    case 'int16':
      return { type, value: (reader.u16() << 16) >> 16 };
    case 'uint16':
      return { type, value: reader.u16() };
    case 'int32':
      return { type, value: reader.u32() | 0 };
    case 'uint32':
      return { type, value: reader.u32() };
    case 'int64':
      return { type, value: reader.i64() };
    case 'float':
      return { type, value: reader.f32() };
    case 'double':
      return { type, value: reader.f64() };
    case 'decimal':
      return { type, scale: reader.u8(), value: reader.u32() };
    case 'string':
      return { type, value: reader.text(reader.u32()) };
    case 'bytes':
      return { type, value: reader.longstr() };
    case 'timestamp':
      return { type, value: reader.u64() };
    case 'array':
      return { type, value: readArray(reader, depthLeft) };
    case 'table':
      return { type, value: readTable(reader, depthLeft) };
    case undefined:
      reader.fail();
      return { type: 'void' };
    default:
      return unreachable(type);
  }
}

function readArray(reader: AmqpReader, depthLeft: number): FieldValue[] {
  const bytes = reader.u32();
  const items: FieldValue[] = [];
  if (depthLeft === 0 || bytes > reader.remaining) {
    reader.fail();
    return items;
  }
  const end = reader.position + bytes;
  while (reader.position < end && !reader.failed) items.push(readValue(reader, depthLeft - 1));
  if (reader.position !== end) reader.fail();
  return items;
}

export function writeTable(writer: AmqpWriter, table: FieldTable): void {
  const start = writer.length;
  writer.u32(0);
  for (const [key, value] of table) {
    writer.shortstr(key);
    writeValue(writer, value);
  }
  writer.storeU32(start, writer.length - start - 4);
}

function writeValue(writer: AmqpWriter, field: FieldValue): void {
  writer.u8(TAGS[field.type].charCodeAt(0));
  switch (field.type) {
    case 'void':
      break;
    case 'boolean':
      writer.u8(field.value ? 1 : 0);
      break;
    case 'int8':
    case 'uint8':
      writer.u8(field.value);
      break;
    case 'int16':
    case 'uint16':
      writer.u16(field.value);
      break;
    case 'int32':
    case 'uint32':
      writer.u32(field.value);
      break;
    case 'int64':
    case 'timestamp':
      writer.bits64(field.value);
      break;
    case 'float':
      writer.f32(field.value);
      break;
    case 'double':
      writer.f64(field.value);
      break;
    case 'decimal':
      writer.u8(field.scale);
      writer.u32(field.value);
      break;
    case 'string':
      writer.longstr(utf8Encode(field.value));
      break;
    case 'bytes':
      writer.longstr(field.value);
      break;
    case 'array':
      writeArray(writer, field.value);
      break;
    case 'table':
      writeTable(writer, field.value);
      break;
    default:
      unreachable(field);
  }
}

function writeArray(writer: AmqpWriter, items: readonly FieldValue[]): void {
  const start = writer.length;
  writer.u32(0);
  for (const item of items) writeValue(writer, item);
  writer.storeU32(start, writer.length - start - 4);
}

/** Length in octets of the fixed-size values, by tag; -1: a length precedes the value; -2: nested; absent: no such tag. */
const VALUE_BYTES = new Int8Array(256).fill(-3);
for (const tag of 'V') VALUE_BYTES[tag.charCodeAt(0)] = 0;
for (const tag of 'tbB') VALUE_BYTES[tag.charCodeAt(0)] = 1;
for (const tag of 'su') VALUE_BYTES[tag.charCodeAt(0)] = 2;
for (const tag of 'Iif') VALUE_BYTES[tag.charCodeAt(0)] = 4;
for (const tag of 'D') VALUE_BYTES[tag.charCodeAt(0)] = 5;
for (const tag of 'lLdT') VALUE_BYTES[tag.charCodeAt(0)] = 8;
for (const tag of 'Sx') VALUE_BYTES[tag.charCodeAt(0)] = -1;
for (const tag of 'AF') VALUE_BYTES[tag.charCodeAt(0)] = -2;

/**
 * Walks over a table without building it; a malformed one makes the reader fail. Accepts what `readTable` accepts.
 * Tells whether one of its fields has one of the names.
 */
export function skipHeaders(reader: AmqpReader, names: readonly string[]): boolean {
  const bytes = reader.u32();
  if (bytes > reader.remaining) reader.fail();
  const end = reader.position + bytes;
  let isFound = false;
  while (reader.position < end && !reader.failed) {
    const length = reader.u8();
    // Only names that can be meant are worth a string.
    if (names.some(name => name.length === length)) {
      if (names.includes(reader.text(length))) isFound = true;
    } else reader.skip(length);
    skipValue(reader, TABLE_DEPTH_MAX - 1);
  }
  if (reader.position !== end) reader.fail();
  return isFound;
}

function skipNested(reader: AmqpReader, depthLeft: number, form: 'keyed' | 'plain'): void {
  const bytes = reader.u32();
  if (bytes === 0 && form === 'keyed') return;
  if (depthLeft === 0 || bytes > reader.remaining) {
    reader.fail();
    return;
  }
  const end = reader.position + bytes;
  while (reader.position < end && !reader.failed) {
    if (form === 'keyed') reader.skip(reader.u8());
    skipValue(reader, depthLeft - 1);
  }
  if (reader.position !== end) reader.fail();
}

function skipValue(reader: AmqpReader, depthLeft: number): void {
  const tag = reader.u8();
  const size = VALUE_BYTES[tag]!;
  if (size >= 0) reader.skip(size);
  else if (size === -1) reader.skip(reader.u32());
  else if (size === -2) skipNested(reader, depthLeft, tag === 0x46 ? 'keyed' : 'plain');
  else reader.fail();
}
