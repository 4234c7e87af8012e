import { checkArgument, checkProperty, type Declared } from './argument-equivalence.ts';
import type { ExchangeDeclare, QueueDeclare } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import { typeWord } from './erlang-term.ts';
import type { FieldTable } from './field-table.ts';
import { checkNameLength, described } from './names.ts';
import { checkQueueArguments, checkQueueArgumentsEquivalent } from './queue-arguments.ts';
import { checkStreamProperties, type QueueProperties } from './stream-requests.ts';
import type { ConnectionOwner, ExchangeRecord, QueueRecord } from './topology-records.ts';

export interface DeclareExchange extends Omit<ExchangeDeclare, 'passive'> {
  readonly vhost: string;
}

export interface DeclareQueue extends Omit<QueueDeclare, 'passive'> {
  readonly vhost: string;
  /** The name was made by the broker: it may begin with `amq.`. */
  readonly serverNamed: boolean;
  readonly owner: ConnectionOwner;
}

/** What messages are to reach by a binding. */
export interface NamedDestination {
  readonly kind: 'exchange' | 'queue';
  readonly name: string;
}

export interface BindRequest {
  readonly vhost: string;
  /** The exchange that the binding belongs to. */
  readonly source: string;
  readonly destination: NamedDestination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
  readonly owner: ConnectionOwner;
}

const ALTERNATE_EXCHANGE = 'alternate-exchange';

/** An exclusive queue serves only the connection that declared it. */
export function checkAccess(queue: QueueRecord, owner: ConnectionOwner): BrokerError | undefined {
  if (queue.exclusiveOwner === undefined || isSameOwner(queue.exclusiveOwner, owner)) return undefined;
  return { code: 'locked', vhost: queue.vhost, name: queue.name };
}

/** Declaring again asks for more: a queue that is not exclusive cannot become so (RabbitMQ's strict check). */
function checkExclusiveDeclare(
  queue: QueueRecord,
  exclusive: boolean,
  owner: ConnectionOwner,
): BrokerError | undefined {
  if (exclusive === (queue.exclusiveOwner !== undefined)) return checkAccess(queue, owner);
  return { code: 'locked', vhost: queue.vhost, name: queue.name };
}

const isSameOwner = (a: ConnectionOwner, b: ConnectionOwner): boolean =>
  a.connection === b.connection && a.incarnation === b.incarnation && a.node === b.node;

/** An exchange is declared again: is it the same exchange? Of the arguments only `alternate-exchange` counts. */
export function checkExchangeEquivalent(
  declared: Declared,
  request: DeclareExchange,
  current: ExchangeRecord,
): BrokerError | undefined {
  return (
    checkProperty(declared, 'type', request.type, current.type) ??
    checkProperty(declared, 'durable', request.durable, current.durable) ??
    checkProperty(declared, 'auto_delete', request.autoDelete, current.autoDelete) ??
    checkProperty(declared, 'internal', request.internal, current.internal) ??
    checkArgument(declared, ALTERNATE_EXCHANGE, request.arguments, current.arguments)
  );
}

export function checkAlternateExchange(declared: Declared, exchangeArguments: FieldTable): BrokerError | undefined {
  const alternate = exchangeArguments.get(ALTERNATE_EXCHANGE);
  if (alternate === undefined || alternate.type === 'string') return undefined;
  const what = described('exchange', declared.vhost, declared.name);
  return { code: 'invalid', text: `invalid type '${typeWord(alternate)}' for arg '${ALTERNATE_EXCHANGE}' in ${what}` };
}

export function checkNewQueue(declared: Declared, request: QueueProperties): BrokerError | undefined {
  return (
    checkNameLength('queue name', declared.name) ??
    checkQueueArguments(declared, request.arguments) ??
    checkStreamProperties(declared, request)
  );
}

/** A queue is declared again: is it the same queue? */
export function checkQueueEquivalent(
  declared: Declared,
  request: DeclareQueue,
  current: QueueRecord,
): BrokerError | undefined {
  return (
    checkExclusiveDeclare(current, request.exclusive, request.owner) ??
    checkProperty(declared, 'durable', isDurable(request), current.durable) ??
    checkProperty(declared, 'auto_delete', request.autoDelete, current.autoDelete) ??
    checkQueueArgumentsEquivalent(declared, request.arguments, current.arguments)
  );
}

/** An exclusive queue ends with its connection, so RabbitMQ takes it as not durable. */
export const isDurable = (request: DeclareQueue): boolean => request.durable && !request.exclusive;

/** The exchange that gets what this one cannot route. */
export function alternateExchange(record: ExchangeRecord): string | undefined {
  const alternate = record.arguments.get(ALTERNATE_EXCHANGE);
  return alternate?.type === 'string' ? alternate.value : undefined;
}
