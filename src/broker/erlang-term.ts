import { utf8Encode } from '../lib/bytes.ts';
import type { FieldValue } from './field-table.ts';

/** RabbitMQ's names of the field types, as its texts show them. */
const TYPE_WORDS: Record<FieldValue['type'], string> = {
  boolean: 'bool',
  int8: 'byte',
  uint8: 'unsignedbyte',
  int16: 'short',
  uint16: 'unsignedshort',
  int32: 'signedint',
  uint32: 'unsignedint',
  int64: 'long',
  float: 'float',
  double: 'double',
  decimal: 'decimal',
  string: 'longstr',
  bytes: 'binary',
  timestamp: 'timestamp',
  array: 'array',
  table: 'table',
  void: 'void',
};

export const typeWord = (field: FieldValue): string => TYPE_WORDS[field.type];

export const INTEGERS: ReadonlySet<FieldValue['type']> = new Set([
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
]);

/** A value as Erlang's `~p` prints it into RabbitMQ's texts, which clients match on: `<<"text">>`, `[{longstr,<<"a">>}]`. */
export function erlangTerm(field: FieldValue): string {
  switch (field.type) {
    case 'void':
      return 'undefined';
    case 'string':
      return binary(utf8Encode(field.value));
    case 'bytes':
      return binary(field.value);
    case 'decimal':
      return `{${field.scale},${field.value}}`;
    case 'float':
    case 'double':
      return Number.isInteger(field.value) ? `${field.value}.0` : String(field.value);
    case 'array':
      return `[${field.value.map(item => `{${typeWord(item)},${erlangTerm(item)}}`).join(',')}]`;
    case 'table':
      return `[${[...field.value]
        .map(([key, value]) => `{${binary(utf8Encode(key))},${typeWord(value)},${erlangTerm(value)}}`)
        .join(',')}]`;
    default:
      return String(field.value);
  }
}

function binary(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<<>>';
  if (!bytes.every(byte => byte >= 0x20 && byte < 0x7f)) return `<<${bytes.join(',')}>>`;
  return `<<${JSON.stringify(String.fromCharCode(...bytes))}>>`;
}
