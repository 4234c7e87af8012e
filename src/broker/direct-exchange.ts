import { DestinationCounts } from './destination-counts.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import type { BindingRecord } from './topology-records.ts';

/** Routing key equals binding key (AMQP 0-9-1, 3.1.3.1). */
export const directExchangeType: ExchangeType = {
  name: 'direct',
  reads: 'routing-key',
  checkExchange: () => undefined,
  checkBinding: () => undefined,
  createBindings: () => new DirectBindings(),
};

class DirectBindings implements ExchangeBindings {
  readonly #byKey = new Map<string, DestinationCounts>();

  add(binding: BindingRecord): void {
    let destinations = this.#byKey.get(binding.routingKey);
    if (destinations === undefined) {
      destinations = new DestinationCounts();
      this.#byKey.set(binding.routingKey, destinations);
    }
    destinations.add(binding.destination);
  }

  remove(binding: BindingRecord): void {
    const destinations = this.#byKey.get(binding.routingKey);
    if (destinations === undefined) return;
    destinations.remove(binding.destination);
    if (destinations.isEmpty) this.#byKey.delete(binding.routingKey);
  }

  route(message: Routable, into: RouteCollector): void {
    this.#byKey.get(message.routingKey)?.addTo(into);
    for (const key of message.moreRoutingKeys) this.#byKey.get(key)?.addTo(into);
  }
}
