import { bytesEqual, utf8Decode, utf8Encode } from '../lib/bytes.ts';
import type { BrokerError } from './broker-error.ts';
import { erlangTerm, INTEGERS, typeWord } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';

/** What is declared, for the texts of refusals. */
export interface Declared {
  readonly kind: 'exchange' | 'queue';
  readonly vhost: string;
  readonly name: string;
}

/** `received` and `current` as RabbitMQ writes them behind these words: quoted, or `none`. */
export function inequivalent(declared: Declared, argument: string, received: string, current: string): BrokerError {
  return { code: 'inequivalent', ...declared, argument, received, current };
}

/** Compares a property (durable, type ...) of a declaration with what exists. */
export function checkProperty(
  declared: Declared,
  argument: string,
  received: boolean | string,
  current: boolean | string,
): BrokerError | undefined {
  if (received === current) return undefined;
  return inequivalent(declared, argument, `'${received}'`, `'${current}'`);
}

/** Compares one argument (rabbit_misc:assert_args_equivalence). */
export function checkArgument(
  declared: Declared,
  argument: string,
  received: FieldTable,
  current: FieldTable,
): BrokerError | undefined {
  const receivedField = received.get(argument);
  const currentField = current.get(argument);
  if (receivedField === undefined || currentField === undefined) {
    if (receivedField === currentField) return undefined;
    return inequivalent(declared, argument, fieldWords(receivedField), fieldWords(currentField));
  }
  if (isSameArgument(receivedField, currentField)) return undefined;
  return inequivalent(declared, argument, `'${valueWords(receivedField)}'`, `'${valueWords(currentField)}'`);
}

const fieldWords = (field: FieldValue | undefined): string =>
  field === undefined ? 'none' : `the value '${valueWords(field)}' of type '${typeWord(field)}'`;

function valueWords(field: FieldValue): string {
  if (field.type === 'string') return field.value;
  return field.type === 'bytes' ? utf8Decode(field.value) : erlangTerm(field);
}

/** Equal as arguments: of one class, whatever the width. */
const isSameArgument = (a: FieldValue, b: FieldValue): boolean => classOf(a) === classOf(b) && sameFieldValue(a, b);

function classOf(field: FieldValue): string {
  if (INTEGERS.has(field.type)) return 'integer';
  return field.type === 'float' ? 'double' : field.type;
}

/** Erlang's `==` on the values, as RabbitMQ's equivalence checks and headers exchange use it: 1 equals 1.0 of any width. */
export function sameFieldValue(a: FieldValue, b: FieldValue): boolean {
  if (isNumber(a) && isNumber(b)) return isSameNumber(a.value, b.value);
  if (isText(a) && isText(b)) {
    if (a.type === 'string' && b.type === 'string') return a.value === b.value;
    return bytesEqual(textBytes(a), textBytes(b));
  }
  if (a.type !== b.type) return false;
  switch (a.type) {
    case 'boolean':
      return a.value === (b as typeof a).value;
    case 'decimal':
      return a.value === (b as typeof a).value && a.scale === (b as typeof a).scale;
    case 'array':
      return sameArrays(a.value, (b as typeof a).value);
    case 'table':
      return sameTables(a.value, (b as typeof a).value);
    default:
      return true;
  }
}

/** Exactly, also where one is a 64-bit integer and the other is not. */
function isSameNumber(a: number | bigint, b: number | bigint): boolean {
  if (typeof a === 'number') return typeof b === 'number' ? a === b : isSameNumber(b, a);
  return typeof b === 'bigint' ? a === b : Number.isInteger(b) && BigInt(b) === a;
}

type TextField = Extract<FieldValue, { type: 'string' | 'bytes' }>;
type NumberField = Extract<FieldValue, { value: number | bigint }>;

const isText = (field: FieldValue): field is TextField => field.type === 'string' || field.type === 'bytes';
const textBytes = (field: TextField): Uint8Array => (field.type === 'string' ? utf8Encode(field.value) : field.value);
const isNumber = (field: FieldValue): field is NumberField =>
  field.type !== 'decimal' && 'value' in field && (typeof field.value === 'number' || typeof field.value === 'bigint');

function sameArrays(a: readonly FieldValue[], b: readonly FieldValue[]): boolean {
  return a.length === b.length && a.every((item, i) => item.type === b[i]!.type && sameFieldValue(item, b[i]!));
}

function sameTables(a: FieldTable, b: FieldTable): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || other.type !== value.type || !sameFieldValue(value, other)) return false;
  }
  return true;
}
