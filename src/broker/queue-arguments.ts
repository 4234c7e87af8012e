import { checkArgument, type Declared, inequivalent, typeWord } from './argument-equivalence.ts';
import type { BrokerError } from './broker-error.ts';
import type { FieldTable } from './field-table.ts';
import { described } from './names.ts';

const QUEUE_TYPE = 'x-queue-type';

/** The arguments that RabbitMQ compares when a queue is declared again, in its order: the first difference is reported. */
const COMPARED = [
  'x-expires',
  'x-message-ttl',
  'x-dead-letter-exchange',
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
  'x-single-active-consumer',
  'x-delivery-limit',
  'x-quorum-initial-group-size',
  'x-queue-leader-locator',
];

/**
 * Checks the arguments of a new queue. An `x-` argument that would have no effect is refused by name, so that nobody
 * relies on a limit that is not kept; other arguments are stored and otherwise ignored, as RabbitMQ does.
 */
export function checkQueueArguments(declared: Declared, received: FieldTable): BrokerError | undefined {
  const invalidType = checkQueueType(declared, received);
  if (invalidType) return invalidType;
  for (const key of [...received.keys()].sort()) {
    if (key === QUEUE_TYPE || !key.startsWith('x-')) continue;
    return { code: 'not-implemented', text: `argument '${key}' for ${words(declared)} is not supported` };
  }
  return undefined;
}

function checkQueueType(declared: Declared, received: FieldTable): BrokerError | undefined {
  const type = received.get(QUEUE_TYPE);
  if (type === undefined) return undefined;
  const invalid = `invalid arg '${QUEUE_TYPE}' for ${words(declared)}`;
  if (type.type !== 'string') return { code: 'invalid', text: `${invalid}: {unacceptable_type,${typeWord(type)}}` };
  if (type.value === 'quorum' || type.value === 'classic') return undefined;
  if (type.value === 'stream') {
    return { code: 'not-implemented', text: `queue type 'stream' for ${words(declared)} is not supported` };
  }
  return { code: 'invalid', text: `${invalid}: "unsupported queue type '${type.value}'"` };
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
  const existing = current.get(QUEUE_TYPE);
  const existingWords = existing?.type === 'string' ? existing.value : 'classic';
  const receivedWords = type.type === 'string' ? type.value : typeWord(type);
  return inequivalent(declared, QUEUE_TYPE, `'${receivedWords}'`, `'${existingWords}'`);
}

const words = ({ kind, vhost, name }: Declared): string => described(kind, vhost, name);
