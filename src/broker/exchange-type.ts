import type { Random } from '../lib/random.ts';
import type { BrokerError } from './broker-error.ts';
import { consistentHashExchangeType } from './consistent-hash-exchange.ts';
import { directExchangeType } from './direct-exchange.ts';
import { fanoutExchangeType } from './fanout-exchange.ts';
import type { FieldTable } from './field-table.ts';
import { headersExchangeType } from './headers-exchange.ts';
import { modulusHashExchangeType } from './modulus-hash-exchange.ts';
import { randomExchangeType } from './random-exchange.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import { topicExchangeType } from './topic-exchange.ts';
import type { BindingRecord } from './topology-records.ts';

/** The bindings of one exchange, arranged so that its type can route quickly. */
export interface ExchangeBindings {
  add(binding: BindingRecord): void;
  remove(binding: BindingRecord): void;
  route(message: Routable, into: RouteCollector, random: Random): void;
}

export interface ExchangeType {
  readonly name: string;
  /** What of a message decides where it goes, besides the bindings. A route by `more` than the routing key is never remembered. */
  readonly reads: 'nothing' | 'routing-key' | 'more';
  /** The arguments of a new exchange. */
  checkExchange(exchangeArguments: FieldTable): BrokerError | undefined;
  checkBinding(routingKey: string, bindingArguments: FieldTable): BrokerError | undefined;
  createBindings(exchangeArguments: FieldTable): ExchangeBindings;
}

const EXCHANGE_TYPES: ReadonlyMap<string, ExchangeType> = new Map(
  [
    directExchangeType,
    fanoutExchangeType,
    topicExchangeType,
    headersExchangeType,
    consistentHashExchangeType,
    modulusHashExchangeType,
    randomExchangeType,
  ].map(type => [type.name, type]),
);

/** Undefined for a type that does not exist. */
export const exchangeType = (name: string): ExchangeType | undefined => EXCHANGE_TYPES.get(name);
