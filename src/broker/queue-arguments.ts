import {
  type ArgumentCheck,
  CONSUMER_CHECKS,
  checkType,
  QUEUE_CHECKS,
  READER_CHECKS,
  STREAM_CHECKS,
} from './argument-checks.ts';
import { checkArgument, type Declared } from './argument-equivalence.ts';
import type { BrokerError } from './broker-error.ts';
import { INTEGERS, typeWord } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';
import { described } from './names.ts';
import { MAX_AGE, MAX_BYTES, SEGMENT_BYTES } from './stream-arguments.ts';

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
  MAX_AGE,
  SEGMENT_BYTES,
  'x-initial-cluster-size',
  'x-queue-leader-locator',
  'x-queue-master-locator',
];

/** Those with an effect of their own; of a stream, with what it does anyway: its limits hold to the message, whatever a segment holds. */
const EFFECTIVE: ReadonlySet<string> = new Set([QUEUE_TYPE, MESSAGE_TTL, EXPIRES, SINGLE_ACTIVE]);
const STREAM_EFFECTIVE: ReadonlySet<string> = new Set([QUEUE_TYPE, MAX_AGE, MAX_BYTES, SEGMENT_BYTES]);

/** Those of streams, which other queues cannot have, and the other way round. */
const NOT_OF_OTHERS: ReadonlySet<string> = new Set([MAX_AGE, SEGMENT_BYTES, 'x-initial-cluster-size']);
const NOT_OF_STREAMS: ReadonlySet<string> = new Set(
  [...QUEUE_CHECKS.keys(), DEAD_LETTER_EXCHANGE, 'x-queue-master-locator'].filter(name => !STREAM_CHECKS.has(name)),
);
const NOT_OF_OTHER_CONSUMERS: ReadonlySet<string> = new Set(READER_CHECKS.keys());
const NOT_OF_READERS: ReadonlySet<string> = new Set(CONSUMER_CHECKS.keys());

/**
 * Checks the arguments of a new queue as RabbitMQ does. An `x-` argument that would have no effect is then refused by
 * name, so that nobody relies on a limit that is not kept; other arguments are stored and otherwise ignored.
 */
export function checkQueueArguments(declared: Declared, received: FieldTable): BrokerError | undefined {
  const ofStream = isStream(received);
  return (
    checkDeadLetterExchange(declared, received) ??
    checkQueueType(declared, received) ??
    checkValues(declared, received, ofStream ? STREAM_CHECKS : QUEUE_CHECKS) ??
    checkOfType(declared, received, ofStream ? NOT_OF_STREAMS : NOT_OF_OTHERS, received) ??
    checkEffects(declared, received, ofStream ? STREAM_EFFECTIVE : EFFECTIVE)
  );
}

/** Checks the arguments of a consumer of a queue with these arguments. Those that RabbitMQ does not know are ignored. */
export function checkConsumerArguments(
  declared: Declared,
  received: FieldTable,
  queueArguments: FieldTable,
): BrokerError | undefined {
  if (received.size === 0) return undefined;
  const ofStream = isStream(queueArguments);
  return (
    checkValues(declared, received, ofStream ? READER_CHECKS : CONSUMER_CHECKS) ??
    checkOfType(declared, received, ofStream ? NOT_OF_READERS : NOT_OF_OTHER_CONSUMERS, queueArguments)
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
  return fault === undefined ? undefined : invalid(declared, QUEUE_TYPE, fault);
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

/** Quorum and classic queues are one type here, which takes the arguments of both; a stream has its own. */
function checkOfType(
  declared: Declared,
  received: FieldTable,
  refused: ReadonlySet<string>,
  queueArguments: FieldTable,
): BrokerError | undefined {
  const name = [...received.keys()].find(argument => refused.has(argument));
  if (name === undefined) return undefined;
  const type = `rabbit_${queueType(queueArguments)}_queue`;
  return { code: 'invalid', text: `invalid arg '${name}' for ${words(declared)} of queue type ${type}` };
}

function checkEffects(
  declared: Declared,
  received: FieldTable,
  effective: ReadonlySet<string>,
): BrokerError | undefined {
  for (const name of [...received.keys()].sort()) {
    if (effective.has(name) || !name.startsWith('x-') || asksForNothing(name, received.get(name)!)) continue;
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
  if (!isQueueOfBothTypes(received) || !isQueueOfBothTypes(current)) {
    const difference = checkArgument(declared, QUEUE_TYPE, received, current);
    if (difference) return difference;
  }
  for (const argument of COMPARED) {
    const difference = checkArgument(declared, argument, received, current);
    if (difference) return difference;
  }
  return undefined;
}

/** Quorum and classic are one type here, and so is none: only something else can differ. */
function isQueueOfBothTypes(queueArguments: FieldTable): boolean {
  const type = queueArguments.get(QUEUE_TYPE);
  return type === undefined || (type.type === 'string' && (type.value === 'quorum' || type.value === 'classic'));
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

export const isStream = (queueArguments: FieldTable): boolean => queueType(queueArguments) === 'stream';

function queueType(queueArguments: FieldTable): string {
  const type = queueArguments.get(QUEUE_TYPE);
  return type?.type === 'string' ? type.value : 'classic';
}

const invalid = (declared: Declared, name: string, fault: string): BrokerError => ({
  code: 'invalid',
  text: `invalid arg '${name}' for ${words(declared)}: ${fault}`,
});

const words = ({ kind, vhost, name }: Declared): string => described(kind, vhost, name);
