import { assert } from '../lib/assert.ts';
import type { QueueId } from '../lib/ids.ts';
import { type ExchangeBindings, type ExchangeType, exchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { tableKey } from './field-table-codec.ts';
import type { BindingRecord, ExchangeRecord, QueueRecord } from './topology-records.ts';

/** An exchange with its bindings. Only `Topology` changes it. */
export class Exchange {
  readonly record: ExchangeRecord;
  readonly type: ExchangeType;
  /** The router's memory of where routing keys lead. Thrown away with every change of the bindings. */
  routes: Map<string, readonly QueueRecord[]> | undefined = undefined;
  readonly #byKey = new Map<string, BindingRecord>();
  readonly #bindings: ExchangeBindings;

  constructor(record: ExchangeRecord) {
    const type = exchangeType(record.type);
    assert(type !== undefined, () => `exchange ${record.name} of unknown type ${record.type}`);
    this.record = record;
    this.type = type;
    this.#bindings = type.createBindings();
  }

  get bindingCount(): number {
    return this.#byKey.size;
  }

  /** Oldest first. */
  bindings(): IterableIterator<BindingRecord> {
    return this.#byKey.values();
  }

  binding(queue: QueueId, routingKey: string, bindingArguments: FieldTable): BindingRecord | undefined {
    return this.#byKey.get(bindingKeyOf(queue, routingKey, bindingArguments));
  }

  add(binding: BindingRecord): void {
    this.#byKey.set(bindingKeyOf(binding.queue, binding.routingKey, binding.arguments), binding);
    this.#bindings.add(binding);
    this.routes = undefined;
  }

  remove(binding: BindingRecord): void {
    this.#byKey.delete(bindingKeyOf(binding.queue, binding.routingKey, binding.arguments));
    this.#bindings.remove(binding);
    this.routes = undefined;
  }

  route(routingKey: string, headers: () => FieldTable | undefined, into: Set<QueueId>): void {
    this.#bindings.route(routingKey, headers, into);
  }
}

/** A binding is the same binding when queue, key and arguments are equal. Arguments stand last, because they may hold any character. */
const bindingKeyOf = (queue: QueueId, routingKey: string, bindingArguments: FieldTable): string =>
  `${queue} ${routingKey.length} ${routingKey}${tableKey(bindingArguments)}`;
