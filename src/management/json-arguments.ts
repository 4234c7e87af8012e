import type { FieldTable, FieldValue } from '../broker/field-table.ts';
import { checkTable, TABLE_DEPTH_MAX } from '../broker/field-table-codec.ts';
import { utf8Decode } from '../lib/bytes.ts';

/** A value that cannot be an argument. */
export class UnfitArgument extends Error {}

/**
 * Arguments as RabbitMQ's JSON has them, which knows fewer types than AMQP: a whole number is a 64-bit one, another number a
 * double, null is void. An empty list stands for no arguments in old documents. Throws `UnfitArgument`.
 */
export function tableFromJson(json: unknown): FieldTable {
  if (json === undefined || (Array.isArray(json) && json.length === 0)) return new Map();
  if (!isObject(json)) throw new UnfitArgument('arguments must be an object');
  const table = toTable(json, TABLE_DEPTH_MAX);
  const error = checkTable(table);
  if (error !== undefined) throw new UnfitArgument('text' in error ? error.text : error.code);
  return table;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function toTable(json: Readonly<Record<string, unknown>>, depthLeft: number): FieldTable {
  if (depthLeft === 0) throw new UnfitArgument(`arguments nested more than ${TABLE_DEPTH_MAX} levels deep`);
  return new Map(Object.entries(json).map(([name, value]) => [name, toValue(name, value, depthLeft - 1)]));
}

function toValue(name: string, json: unknown, depthLeft: number): FieldValue {
  if (depthLeft === 0) throw new UnfitArgument(`arguments nested more than ${TABLE_DEPTH_MAX} levels deep`);
  if (json === null) return { type: 'void' };
  switch (typeof json) {
    case 'boolean':
      return { type: 'boolean', value: json };
    case 'string':
      return { type: 'string', value: json };
    case 'number':
      if (!Number.isInteger(json)) return { type: 'double', value: json };
      if (Number.isSafeInteger(json)) return { type: 'int64', value: BigInt(json) };
      throw new UnfitArgument(`argument '${name}' is a number that JSON does not carry exactly`);
    default:
      if (!Array.isArray(json)) return { type: 'table', value: toTable(json as Record<string, unknown>, depthLeft) };
      return { type: 'array', value: json.map(item => toValue(name, item, depthLeft - 1)) };
  }
}

/** The arguments as JSON text, names in order. Numbers keep all their digits; types that JSON does not know lose their names. */
export function tableToJson(table: FieldTable): string {
  const fields = [...table.keys()].sort().map(name => `${JSON.stringify(name)}:${valueToJson(table.get(name)!)}`);
  return `{${fields.join(',')}}`;
}

function valueToJson(field: FieldValue): string {
  switch (field.type) {
    case 'void':
      return 'null';
    case 'int64':
    case 'timestamp':
      return String(field.value);
    case 'decimal':
      return String(field.value / 10 ** field.scale);
    case 'bytes':
      return JSON.stringify(utf8Decode(field.value));
    case 'array':
      return `[${field.value.map(valueToJson).join(',')}]`;
    case 'table':
      return tableToJson(field.value);
    default:
      return JSON.stringify(field.value);
  }
}
