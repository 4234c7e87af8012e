import type { FieldTable } from '../../broker/field-table.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import { readTable, writeTable } from './field-table-wire.ts';
import { AmqpReader, type AmqpWriter, readU32 } from './primitives.ts';
import { type FieldType, METHODS, type MethodName, methodId } from './spec.ts';

interface FieldValues {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  longlong: bigint;
  shortstr: string;
  longstr: Uint8Array;
  table: FieldTable;
}

type Fields<Name extends MethodName> = (typeof METHODS)[Name][2];
type Values<Shape> = {
  readonly [Key in keyof Shape as Key extends `reserved${string}` ? never : Key]: Shape[Key] extends FieldType
    ? FieldValues[Shape[Key]]
    : never;
};

/** One method with its fields, for example `MethodOf<'queue.declare'>`. */
export type MethodOf<Name extends MethodName> = { readonly name: Name } & Values<Fields<Name>>;
export type Method = { [Name in MethodName]: MethodOf<Name> }[MethodName];

type AnyValue = FieldValues[FieldType];
interface Layout {
  readonly name: MethodName;
  readonly id: number;
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
}

const layouts = new Map<number, Layout>();
const layoutOf = new Map<MethodName, Layout>();
for (const name of Object.keys(METHODS) as MethodName[]) {
  const layout = { name, id: methodId(name), fields: Object.entries<FieldType>(METHODS[name][2]) };
  layouts.set(layout.id, layout);
  layoutOf.set(name, layout);
}

const reader = new AmqpReader();

/** The payload of a method frame, `bytes[start, end)`. What comes back holds no view of `bytes`. */
export function decodeMethod(bytes: Uint8Array, start: number, end: number): Method | AmqpError {
  if (end - start < 4) return amqpError('frame-error', `method frame of ${end - start} octets`);
  const id = readU32(bytes, start);
  const layout = layouts.get(id);
  if (layout === undefined) {
    return amqpError('command-invalid', `unknown method ${id & 0xffff} of class ${id >>> 16}`);
  }
  reader.reset(bytes, start + 4, end);
  const method: Record<string, AnyValue | MethodName> = { name: layout.name };
  let bits = 0;
  let bitAt = 8;
  for (const [name, type] of layout.fields) {
    let value: AnyValue;
    if (type === 'bit') {
      if (bitAt === 8) {
        bits = reader.u8();
        bitAt = 0;
      }
      value = ((bits >> bitAt++) & 1) === 1;
    } else {
      bitAt = 8;
      value = readField(type);
    }
    if (!name.startsWith('reserved')) method[name] = value;
  }
  const sound = !reader.failed && reader.remaining === 0;
  reader.release();
  return sound ? (method as unknown as Method) : amqpError('syntax-error', `malformed fields of ${layout.name}`);
}

function readField(type: Exclude<FieldType, 'bit'>): AnyValue {
  switch (type) {
    case 'octet':
      return reader.u8();
    case 'short':
      return reader.u16();
    case 'long':
      return reader.u32();
    case 'longlong':
      return reader.u64();
    case 'shortstr':
      return reader.shortstr();
    case 'longstr':
      return reader.longstr();
    case 'table':
      return readTable(reader);
  }
}

const RESERVED_VALUES: Record<Exclude<FieldType, 'bit'>, AnyValue> = {
  octet: 0,
  short: 0,
  long: 0,
  longlong: 0n,
  shortstr: '',
  longstr: new Uint8Array(0),
  table: new Map(),
};

/** Appends the payload of a method frame. */
export function writeMethod(writer: AmqpWriter, method: Method): void {
  const layout = layoutOf.get(method.name)!;
  const values = method as unknown as Record<string, AnyValue>;
  writer.u32(layout.id);
  let bits = 0;
  let bitAt = 0;
  for (const [name, type] of layout.fields) {
    if (type === 'bit') {
      if (bitAt === 8) {
        writer.u8(bits);
        bits = 0;
        bitAt = 0;
      }
      if (values[name] === true) bits |= 1 << bitAt;
      bitAt++;
      continue;
    }
    if (bitAt > 0) writer.u8(bits);
    bits = 0;
    bitAt = 0;
    writeField(writer, type, values[name] ?? RESERVED_VALUES[type]);
  }
  if (bitAt > 0) writer.u8(bits);
}

function writeField(writer: AmqpWriter, type: Exclude<FieldType, 'bit'>, value: AnyValue): void {
  switch (type) {
    case 'octet':
      writer.u8(value as number);
      break;
    case 'short':
      writer.u16(value as number);
      break;
    case 'long':
      writer.u32(value as number);
      break;
    case 'longlong':
      writer.bits64(value as bigint);
      break;
    case 'shortstr':
      writer.shortstr(value as string);
      break;
    case 'longstr':
      writer.longstr(value as Uint8Array);
      break;
    case 'table':
      writeTable(writer, value as FieldTable);
      break;
  }
}
