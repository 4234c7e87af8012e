import type { QueueId } from '../lib/ids.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { QueueCounts } from './queue-counts.ts';
import type { BindingRecord } from './topology-records.ts';

/** Routing key equals binding key (AMQP 0-9-1, 3.1.3.1). */
export const directExchangeType: ExchangeType = {
  name: 'direct',
  reads: 'routing-key',
  checkBinding: () => undefined,
  createBindings: () => new DirectBindings(),
};

class DirectBindings implements ExchangeBindings {
  readonly #queuesByKey = new Map<string, QueueCounts>();

  add(binding: BindingRecord): void {
    let queues = this.#queuesByKey.get(binding.routingKey);
    if (queues === undefined) {
      queues = new QueueCounts();
      this.#queuesByKey.set(binding.routingKey, queues);
    }
    queues.add(binding.queue);
  }

  remove(binding: BindingRecord): void {
    const queues = this.#queuesByKey.get(binding.routingKey);
    if (queues === undefined) return;
    queues.remove(binding.queue);
    if (queues.isEmpty) this.#queuesByKey.delete(binding.routingKey);
  }

  route(routingKey: string, _headers: () => FieldTable | undefined, into: Set<QueueId>): void {
    this.#queuesByKey.get(routingKey)?.addTo(into);
  }
}
