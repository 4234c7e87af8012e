import { BindingList } from './binding-list.ts';
import type { BrokerError } from './broker-error.ts';
import { erlangTerm } from './erlang-term.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { tableKey } from './field-table-codec.ts';
import { HASHED_PROPERTIES, type HashedProperty, type Routable, type RouteCollector } from './route-collector.ts';
import { hashOf, jumpHash } from './routing-hash.ts';
import type { BindingRecord, Destination } from './topology-records.ts';

const HASH_HEADER = 'hash-header';
const HASH_PROPERTY = 'hash-property';
/** Keeps the sum of all weights a safe integer. */
const WEIGHT_MAX = 1_000_000_000;

/**
 * One destination by the hash of the routing key, of a header or of a property; the binding key is the destination's
 * weight (RabbitMQ's plugin `rabbitmq_consistent_hash_exchange`).
 */
export const consistentHashExchangeType: ExchangeType = {
  name: 'x-consistent-hash',
  // Keys are many and hashing them is quick: nothing is gained by remembering.
  reads: 'more',
  checkExchange,
  checkBinding: checkWeight,
  createBindings: exchangeArguments => new ConsistentHashBindings(hashedText(exchangeArguments)),
};

function checkExchange(exchangeArguments: FieldTable): BrokerError | undefined {
  const header = exchangeArguments.get(HASH_HEADER);
  const property = exchangeArguments.get(HASH_PROPERTY);
  for (const [name, field] of [
    [HASH_HEADER, header],
    [HASH_PROPERTY, property],
  ] as const) {
    if (field !== undefined && field.type !== 'string') return invalid(`${name} must be a string`);
  }
  if (header !== undefined && property !== undefined) {
    return invalid('hash-header and hash-property are mutually exclusive');
  }
  if (property?.type !== 'string' || HASHED_PROPERTIES.includes(property.value as HashedProperty)) return undefined;
  return invalid(`Unsupported property: ${property.value}`);
}

function checkWeight(routingKey: string): BrokerError | undefined {
  if (!/^[+-]?\d+$/.test(routingKey)) {
    return invalid(`The binding key must be an integer: ${erlangTerm({ type: 'string', value: routingKey })}`);
  }
  if (Number(routingKey) < 1) return invalid('The binding key must be greater than 0');
  if (Number(routingKey) <= WEIGHT_MAX) return undefined;
  return invalid(`The binding key must be at most ${WEIGHT_MAX}`);
}

const invalid = (text: string): BrokerError => ({ code: 'invalid', text });

/** What of a message is hashed. A message without the header or property is hashed like all others without it. */
function hashedText(exchangeArguments: FieldTable): (message: Routable) => string {
  const header = exchangeArguments.get(HASH_HEADER);
  if (header?.type === 'string') {
    return message => {
      const field = message.headers()?.get(header.value);
      return field === undefined ? '' : tableKey(new Map([['', field]]));
    };
  }
  const property = exchangeArguments.get(HASH_PROPERTY);
  if (property?.type === 'string') return message => message.property(property.value as HashedProperty) ?? '';
  return message => message.routingKey;
}

class ConsistentHashBindings implements ExchangeBindings {
  readonly #textOf: (message: Routable) => string;
  readonly #bindings = new BindingList();
  /** Destinations in the order of their oldest binding, which alone counts, and the end of each one's buckets. Made when asked. */
  #destinations: Destination[] | undefined;
  #bucketEnds: number[] = [];

  constructor(textOf: (message: Routable) => string) {
    this.#textOf = textOf;
  }

  add(binding: BindingRecord): void {
    this.#bindings.add(binding);
    this.#destinations = undefined;
  }

  remove(binding: BindingRecord): void {
    this.#bindings.remove(binding);
    this.#destinations = undefined;
  }

  route(message: Routable, into: RouteCollector): void {
    if (this.#bindings.length === 0) return;
    const destinations = this.#destinations ?? this.#arrange();
    const ends = this.#bucketEnds;
    const bucket = jumpHash(hashOf(this.#textOf(message)), ends.at(-1)!);
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! <= bucket) low = middle + 1;
      else high = middle;
    }
    into.add(destinations[low]!);
  }

  #arrange(): Destination[] {
    const weights = new Map<Destination, number>();
    for (const { destination, routingKey } of this.#bindings) {
      if (!weights.has(destination)) weights.set(destination, Number(routingKey));
    }
    let end = 0;
    this.#bucketEnds = [...weights.values()].map(weight => (end += weight));
    this.#destinations = [...weights.keys()];
    return this.#destinations;
  }
}
