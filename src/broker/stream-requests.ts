import { READERS_MAX } from '../queue/limits.ts';
import type { Declared } from './argument-equivalence.ts';
import type { BrokerError } from './broker-error.ts';
import type { FieldTable } from './field-table.ts';
import { described } from './names.ts';
import { isStream } from './queue-arguments.ts';
import { SEGMENT_BYTES } from './stream-arguments.ts';
import type { QueueRecord } from './topology-records.ts';

/** What a stream does not do, in RabbitMQ's words. */

const SEGMENT_BYTES_MAX = 3_000_000_000;

export interface QueueProperties {
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** Of a queue that is to be named by the broker: whoever reads a stream has to know its name. */
export function checkServerNamed(queueArguments: FieldTable): BrokerError | undefined {
  if (!isStream(queueArguments)) return undefined;
  return { code: 'invalid', text: 'Cannot declare a server-named queue for type rabbit_stream_queue' };
}

/** A stream outlives its clients. In RabbitMQ's order: the first fault is reported. */
export function checkStreamProperties(declared: Declared, properties: QueueProperties): BrokerError | undefined {
  if (!isStream(properties.arguments)) return undefined;
  const wrong = properties.autoDelete
    ? 'auto-delete'
    : properties.exclusive
      ? 'exclusive-owner'
      : properties.durable
        ? undefined
        : 'non-durable';
  if (wrong !== undefined) {
    const what = described('queue', declared.vhost, declared.name);
    return { code: 'invalid', text: `invalid property '${wrong}' for ${what}` };
  }
  const segment = properties.arguments.get(SEGMENT_BYTES);
  if (segment === undefined || !('value' in segment) || Number(segment.value) <= SEGMENT_BYTES_MAX) return undefined;
  return { code: 'invalid', text: `Exceeded max value for ${SEGMENT_BYTES}` };
}

export interface ReaderLimits {
  readonly autoAck: boolean;
  /** Of the consumer; 0 is unlimited. */
  readonly prefetch: number;
  /** Of the session; 0 is unlimited. */
  readonly sharedPrefetch: number;
}

/** A reader of a stream says itself how far ahead it may get, and what it has read. */
export function checkReader(queue: QueueRecord, limits: ReaderLimits): BrokerError | undefined {
  if (!isStream(queue.arguments)) return undefined;
  const what = wordsOf(queue);
  if (limits.prefetch === 0) {
    return { code: 'invalid', text: `consumer prefetch count is not set for '${what}'` };
  }
  if (limits.sharedPrefetch > 0) return notImplemented(`${what} does not support global qos`);
  return limits.autoAck ? notSupported('automatic acknowledgement', queue) : undefined;
}

/** It may have no further reader. */
export const tooManyReaders = (queue: QueueRecord): BrokerError => ({
  code: 'invalid',
  text: `${wordsOf(queue)} has ${READERS_MAX} consumers, as many as a stream may have`,
});

/** `what`: something that a stream does not know, because its messages stay, whoever has read them. */
export const checkNotStream = (queue: QueueRecord, what: string): BrokerError | undefined =>
  isStream(queue.arguments) ? notSupported(what, queue) : undefined;

const notSupported = (what: string, queue: QueueRecord): BrokerError =>
  notImplemented(`${what} not supported by stream queues ${wordsOf(queue)}`);

const notImplemented = (text: string): BrokerError => ({ code: 'not-implemented', text });

const wordsOf = ({ vhost, name }: QueueRecord): string => described('queue', vhost, name);
