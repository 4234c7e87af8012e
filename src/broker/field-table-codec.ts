import { unreachable } from '../lib/assert.ts';
import { type ByteReader, ByteWriter, utf8Decode, utf8Encode } from '../lib/bytes.ts';
import type { BrokerError } from './broker-error.ts';
import { EMPTY_TABLE, type FieldTable, type FieldValue } from './field-table.ts';
import { checkNameLength } from './names.ts';

/** Tables and arrays inside each other. Bounds the recursion of everything that walks a table. */
export const TABLE_DEPTH_MAX = 32;
export const TABLE_BYTES_MAX = 65_536;

/** One byte per type in the replicated format; numbers are for ever. */
const TAGS = [
  'void',
  'boolean',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'float',
  'double',
  'decimal',
  'string',
  'bytes',
  'timestamp',
  'array',
  'table',
] as const satisfies readonly FieldValue['type'][];
const TAG_OF = new Map<FieldValue['type'], number>(TAGS.map((type, tag) => [type, tag]));

/** To be asked of every table from a client before it is encoded. */
export function checkTable(table: FieldTable): BrokerError | undefined {
  const error = checkFields(table, TABLE_DEPTH_MAX);
  if (error) return error;
  const bytes = encodedTable(table).length;
  if (bytes <= TABLE_BYTES_MAX) return undefined;
  return { code: 'invalid', text: `arguments of ${bytes} bytes; at most ${TABLE_BYTES_MAX}` };
}

function checkFields(value: FieldTable | readonly FieldValue[], depthLeft: number): BrokerError | undefined {
  if (depthLeft === 0) return { code: 'invalid', text: `arguments nested more than ${TABLE_DEPTH_MAX} levels deep` };
  for (const [key, field] of value.entries()) {
    const error =
      (typeof key === 'string' ? checkNameLength('name of an argument', key) : undefined) ??
      (field.type === 'array' || field.type === 'table' ? checkFields(field.value, depthLeft - 1) : undefined);
    if (error) return error;
  }
  return undefined;
}

/** Canonical: the order in which a client sent the fields leaves no trace. */
export function writeTable(writer: ByteWriter, table: FieldTable): void {
  writer.u32(table.size);
  for (const key of [...table.keys()].sort()) {
    writer.string(key);
    writeValue(writer, table.get(key)!);
  }
}

export function readTable(reader: ByteReader): FieldTable {
  const size = reader.u32();
  if (size === 0) return EMPTY_TABLE;
  const table = new Map<string, FieldValue>();
  for (let i = 0; i < size; i++) table.set(reader.string(), readValue(reader));
  return table;
}

export function encodedTable(table: FieldTable): Uint8Array {
  const writer = new ByteWriter();
  writeTable(writer, table);
  return writer.finish();
}

/** Equal exactly for tables with equal fields of equal types; usable as a key. */
export function tableKey(table: FieldTable): string {
  if (table.size === 0) return '';
  let key = '';
  for (const byte of encodedTable(table)) key += String.fromCharCode(byte);
  return key;
}

function writeValue(writer: ByteWriter, field: FieldValue): void {
  writer.u8(TAG_OF.get(field.type)!);
  switch (field.type) {
    case 'void':
      break;
    case 'boolean':
      writer.u8(field.value ? 1 : 0);
      break;
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'float':
    case 'double':
      writer.f64(field.value);
      break;
    case 'int64':
    case 'timestamp':
      writeBits64(writer, field.value);
      break;
    case 'decimal':
      writer.u8(field.scale);
      writer.f64(field.value);
      break;
    case 'string':
      writer.block(utf8Encode(field.value));
      break;
    case 'bytes':
      writer.block(field.value);
      break;
    case 'array':
      writer.u32(field.value.length);
      for (const item of field.value) writeValue(writer, item);
      break;
    case 'table':
      writeTable(writer, field.value);
      break;
    default:
      unreachable(field);
  }
}

function readValue(reader: ByteReader): FieldValue {
  const type = TAGS[reader.u8()];
  switch (type) {
    case 'void':
      return { type };
    case 'boolean':
      return { type, value: reader.u8() === 1 };
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'float':
    case 'double':
      return { type, value: reader.f64() };
    case 'int64':
      return { type, value: BigInt.asIntN(64, readBits64(reader)) };
    case 'timestamp':
      return { type, value: readBits64(reader) };
    case 'decimal':
      return { type, scale: reader.u8(), value: reader.f64() };
    case 'string':
      return { type, value: utf8Decode(reader.block()) };
    case 'bytes':
      return { type, value: reader.block().slice() };
    case 'array':
      return { type, value: Array.from({ length: reader.u32() }, () => readValue(reader)) };
    case 'table':
      return { type, value: readTable(reader) };
    default:
      return unreachable(type as never);
  }
}

function writeBits64(writer: ByteWriter, value: bigint): void {
  const bits = BigInt.asUintN(64, value);
  writer.u32(Number(bits >> 32n));
  writer.u32(Number(bits & 0xffff_ffffn));
}

function readBits64(reader: ByteReader): bigint {
  const high = BigInt(reader.u32());
  return (high << 32n) | BigInt(reader.u32());
}
