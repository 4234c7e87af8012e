import type { QueueId } from '../lib/ids.ts';
import { sameFieldValue, typeWord } from './argument-equivalence.ts';
import type { BrokerError } from './broker-error.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import { EMPTY_TABLE, type FieldTable, type FieldValue } from './field-table.ts';
import type { BindingRecord } from './topology-records.ts';

/**
 * Compares the message's headers with the binding's arguments (AMQP 0-9-1, 3.1.3.4), with RabbitMQ's `all-with-x` and
 * `any-with-x`: only these look at arguments that begin with `x-`. A match looks at every binding.
 */
export const headersExchangeType: ExchangeType = {
  name: 'headers',
  reads: 'headers',
  checkBinding: checkMatchArgument,
  createBindings: () => new HeadersBindings(),
};

const MATCH_MODES = ['all', 'any', 'all-with-x', 'any-with-x'];

function checkMatchArgument(bindingArguments: FieldTable): BrokerError | undefined {
  const match = bindingArguments.get('x-match');
  if (match === undefined) return undefined;
  if (match.type !== 'string') {
    return { code: 'invalid', text: `Invalid x-match field type ${typeWord(match)}; expected longstr` };
  }
  if (MATCH_MODES.includes(match.value)) return undefined;
  const expected = 'expected all, any, all-with-x, or any-with-x';
  return { code: 'invalid', text: `Invalid x-match field value <<"${match.value}">>; ${expected}` };
}

interface Pattern {
  readonly queue: QueueId;
  readonly matchesAny: boolean;
  readonly fields: readonly (readonly [string, FieldValue])[];
}

class HeadersBindings implements ExchangeBindings {
  readonly #patterns = new Map<number, Pattern>();

  add(binding: BindingRecord): void {
    const match = binding.arguments.get('x-match');
    const mode = match?.type === 'string' ? match.value : 'all';
    const withX = mode.endsWith('-with-x');
    this.#patterns.set(binding.id, {
      queue: binding.queue,
      matchesAny: mode.startsWith('any'),
      fields: [...binding.arguments].filter(([key]) => key !== 'x-match' && (withX || !key.startsWith('x-'))),
    });
  }

  remove(binding: BindingRecord): void {
    this.#patterns.delete(binding.id);
  }

  route(_routingKey: string, headers: () => FieldTable | undefined, into: Set<QueueId>): void {
    if (this.#patterns.size === 0) return;
    const received = headers() ?? EMPTY_TABLE;
    for (const pattern of this.#patterns.values()) {
      if (!into.has(pattern.queue) && isMatch(pattern, received)) into.add(pattern.queue);
    }
  }
}

function isMatch(pattern: Pattern, headers: FieldTable): boolean {
  for (const [key, wanted] of pattern.fields) {
    const field = headers.get(key);
    // A binding's field without a value asks for presence only.
    const fits = field !== undefined && (wanted.type === 'void' || sameFieldValue(wanted, field));
    if (fits === pattern.matchesAny) return pattern.matchesAny;
  }
  return !pattern.matchesAny;
}
