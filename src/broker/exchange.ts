import { assert } from '../lib/assert.ts';
import type { Random } from '../lib/random.ts';
import { alternateExchange } from './declarations.ts';
import { type ExchangeBindings, type ExchangeType, exchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { tableKey } from './field-table-codec.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import type { BindingRecord, Destination, ExchangeRecord, QueueRecord } from './topology-records.ts';
import { destinationExchange } from './topology-records.ts';

/** An exchange with its bindings. Only `TopologyBindings` and `ExchangeDirectory` change it. */
export class Exchange {
  readonly record: ExchangeRecord;
  readonly type: ExchangeType;
  /** The name of the exchange that gets what this one cannot route. */
  readonly alternate: string | undefined;
  /** Bindings of exchanges that lead here. */
  readonly incoming = new Set<BindingRecord>();
  /** The router's memory of where routing keys lead. Thrown away with every change of what they lead through. */
  routes: Map<string, readonly QueueRecord[]> | undefined = undefined;
  /** A remembered route leads through this exchange. */
  isRemembered = false;
  readonly #byKey = new Map<string, BindingRecord>();
  readonly #bindings: ExchangeBindings;
  /** Bindings that lead to exchanges. */
  #linkCount = 0;

  constructor(record: ExchangeRecord) {
    const type = exchangeType(record.type);
    assert(type !== undefined, () => `exchange ${record.name} of unknown type ${record.type}`);
    this.record = record;
    this.type = type;
    this.alternate = alternateExchange(record);
    this.#bindings = type.createBindings(record.arguments);
  }

  get bindingCount(): number {
    return this.#byKey.size;
  }

  /** Whether messages with different routing keys may go different ways from here. */
  get readsRoutingKey(): boolean {
    return this.type.reads !== 'nothing' || this.#linkCount > 0 || this.alternate !== undefined;
  }

  /** Oldest first. */
  bindings(): IterableIterator<BindingRecord> {
    return this.#byKey.values();
  }

  binding(destination: Destination, routingKey: string, bindingArguments: FieldTable): BindingRecord | undefined {
    return this.#byKey.get(bindingKeyOf(destination, routingKey, bindingArguments));
  }

  add(binding: BindingRecord): void {
    this.#byKey.set(bindingKeyOf(binding.destination, binding.routingKey, binding.arguments), binding);
    this.#bindings.add(binding);
    if (destinationExchange(binding.destination) !== undefined) this.#linkCount++;
  }

  remove(binding: BindingRecord): void {
    this.#byKey.delete(bindingKeyOf(binding.destination, binding.routingKey, binding.arguments));
    this.#bindings.remove(binding);
    if (destinationExchange(binding.destination) !== undefined) this.#linkCount--;
  }

  route(message: Routable, into: RouteCollector, random: Random): void {
    this.#bindings.route(message, into, random);
  }
}

/** A binding is the same binding when destination, key and arguments are equal. Arguments stand last, because they may hold any character. */
const bindingKeyOf = (destination: Destination, routingKey: string, bindingArguments: FieldTable): string =>
  `${destination} ${routingKey.length} ${routingKey}${tableKey(bindingArguments)}`;
