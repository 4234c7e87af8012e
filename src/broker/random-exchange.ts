import type { Random } from '../lib/random.ts';
import { BindingList } from './binding-list.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import type { BindingRecord } from './topology-records.ts';

/** One binding by chance, whatever the message (RabbitMQ's plugin `rabbitmq_random_exchange`). */
export const randomExchangeType: ExchangeType = {
  name: 'x-random',
  reads: 'more',
  checkExchange: () => undefined,
  checkBinding: () => undefined,
  createBindings: () => new RandomBindings(),
};

class RandomBindings implements ExchangeBindings {
  readonly #bindings = new BindingList();

  add(binding: BindingRecord): void {
    this.#bindings.add(binding);
  }

  remove(binding: BindingRecord): void {
    this.#bindings.remove(binding);
  }

  route(_message: Routable, into: RouteCollector, random: Random): void {
    const count = this.#bindings.length;
    if (count > 0) into.add(this.#bindings.at(random.integer(0, count - 1)).destination);
  }
}
