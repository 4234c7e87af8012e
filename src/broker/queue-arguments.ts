import { type ArgumentCheck, CONSUMER_CHECKS, checkType, QUEUE_CHECKS } from './argument-checks.ts';
import { checkArgument, type Declared } from './argument-equivalence.ts';
import type { BrokerError } from './broker-error.ts';
import { INTEGERS, typeWord } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';
import { described } from './names.ts';

const QUEUE_TYPE = 'x-queue-type';
const MESSAGE_TTL = 'x-message-ttl';
const EXPIRES = 'x-expires';
const SINGLE_ACTIVE = 'x-single-active-consumer';
const DEAD_LETTER_EXCHANGE = 'x-dead-letter-exchange';

/** The arguments that RabbitMQ compares when a queue is declared again, in its order: the first difference is reported. */
const COMPARED = [
  EXPIRES,
  MESSAGE_TTL,
  DEAD_LETTER_EXCHANGE,
  'x-dead-letter-routing-key',
  'x-dead-letter-strategy',
  'x-max-length',
  'x-max-length-bytes',
  'x-max-in-memory-length',
  'x-max-in-memory-bytes',
  'x-max-priority',
  'x-overflow',
  'x-queue-mode',
  'x-queue-version',
  SINGLE_ACTIVE,
  'x-delivery-limit',
  'x-quorum-initial-group-size',
  'x-queue-leader-locator',
  'x-queue-master-locator',
];

/** Those with an effect of their own. */
const EFFECTIVE: ReadonlySet<string> = new Set([QUEUE_TYPE, MESSAGE_TTL, EXPIRES, SINGLE_ACTIVE]);

/** Of streams: another queue cannot have them. */
const STREAM_ARGUMENTS = ['x-max-age', 'x-stream-max-segment-size-bytes', 'x-initial-cluster-size'];

/**
 * Checks the arguments of a new queue as RabbitMQ does. An `x-` argument that would have no effect is then refused by
 * name, so that nobody relies on a limit that is not kept; other arguments are stored and otherwise ignored.
 */
export function checkQueueArguments(declared: Declared, received: FieldTable): BrokerError | undefined {
  return (
    checkDeadLetterExchange(declared, received) ??
    checkQueueType(declared, received) ??
    checkValues(declared, received, QUEUE_CHECKS) ??
    checkOfType(declared, received, STREAM_ARGUMENTS, received) ??
    checkEffects(declared, received)
  );
}

/** Checks the arguments of a consumer of a queue with these arguments. Those that RabbitMQ does not know are ignored. */
export function checkConsumerArguments(
  declared: Declared,
  received: FieldTable,
  queueArguments: FieldTable,
): BrokerError | undefined {
  if (received.size === 0) return undefined;
  return (
    checkValues(declared, received, CONSUMER_CHECKS) ??
    checkOfType(declared, received, ['x-stream-offset'], queueArguments)
  );
}

function checkDeadLetterExchange(declared: Declared, received: FieldTable): BrokerError | undefined {
  const exchange = received.get(DEAD_LETTER_EXCHANGE);
  if (exchange === undefined || exchange.type === 'string') return undefined;
  const text = `invalid type '${typeWord(exchange)}' for arg '${DEAD_LETTER_EXCHANGE}' in ${words(declared)}`;
  return { code: 'invalid', text };
}

function checkQueueType(declared: Declared, received: FieldTable): BrokerError | undefined {
  const type = received.get(QUEUE_TYPE);
  if (type === undefined) return undefined;
  const fault = checkType(type, received);
  if (fault !== undefined) return invalid(declared, QUEUE_TYPE, fault);
  if (type.type !== 'string' || type.value !== 'stream') return undefined;
  return { code: 'not-implemented', text: `queue type 'stream' for ${words(declared)} is not supported` };
}

function checkValues(
  declared: Declared,
  received: FieldTable,
  checks: ReadonlyMap<string, ArgumentCheck>,
): BrokerError | undefined {
  for (const [name, check] of checks) {
    const field = received.get(name);
    const fault = field && check(field, received);
    if (fault !== undefined) return invalid(declared, name, fault);
  }
  return undefined;
}

/** Quorum and classic queues are one type here, which takes the arguments of both; those of a stream it does not take. */
function checkOfType(
  declared: Declared,
  received: FieldTable,
  refused: readonly string[],
  queueArguments: FieldTable,
): BrokerError | undefined {
  const name = refused.find(argument => received.has(argument));
  if (name === undefined) return undefined;
  const type = `rabbit_${queueType(queueArguments)}_queue`;
  return { code: 'invalid', text: `invalid arg '${name}' for ${words(declared)} of queue type ${type}` };
}

function checkEffects(declared: Declared, received: FieldTable): BrokerError | undefined {
  for (const name of [...received.keys()].sort()) {
    if (EFFECTIVE.has(name) || !name.startsWith('x-') || asksForNothing(name, received.get(name)!)) continue;
    return { code: 'not-implemented', text: `argument '${name}' for ${words(declared)} is not supported` };
  }
  return undefined;
}

/** What every queue does anyway. */
const asksForNothing = (name: string, field: FieldValue): boolean =>
  name === 'x-queue-mode' && field.type === 'string' && field.value === 'default';

/** Of a queue with these arguments: its consumers take turns, one at a time. */
export function isSingleActive(queueArguments: FieldTable): boolean {
  const field = queueArguments.get(SINGLE_ACTIVE);
  return field?.type === 'boolean' && field.value;
}

/** Of a consumer with these arguments: 0 if it does not ask for one. */
export function consumerPriority(consumerArguments: FieldTable): number {
  const field = consumerArguments.get('x-priority');
  if (field === undefined || !INTEGERS.has(field.type) || !('value' in field)) return 0;
  return Number(field.value);
}

/** A queue is declared again: is it the same queue? */
export function checkQueueArgumentsEquivalent(
  declared: Declared,
  received: FieldTable,
  current: FieldTable,
): BrokerError | undefined {
  for (const argument of COMPARED) {
    const difference = checkArgument(declared, argument, received, current);
    if (difference) return difference;
  }
  // Quorum and classic are one type here, and so is none: only something else can differ.
  const type = received.get(QUEUE_TYPE);
  if (type === undefined || (type.type === 'string' && (type.value === 'quorum' || type.value === 'classic'))) {
    return undefined;
  }
  return checkArgument(declared, QUEUE_TYPE, received, current);
}

/** How long messages wait in a queue with these arguments at most. */
export const messageTtlMs = (queueArguments: FieldTable): number | undefined =>
  milliseconds(queueArguments.get(MESSAGE_TTL));

/** After how long without any use a queue with these arguments goes. */
export const expiresMs = (queueArguments: FieldTable): number | undefined => milliseconds(queueArguments.get(EXPIRES));

/** Of an argument that was checked when the queue was declared. */
const milliseconds = (field: FieldValue | undefined): number | undefined =>
  field !== undefined && 'value' in field ? Number(field.value) : undefined;

/** Declared as one: what queues of either type do is the same, but RabbitMQ's clients are told more by quorum queues. */
export const isQuorumQueue = (queueArguments: FieldTable): boolean => queueType(queueArguments) === 'quorum';

function queueType(queueArguments: FieldTable): string {
  const type = queueArguments.get(QUEUE_TYPE);
  return type?.type === 'string' ? type.value : 'classic';
}

const invalid = (declared: Declared, name: string, fault: string): BrokerError => ({
  code: 'invalid',
  text: `invalid arg '${name}' for ${words(declared)}: ${fault}`,
});

const words = ({ kind, vhost, name }: Declared): string => described(kind, vhost, name);
