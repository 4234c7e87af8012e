import type { QueueId } from '../lib/ids.ts';
import type { BrokerError } from './broker-error.ts';
import { directExchangeType } from './direct-exchange.ts';
import { fanoutExchangeType } from './fanout-exchange.ts';
import type { FieldTable } from './field-table.ts';
import { headersExchangeType } from './headers-exchange.ts';
import { topicExchangeType } from './topic-exchange.ts';
import type { BindingRecord } from './topology-records.ts';

/** The bindings of one exchange, arranged so that its type can route quickly. */
export interface ExchangeBindings {
  add(binding: BindingRecord): void;
  remove(binding: BindingRecord): void;
  /** Adds the queues that a message goes to. */
  route(routingKey: string, headers: () => FieldTable | undefined, into: Set<QueueId>): void;
}

export interface ExchangeType {
  readonly name: string;
  /** What of a message decides where it goes, besides the bindings. */
  readonly reads: 'nothing' | 'routing-key' | 'headers';
  checkBinding(bindingArguments: FieldTable): BrokerError | undefined;
  createBindings(): ExchangeBindings;
}

const EXCHANGE_TYPES: ReadonlyMap<string, ExchangeType> = new Map(
  [directExchangeType, fanoutExchangeType, topicExchangeType, headersExchangeType].map(type => [type.name, type]),
);

/** Undefined for a type that does not exist: AMQP closes the connection for it (503, `unknown exchange type`). */
export const exchangeType = (name: string): ExchangeType | undefined => EXCHANGE_TYPES.get(name);
