import { create } from '@bufbuild/protobuf';
import type { Result } from '../../broker/broker.ts';
import type { FieldTable, FieldValue } from '../../broker/field-table.ts';
import { checkTable } from '../../broker/field-table-codec.ts';
import { FieldValueSchema, type FieldValue as WireValue } from '../../gen/warren/v1/message_pb.ts';
import { unreachable } from '../../lib/assert.ts';

type WireFields = Readonly<Record<string, WireValue>>;

const RANGES = {
  int8: [-0x80, 0x7f],
  uint8: [0, 0xff],
  int16: [-0x8000, 0x7fff],
  uint16: [0, 0xffff],
} as const;
const DECIMAL_SCALE_MAX = 255;

/** A value that its type cannot hold; found on the way through a table, told as one error. */
class UnfitValue extends Error {}

/** Arguments or headers of a request as the broker knows them, within its limits for tables. */
export function toFieldTable(fields: WireFields): Result<FieldTable> {
  try {
    const table = toTable(fields);
    const error = checkTable(table);
    return error === undefined ? { ok: true, value: table } : { ok: false, error };
  } catch (error) {
    if (error instanceof UnfitValue) return { ok: false, error: { code: 'invalid', text: error.message } };
    throw error;
  }
}

export function fromFieldTable(table: FieldTable): Record<string, WireValue> {
  const fields: Record<string, WireValue> = {};
  for (const [name, value] of table) fields[name] = create(FieldValueSchema, { value: fromValue(value) });
  return fields;
}

function toTable(fields: WireFields): FieldTable {
  const table = new Map<string, FieldValue>();
  for (const name of Object.keys(fields)) table.set(name, toValue(name, fields[name]!));
  return table;
}

function toValue(name: string, { value }: WireValue): FieldValue {
  switch (value.case) {
    case undefined:
      throw new UnfitValue(`field '${name}' has no value`);
    case 'void':
      return { type: 'void' };
    case 'boolean':
      return { type: 'boolean', value: value.value };
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16': {
      const [min, max] = RANGES[value.case];
      if (value.value < min || value.value > max) {
        throw new UnfitValue(`field '${name}' is ${value.value}; ${value.case} holds ${min} to ${max}`);
      }
      return { type: value.case, value: value.value };
    }
    case 'int32':
    case 'uint32':
    case 'float':
    case 'double':
      return { type: value.case, value: value.value };
    case 'int64':
    case 'timestamp':
      return { type: value.case, value: value.value };
    case 'decimal': {
      const { scale, value: digits } = value.value;
      if (scale > DECIMAL_SCALE_MAX)
        throw new UnfitValue(`field '${name}' has scale ${scale}; at most ${DECIMAL_SCALE_MAX}`);
      return { type: 'decimal', scale, value: digits };
    }
    case 'string':
      return { type: 'string', value: value.value };
    case 'bytes':
      // Tables may outlive the request (R20).
      return { type: 'bytes', value: new Uint8Array(value.value) };
    case 'array':
      return { type: 'array', value: value.value.values.map(item => toValue(name, item)) };
    case 'table':
      return { type: 'table', value: toTable(value.value.fields) };
    default:
      return unreachable(value);
  }
}

function fromValue(field: FieldValue): WireValue['value'] {
  switch (field.type) {
    case 'void':
      return { case: 'void', value: { $typeName: 'warren.v1.Void' } };
    case 'boolean':
      return { case: 'boolean', value: field.value };
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'float':
    case 'double':
      return { case: field.type, value: field.value };
    case 'int64':
    case 'timestamp':
      return { case: field.type, value: field.value };
    case 'decimal':
      return { case: 'decimal', value: { $typeName: 'warren.v1.Decimal', scale: field.scale, value: field.value } };
    case 'string':
      return { case: 'string', value: field.value };
    case 'bytes':
      return { case: 'bytes', value: field.value };
    case 'array': {
      const values = field.value.map(item => create(FieldValueSchema, { value: fromValue(item) }));
      return { case: 'array', value: { $typeName: 'warren.v1.FieldArray', values } };
    }
    case 'table':
      return { case: 'table', value: { $typeName: 'warren.v1.FieldTable', fields: fromFieldTable(field.value) } };
    default:
      return unreachable(field);
  }
}
