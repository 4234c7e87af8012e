import { utf8Decode } from '../lib/bytes.ts';
import { sameFieldValue } from './argument-equivalence.ts';
import { INTEGERS } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';
import type { RouteCollector } from './route-collector.ts';
import type { BindingRecord, Destination } from './topology-records.ts';

interface Pattern {
  readonly destination: Destination;
  readonly matchesAny: boolean;
  readonly fields: readonly (readonly [string, FieldValue])[];
}

/** Patterns by binding id. */
type Patterns = Map<number, Pattern>;

/**
 * The patterns of a headers exchange, found by a field that a message must have to match: one of them for patterns that
 * want all of their fields, each of them for those that want any. A match looks only at patterns that share a field with the
 * message, and at those without fields.
 */
export class HeaderPatterns {
  readonly #byField = new Map<string, Patterns>();
  /** What a binding's pattern is found by. */
  readonly #keys = new Map<number, readonly string[]>();
  /** `all` of nothing: they match every message. */
  readonly #always: Patterns = new Map();

  add(binding: BindingRecord): void {
    const pattern = patternOf(binding);
    const keys = this.#chooseKeys(pattern);
    this.#keys.set(binding.id, keys);
    for (const key of keys) {
      const patterns = this.#byField.get(key) ?? new Map();
      this.#byField.set(key, patterns.set(binding.id, pattern));
    }
    if (pattern.fields.length === 0 && !pattern.matchesAny) this.#always.set(binding.id, pattern);
  }

  remove(binding: BindingRecord): void {
    for (const key of this.#keys.get(binding.id) ?? []) {
      const patterns = this.#byField.get(key);
      patterns?.delete(binding.id);
      if (patterns?.size === 0) this.#byField.delete(key);
    }
    this.#keys.delete(binding.id);
    this.#always.delete(binding.id);
  }

  match(headers: FieldTable, into: RouteCollector): void {
    for (const { destination } of this.#always.values()) into.add(destination);
    if (this.#byField.size === 0) return;
    for (const [name, field] of headers) {
      this.#matchAmong(this.#byField.get(presenceKey(name)), headers, into);
      this.#matchAmong(this.#byField.get(fieldKey(name, field)), headers, into);
    }
  }

  #matchAmong(patterns: Patterns | undefined, headers: FieldTable, into: RouteCollector): void {
    if (patterns === undefined) return;
    for (const pattern of patterns.values()) {
      if (into.hasMatch && into.has(pattern.destination)) continue;
      if (isMatch(pattern, headers)) into.add(pattern.destination);
    }
  }

  /** A pattern that wants all of its fields is found by the one that the fewest others are found by. */
  #chooseKeys({ fields, matchesAny }: Pattern): readonly string[] {
    const keys = fields.map(([name, wanted]) => (wanted.type === 'void' ? presenceKey(name) : fieldKey(name, wanted)));
    if (matchesAny || keys.length < 2) return keys;
    const sizes = keys.map(key => this.#byField.get(key)?.size ?? 0);
    return [keys[sizes.indexOf(Math.min(...sizes))]!];
  }
}

function patternOf({ destination, arguments: wanted }: BindingRecord): Pattern {
  const match = wanted.get('x-match');
  const mode = match?.type === 'string' ? match.value : 'all';
  const withX = mode.endsWith('-with-x');
  const fields = [...wanted].filter(([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')));
  return { destination, matchesAny: mode.startsWith('any'), fields };
}

const presenceKey = (name: string): string => `${name.length} ${name}`;

/** Equal for values that are the same for a headers exchange, whatever their type; seldom for others. */
function fieldKey(name: string, field: FieldValue): string {
  const start = presenceKey(name);
  if (field.type === 'string') return `${start}=${field.value}`;
  if (field.type === 'bytes') return `${start}=${utf8Decode(field.value)}`;
  if (INTEGERS.has(field.type) || field.type === 'timestamp') return `${start}#${(field as { value: unknown }).value}`;
  if (field.type === 'float' || field.type === 'double') return `${start}#${numberKey(field.value)}`;
  return `${start}${field.type}`;
}

/** As an integer of the same value is written. */
const numberKey = (value: number): string => (Number.isInteger(value) ? String(BigInt(value)) : String(value));

function isMatch(pattern: Pattern, headers: FieldTable): boolean {
  for (const [name, wanted] of pattern.fields) {
    const field = headers.get(name);
    // A binding's field without a value asks for presence only.
    const fits = field !== undefined && (wanted.type === 'void' || sameFieldValue(wanted, field));
    if (fits === pattern.matchesAny) return pattern.matchesAny;
  }
  return !pattern.matchesAny;
}
