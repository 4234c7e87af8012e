import type { BrokerError } from './broker-error.ts';
import { erlangTerm, typeWord } from './erlang-term.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import { EMPTY_TABLE, type FieldTable } from './field-table.ts';
import { HeaderPatterns } from './header-patterns.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import type { BindingRecord } from './topology-records.ts';

/**
 * Compares the message's headers with the binding's arguments (AMQP 0-9-1, 3.1.3.4), with RabbitMQ's `all-with-x` and
 * `any-with-x`: only these look at arguments that begin with `x-`.
 */
export const headersExchangeType: ExchangeType = {
  name: 'headers',
  reads: 'more',
  checkExchange: () => undefined,
  checkBinding: (_routingKey, bindingArguments) => checkMatchArgument(bindingArguments),
  createBindings: () => new HeadersBindings(),
};

const MATCH_MODES = ['all', 'any', 'all-with-x', 'any-with-x'];

function checkMatchArgument(bindingArguments: FieldTable): BrokerError | undefined {
  const match = bindingArguments.get('x-match');
  if (match === undefined) return undefined;
  if (match.type !== 'string') {
    const text = `Invalid x-match field type ${typeWord(match)} (value ${erlangTerm(match)}); expected longstr`;
    return { code: 'invalid', text };
  }
  if (MATCH_MODES.includes(match.value)) return undefined;
  const expected = 'expected all, any, all-with-x, or any-with-x';
  return { code: 'invalid', text: `Invalid x-match field value ${erlangTerm(match)}; ${expected}` };
}

class HeadersBindings implements ExchangeBindings {
  readonly #patterns = new HeaderPatterns();

  add(binding: BindingRecord): void {
    this.#patterns.add(binding);
  }

  remove(binding: BindingRecord): void {
    this.#patterns.remove(binding);
  }

  route(message: Routable, into: RouteCollector): void {
    this.#patterns.match(message.headers() ?? EMPTY_TABLE, into);
  }
}
