import { INTEGERS, typeWord } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';
import { checkOffset, intervalMs, MAX_AGE, MAX_BYTES, SEGMENT_BYTES, STREAM_OFFSET } from './stream-arguments.ts';

/** What is wrong with an argument's value, as RabbitMQ prints it; `all` are the arguments that it came with. */
export type ArgumentCheck = (field: FieldValue, all: FieldTable) => string | undefined;

/** RabbitMQ's limit: what an Erlang timer takes. */
const DURATION_MAX_MS = 315_360_000_000n;
const PRIORITY_MAX = 255n;

/** Of an integer, whatever its width; `wrong` sees its value. */
const integer =
  (wrong: (value: bigint) => string | undefined): ArgumentCheck =>
  field => {
    if (!INTEGERS.has(field.type)) return `"expected integer, got ${typeWord(field)}"`;
    const value = 'value' in field ? field.value : 0;
    return wrong(BigInt(value as number | bigint));
  };

const boolean: ArgumentCheck = field =>
  field.type === 'boolean' ? undefined : `{unacceptable_type,${typeWord(field)}}`;

const string =
  (wrong: (value: string, all: FieldTable) => string | undefined): ArgumentCheck =>
  (field, all) =>
    field.type === 'string' ? wrong(field.value, all) : `{unacceptable_type,${typeWord(field)}}`;

const oneOf = (values: readonly string[], fault: string): ArgumentCheck =>
  string(value => (values.includes(value) ? undefined : fault));

const negative = (value: bigint): string | undefined => (value < 0n ? `{value_negative,${value}}` : undefined);
const duration = (value: bigint): string | undefined =>
  negative(value) ?? (value > DURATION_MAX_MS ? `{value_too_large,${value}}` : undefined);
const zero = (value: bigint): string | undefined => (value === 0n ? '{value_zero,0}' : undefined);

const count = integer(negative);
const size = integer(value => negative(value) ?? zero(value));

export const checkType: ArgumentCheck = string(value =>
  ['classic', 'quorum', 'stream'].includes(value) ? undefined : `"unsupported queue type '${value}'"`,
);

const leaderLocator = oneOf(['client-local', 'balanced', 'random', 'least-leaders'], 'invalid_queue_locator_arg');

/** In RabbitMQ's order: the first fault is reported (rabbit_amqqueue:declare_args). */
export const QUEUE_CHECKS: ReadonlyMap<string, ArgumentCheck> = new Map([
  ['x-expires', integer(value => zero(value) ?? duration(value))],
  ['x-message-ttl', integer(duration)],
  [
    'x-dead-letter-routing-key',
    string((_, all) => (all.has('x-dead-letter-exchange') ? undefined : 'routing_key_but_no_dlx_defined')),
  ],
  ['x-dead-letter-strategy', oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy')],
  ['x-max-length', count],
  ['x-max-length-bytes', count],
  ['x-max-in-memory-length', count],
  ['x-max-in-memory-bytes', count],
  [
    'x-max-priority',
    integer(value => negative(value) ?? (value > PRIORITY_MAX ? `{max_value_exceeded,${value}}` : undefined)),
  ],
  ['x-overflow', oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow')],
  [
    'x-queue-mode',
    string(value => (['default', 'lazy'].includes(value) ? undefined : `"unsupported queue mode '${value}'"`)),
  ],
  [
    'x-queue-version',
    integer(
      value => negative(value) ?? (value === 1n || value === 2n ? undefined : `"unsupported queue version '${value}'"`),
    ),
  ],
  ['x-single-active-consumer', boolean],
  ['x-delivery-limit', integer(() => undefined)],
  ['x-quorum-initial-group-size', size],
  ['x-queue-leader-locator', leaderLocator],
]);

/** Of a stream, in the same order. It takes no others that RabbitMQ knows. */
export const STREAM_CHECKS: ReadonlyMap<string, ArgumentCheck> = new Map([
  [MAX_BYTES, count],
  [MAX_AGE, string(value => (intervalMs(value) === undefined ? 'invalid_max_age' : undefined))],
  [SEGMENT_BYTES, count],
  ['x-initial-cluster-size', size],
  ['x-queue-leader-locator', leaderLocator],
]);

/** rabbit_amqqueue:consume_args. */
export const CONSUMER_CHECKS: ReadonlyMap<string, ArgumentCheck> = new Map([
  ['x-priority', integer(() => undefined)],
  ['x-cancel-on-ha-failover', boolean],
]);

/** Of a reader of a stream. */
export const READER_CHECKS: ReadonlyMap<string, ArgumentCheck> = new Map([[STREAM_OFFSET, checkOffset]]);
