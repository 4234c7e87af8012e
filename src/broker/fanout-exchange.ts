import { DestinationCounts } from './destination-counts.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import type { BindingRecord } from './topology-records.ts';

/** Everything that is bound, whatever the routing key (AMQP 0-9-1, 3.1.3.2). */
export const fanoutExchangeType: ExchangeType = {
  name: 'fanout',
  reads: 'nothing',
  checkExchange: () => undefined,
  checkBinding: () => undefined,
  createBindings: () => new FanoutBindings(),
};

class FanoutBindings implements ExchangeBindings {
  readonly #destinations = new DestinationCounts();

  add(binding: BindingRecord): void {
    this.#destinations.add(binding.destination);
  }

  remove(binding: BindingRecord): void {
    this.#destinations.remove(binding.destination);
  }

  route(_message: Routable, into: RouteCollector): void {
    this.#destinations.addTo(into);
  }
}
