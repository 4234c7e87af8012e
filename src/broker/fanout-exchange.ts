import type { QueueId } from '../lib/ids.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { QueueCounts } from './queue-counts.ts';
import type { BindingRecord } from './topology-records.ts';

/** Every bound queue, whatever the routing key (AMQP 0-9-1, 3.1.3.2). */
export const fanoutExchangeType: ExchangeType = {
  name: 'fanout',
  reads: 'nothing',
  checkBinding: () => undefined,
  createBindings: () => new FanoutBindings(),
};

class FanoutBindings implements ExchangeBindings {
  readonly #queues = new QueueCounts();

  add(binding: BindingRecord): void {
    this.#queues.add(binding.queue);
  }

  remove(binding: BindingRecord): void {
    this.#queues.remove(binding.queue);
  }

  route(_routingKey: string, _headers: () => FieldTable | undefined, into: Set<QueueId>): void {
    this.#queues.addTo(into);
  }
}
