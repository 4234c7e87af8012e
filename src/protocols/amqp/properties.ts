import type { FieldTable, FieldValue } from '../../broker/field-table.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import { readTable, skipTable, writeTable } from './field-table-wire.ts';
import { AmqpReader, AmqpWriter } from './primitives.ts';
import { BASIC_CLASS } from './spec.ts';

/** The properties of the basic class. Absent and empty are different things. */
export interface BasicProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: FieldTable;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  timestamp?: bigint;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

const HAS_CONTENT_TYPE = 0x8000;
const HAS_CONTENT_ENCODING = 0x4000;
const HAS_HEADERS = 0x2000;
const HAS_DELIVERY_MODE = 0x1000;
const HAS_PRIORITY = 0x0800;
const HAS_CORRELATION_ID = 0x0400;
const HAS_REPLY_TO = 0x0200;
const HAS_EXPIRATION = 0x0100;
const HAS_MESSAGE_ID = 0x0080;
const HAS_TIMESTAMP = 0x0040;
const HAS_TYPE = 0x0020;
const HAS_USER_ID = 0x0010;
const HAS_APP_ID = 0x0008;
const HAS_CLUSTER_ID = 0x0004;
/** Bit 1 is unknown to the basic class, bit 0 announces another word of flags, which the class does not need. */
const UNKNOWN_FLAGS = 0x0003;

const reader = new AmqpReader();

/** `bytes` as in a content header: flags, then the values. Undefined when they are malformed. */
export function decodeProperties(bytes: Uint8Array): BasicProperties | undefined {
  reader.reset(bytes, 0, bytes.length);
  const flags = reader.u16();
  const properties: BasicProperties = {};
  if (flags & HAS_CONTENT_TYPE) properties.contentType = reader.shortstr();
  if (flags & HAS_CONTENT_ENCODING) properties.contentEncoding = reader.shortstr();
  if (flags & HAS_HEADERS) properties.headers = readTable(reader);
  if (flags & HAS_DELIVERY_MODE) properties.deliveryMode = reader.u8();
  if (flags & HAS_PRIORITY) properties.priority = reader.u8();
  if (flags & HAS_CORRELATION_ID) properties.correlationId = reader.shortstr();
  if (flags & HAS_REPLY_TO) properties.replyTo = reader.shortstr();
  if (flags & HAS_EXPIRATION) properties.expiration = reader.shortstr();
  if (flags & HAS_MESSAGE_ID) properties.messageId = reader.shortstr();
  if (flags & HAS_TIMESTAMP) properties.timestamp = reader.u64();
  if (flags & HAS_TYPE) properties.type = reader.shortstr();
  if (flags & HAS_USER_ID) properties.userId = reader.shortstr();
  if (flags & HAS_APP_ID) properties.appId = reader.shortstr();
  if (flags & HAS_CLUSTER_ID) properties.clusterId = reader.shortstr();
  const sound = !reader.failed && reader.remaining === 0 && (flags & UNKNOWN_FLAGS) === 0;
  reader.release();
  return sound ? properties : undefined;
}

export function encodeProperties(properties: BasicProperties): Uint8Array {
  const writer = new AmqpWriter();
  writer.u16(flagsOf(properties));
  writeShortstr(writer, properties.contentType);
  writeShortstr(writer, properties.contentEncoding);
  if (properties.headers !== undefined) writeTable(writer, properties.headers);
  if (properties.deliveryMode !== undefined) writer.u8(properties.deliveryMode);
  if (properties.priority !== undefined) writer.u8(properties.priority);
  writeShortstr(writer, properties.correlationId);
  writeShortstr(writer, properties.replyTo);
  writeShortstr(writer, properties.expiration);
  writeShortstr(writer, properties.messageId);
  if (properties.timestamp !== undefined) writer.bits64(properties.timestamp);
  writeShortstr(writer, properties.type);
  writeShortstr(writer, properties.userId);
  writeShortstr(writer, properties.appId);
  writeShortstr(writer, properties.clusterId);
  return writer.finish();
}

const writeShortstr = (writer: AmqpWriter, value: string | undefined): void => {
  if (value !== undefined) writer.shortstr(value);
};

