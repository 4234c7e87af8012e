import type { Result } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import type { BindRequest } from './declarations.ts';
import type { Exchange } from './exchange.ts';
import type { ExchangeDirectory } from './exchange-directory.ts';
import { DEFAULT_EXCHANGE, withoutLineBreaks } from './names.ts';
import type { QueueDirectory } from './queue-directory.ts';
import { type Destination, exchangeDestination, type QueueRecord, queueDestination } from './topology-records.ts';

/** What a binding joins. */
export interface BindingEnds {
  readonly source: Exchange;
  readonly destination: Destination;
  /** Undefined when the destination is an exchange. */
  readonly queue: QueueRecord | undefined;
}

export const DEFAULT_EXCHANGE_REFUSAL: BrokerError = {
  code: 'access-refused',
  text: 'operation not permitted on the default exchange',
};

export function findExchange(exchanges: ExchangeDirectory, vhost: string, name: string): Result<Exchange> {
  if (!exchanges.hasVhost(vhost)) return refused({ code: 'no-vhost', vhost });
  const exchange = exchanges.named(vhost, name);
  return exchange === undefined ? refused({ code: 'no-exchange', vhost, name }) : { ok: true, value: exchange };
}

/** Of a missing source and a missing destination, the source is named. */
export function findBindingEnds(
  exchanges: ExchangeDirectory,
  queues: QueueDirectory,
  request: Pick<BindRequest, 'vhost' | 'source' | 'destination'>,
): Result<BindingEnds> {
  const { vhost } = request;
  const sourceName = withoutLineBreaks(request.source);
  const { kind } = request.destination;
  const name = withoutLineBreaks(request.destination.name);
  if (sourceName === DEFAULT_EXCHANGE || (kind === 'exchange' && name === DEFAULT_EXCHANGE)) {
    return refused(DEFAULT_EXCHANGE_REFUSAL);
  }
  const source = findExchange(exchanges, vhost, sourceName);
  if (!source.ok) return source;
  if (kind === 'queue') {
    const queue = queues.named(vhost, name)?.record;
    if (queue === undefined) return refused({ code: 'no-queue', vhost, name });
    return { ok: true, value: { source: source.value, destination: queueDestination(queue.id), queue } };
  }
  const exchange = findExchange(exchanges, vhost, name);
  if (!exchange.ok) return exchange;
  const destination = exchangeDestination(exchange.value.record.id);
  return { ok: true, value: { source: source.value, destination, queue: undefined } };
}

const refused = (error: BrokerError): { readonly ok: false; readonly error: BrokerError } => ({ ok: false, error });
