import type { FieldTable } from '../broker/field-table.ts';
import { isObject, tableFromJson } from './json-arguments.ts';

/** What is wrong with an entry, for whoever wrote the document. */
export class WrongDefinition extends Error {}

/** The fields of one entry of a definitions document, as the releases of RabbitMQ write them. */
export class DefinitionFields {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(entry: unknown) {
    // Erlang knows no empty object: what has no fields may be written as an empty list.
    if (Array.isArray(entry) && entry.length === 0) this.#fields = {};
    else if (isObject(entry)) this.#fields = entry;
    else throw new WrongDefinition('it must be an object');
  }

  /** Undefined also for null. */
  get(field: string): unknown {
    return Object.hasOwn(this.#fields, field) ? (this.#fields[field] ?? undefined) : undefined;
  }

  text(field: string): string {
    const value = this.get(field);
    if (typeof value === 'string') return value;
    throw new WrongDefinition(value === undefined ? `"${field}" is missing` : `"${field}" must be a text`);
  }

  flag(field: string): boolean {
    const value = this.get(field);
    if (typeof value === 'boolean') return value;
    throw new WrongDefinition(value === undefined ? `"${field}" is missing` : `"${field}" must be true or false`);
  }

  vhost(fallback: string | undefined): string {
    if (this.get('vhost') === undefined && fallback !== undefined) return fallback;
    if (this.get('vhost') !== undefined) return this.text('vhost');
    throw new WrongDefinition('"vhost" is missing; a document of one vhost is imported with --vhost');
  }

  /** A list, or names with commas between them (before 3.9, and of vhosts until today). */
  tags(field: string): readonly string[] {
    const value = this.get(field) ?? [];
    const tags = typeof value === 'string' ? value.split(',').map(tag => tag.trim()) : value;
    if (!Array.isArray(tags) || !tags.every(tag => typeof tag === 'string')) {
      throw new WrongDefinition(`"${field}" must be a list of texts`);
    }
    return tags.filter(tag => tag !== '');
  }

  /** An object, or pairs of name and value. Below 0 there is no limit. Undefined: nothing is said of limits. */
  limits(field: string, known: readonly string[]): ReadonlyMap<string, number | undefined> | undefined {
    const value = this.get(field);
    if (value === undefined) return undefined;
    const pairs: unknown[] = Array.isArray(value) ? value : isObject(value) ? Object.entries(value) : [value];
    const limits = new Map<string, number | undefined>();
    for (const pair of pairs) {
      const [name, limit] = Array.isArray(pair) ? pair : [];
      if (typeof name !== 'string' || typeof limit !== 'number' || !Number.isInteger(limit)) {
        throw new WrongDefinition(`"${field}" must hold names and whole numbers`);
      }
      if (!known.includes(name)) {
        throw new WrongDefinition(`"${field}" has "${name}"; known are ${known.join(', ')}`);
      }
      limits.set(name, limit < 0 ? undefined : limit);
    }
    return limits;
  }

  table(field: string): FieldTable {
    return tableFromJson(this.get(field));
  }
}