function flagsOf(properties: BasicProperties): number {
  return (
    (properties.contentType === undefined ? 0 : HAS_CONTENT_TYPE) |
    (properties.contentEncoding === undefined ? 0 : HAS_CONTENT_ENCODING) |
    (properties.headers === undefined ? 0 : HAS_HEADERS) |
    (properties.deliveryMode === undefined ? 0 : HAS_DELIVERY_MODE) |
    (properties.priority === undefined ? 0 : HAS_PRIORITY) |
    (properties.correlationId === undefined ? 0 : HAS_CORRELATION_ID) |
    (properties.replyTo === undefined ? 0 : HAS_REPLY_TO) |
    (properties.expiration === undefined ? 0 : HAS_EXPIRATION) |
    (properties.messageId === undefined ? 0 : HAS_MESSAGE_ID) |
    (properties.timestamp === undefined ? 0 : HAS_TIMESTAMP) |
    (properties.type === undefined ? 0 : HAS_TYPE) |
    (properties.userId === undefined ? 0 : HAS_USER_ID) |
    (properties.appId === undefined ? 0 : HAS_APP_ID) |
    (properties.clusterId === undefined ? 0 : HAS_CLUSTER_ID)
  );
}

/**
 * What a published message's properties must satisfy before anybody stores them, found without building them: a sound
 * form, an expiration that is a number of milliseconds, a user id that is the publisher's own (as RabbitMQ checks).
 */
export function checkPublished(bytes: Uint8Array, start: number, end: number, user: string): AmqpError | undefined {
  reader.reset(bytes, start, end);
  const flags = reader.u16();
  if (flags & HAS_CONTENT_TYPE) reader.skip(reader.u8());
  if (flags & HAS_CONTENT_ENCODING) reader.skip(reader.u8());
  if (flags & HAS_HEADERS) skipTable(reader);
  if (flags & HAS_DELIVERY_MODE) reader.skip(1);
  if (flags & HAS_PRIORITY) reader.skip(1);
  if (flags & HAS_CORRELATION_ID) reader.skip(reader.u8());
  if (flags & HAS_REPLY_TO) reader.skip(reader.u8());
  const expiration = flags & HAS_EXPIRATION ? reader.shortstr() : undefined;
  if (flags & HAS_MESSAGE_ID) reader.skip(reader.u8());
  if (flags & HAS_TIMESTAMP) reader.skip(8);
  if (flags & HAS_TYPE) reader.skip(reader.u8());
  const userId = flags & HAS_USER_ID ? reader.shortstr() : undefined;
  if (flags & HAS_APP_ID) reader.skip(reader.u8());
  if (flags & HAS_CLUSTER_ID) reader.skip(reader.u8());
  if (reader.failed || reader.remaining !== 0 || (flags & UNKNOWN_FLAGS) !== 0) {
    return amqpError('syntax-error', `malformed properties of class ${BASIC_CLASS}`);
  }
  if (expiration !== undefined) {
    const error = checkExpiration(expiration);
    if (error !== undefined) return error;
  }
  if (userId === undefined || userId === user) return undefined;
  const text = `user_id property set to '${userId}' but authenticated user was '${user}'`;
  return amqpError('precondition-failed', text);
}

/** RabbitMQ's limit: what an Erlang timer takes. */
const EXPIRATION_MAX_MS = 315_360_000_000;

function checkExpiration(expiration: string): AmqpError | undefined {
  if (!/^[+-]?\d+$/.test(expiration)) {
    const reason = expiration === '' ? 'no_integer' : `{leftover_string,${JSON.stringify(expiration)}}`;
    return amqpError('precondition-failed', `invalid expiration '${expiration}': ${reason}`);
  }
  const ms = Number(expiration);
  if (ms >= 0 && ms <= EXPIRATION_MAX_MS) return undefined;
  const reason = ms < 0 ? `{value_negative,${ms}}` : `{value_too_big,${expiration}}`;
  return amqpError('precondition-failed', `invalid expiration '${expiration}': ${reason}`);
}

/** The headers of sound properties. */
export const decodeHeaders = (bytes: Uint8Array): FieldTable | undefined => decodeProperties(bytes)?.headers;

/** The properties with header `x-delivery-count`, as RabbitMQ's quorum queues deliver a message that failed before. */
export function withDeliveryCount(bytes: Uint8Array, deliveryCount: number): Uint8Array {
  const properties = decodeProperties(bytes);
  if (properties === undefined) return bytes;
  const headers = new Map<string, FieldValue>(properties.headers);
  headers.set('x-delivery-count', { type: 'int64', value: BigInt(deliveryCount) });
  return encodeProperties({ ...properties, headers });
}
