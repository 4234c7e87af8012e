import type { Author } from '../../broker/broker.ts';
import { typeWord } from '../../broker/erlang-term.ts';
import type { FieldTable, FieldValue } from '../../broker/field-table.ts';
import { REPLY_QUEUE } from '../../broker/names.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import { skipHeaders } from './field-table-wire.ts';
import { AmqpReader } from './primitives.ts';
import { type BasicProperties, PropertyFlag, UNKNOWN_FLAGS } from './properties.ts';
import { BASIC_CLASS } from './spec.ts';

/** RabbitMQ's limit: what an Erlang timer takes. */
const EXPIRATION_MAX_MS = 315_360_000_000n;
/** Headers whose texts count as routing keys. BCC is not shown to receivers (RabbitMQ, "Sender-selected Distribution"). */
const COPIES = ['CC', 'BCC'] as const;

const reader = new AmqpReader();

/** What was found in the properties of one message, without building them. */
export class PublishedProperties {
  /** A header CC or BCC is there. */
  hasCopies = false;
  /** Replies are to go to the channel's own pseudo queue. */
  wantsReplies = false;
  /** How long it may wait in a queue. */
  expirationMs: number | undefined = undefined;

  /**
   * What a published message's properties must satisfy before anybody stores them: a sound form, an expiration that is
   * a number of milliseconds, a user id that is the publisher's own (as RabbitMQ checks).
   */
  check(bytes: Uint8Array, start: number, end: number, author: Author): AmqpError | undefined {
    reader.reset(bytes, start, end);
    const flags = reader.u16();
    if (flags & PropertyFlag.contentType) reader.skip(reader.u8());
    if (flags & PropertyFlag.contentEncoding) reader.skip(reader.u8());
    this.hasCopies = (flags & PropertyFlag.headers) !== 0 && skipHeaders(reader, COPIES);
    if (flags & PropertyFlag.deliveryMode) reader.skip(1);
    if (flags & PropertyFlag.priority) reader.skip(1);
    if (flags & PropertyFlag.correlationId) reader.skip(reader.u8());
    this.wantsReplies = (flags & PropertyFlag.replyTo) !== 0 && isReplyQueue();
    const expiration = flags & PropertyFlag.expiration ? reader.shortstr() : undefined;
    if (flags & PropertyFlag.messageId) reader.skip(reader.u8());
    if (flags & PropertyFlag.timestamp) reader.skip(8);
    if (flags & PropertyFlag.type) reader.skip(reader.u8());
    const userId = flags & PropertyFlag.userId ? reader.shortstr() : undefined;
    if (flags & PropertyFlag.appId) reader.skip(reader.u8());
    if (flags & PropertyFlag.clusterId) reader.skip(reader.u8());
    const sound = !reader.failed && reader.remaining === 0 && (flags & UNKNOWN_FLAGS) === 0;
    reader.release();
    if (!sound) return amqpError('syntax-error', `malformed properties of class ${BASIC_CLASS}`);
    if (userId !== undefined && userId !== author.user && !author.mayImpersonate) {
      const text = `user_id property set to '${userId}' but authenticated user was '${author.user}'`;
      return amqpError('precondition-failed', text);
    }
    this.expirationMs = undefined;
    return expiration === undefined ? undefined : this.#readExpiration(expiration);
  }

  /** RabbitMQ reads a number and is not content with what it leaves over. */
  #readExpiration(expiration: string): AmqpError | undefined {
    const [, number, rest] = /^([+-]?\d+)(.*)$/s.exec(expiration) ?? [];
    const fault = number === undefined ? 'no_integer' : rest !== '' ? leftover(rest!) : checkDuration(BigInt(number));
    if (fault !== undefined) return amqpError('precondition-failed', `invalid expiration '${expiration}': ${fault}`);
    this.expirationMs = Number(number);
    return undefined;
  }
}

/** Undefined for properties that a client may publish. */
export const checkPublished = (bytes: Uint8Array, start: number, end: number, author: Author): AmqpError | undefined =>
  new PublishedProperties().check(bytes, start, end, author);

function isReplyQueue(): boolean {
  const length = reader.u8();
  if (length === REPLY_QUEUE.length) return reader.text(length) === REPLY_QUEUE;
  reader.skip(length);
  return false;
}

const leftover = (rest: string): string => `{leftover_string,${JSON.stringify(rest)}}`;

function checkDuration(ms: bigint): string | undefined {
  if (ms < 0n) return `{value_negative,${ms}}`;
  return ms > EXPIRATION_MAX_MS ? `{value_too_large,${ms}}` : undefined;
}

/** The routing keys in CC and BCC. What is no text in their lists is passed over, as in RabbitMQ. */
export function copyKeys(headers: FieldTable | undefined): string[] | AmqpError {
  const keys: string[] = [];
  for (const name of COPIES) {
    const field = headers?.get(name);
    if (field === undefined) continue;
    if (field.type !== 'array') {
      const text = `invalid message: {unacceptable_type_in_header,"${name}",${typeWord(field)}}`;
      return amqpError('precondition-failed', text);
    }
    for (const item of field.value) if (item.type === 'string') keys.push(item.value);
  }
  return keys;
}

export function withoutBlindCopies(properties: BasicProperties): BasicProperties {
  if (!properties.headers?.has('BCC')) return properties;
  const headers = new Map<string, FieldValue>(properties.headers);
  headers.delete('BCC');
  return { ...properties, headers };
}
