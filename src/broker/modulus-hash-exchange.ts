import { BindingList } from './binding-list.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import { hashOf } from './routing-hash.ts';
import type { BindingRecord } from './topology-records.ts';

/** One binding by the hash of the routing key modulo their number (RabbitMQ's plugin `rabbitmq_sharding`). */
export const modulusHashExchangeType: ExchangeType = {
  name: 'x-modulus-hash',
  // Keys are many and hashing them is quick: nothing is gained by remembering.
  reads: 'more',
  checkExchange: () => undefined,
  checkBinding: () => undefined,
  createBindings: () => new ModulusHashBindings(),
};

class ModulusHashBindings implements ExchangeBindings {
  readonly #bindings = new BindingList();

  add(binding: BindingRecord): void {
    this.#bindings.add(binding);
  }

  remove(binding: BindingRecord): void {
    this.#bindings.remove(binding);
  }

  route(message: Routable, into: RouteCollector): void {
    const count = this.#bindings.length;
    if (count > 0) into.add(this.#bindings.at(hashOf(message.routingKey) % count).destination);
  }
}
