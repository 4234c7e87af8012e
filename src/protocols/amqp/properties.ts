import type { FieldTable, FieldValue } from '../../broker/field-table.ts';
import { readTable, writeTable } from './field-table-wire.ts';
import { AmqpReader, AmqpWriter, readU32 } from './primitives.ts';

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

/** Bits of the word in front of the values. */
export const PropertyFlag = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const satisfies Record<keyof BasicProperties, number>;
const PROPERTY_NAMES = Object.keys(PropertyFlag) as (keyof BasicProperties)[];
/** Bit 1 is unknown to the basic class, bit 0 announces another word of flags, which the class does not need. */
export const UNKNOWN_FLAGS = 0x0003;

const reader = new AmqpReader();

/** `bytes` as in a content header: flags, then the values. Undefined when they are malformed. */
export function decodeProperties(bytes: Uint8Array): BasicProperties | undefined {
  reader.reset(bytes, 0, bytes.length);
  const flags = reader.u16();
  const properties: BasicProperties = {};
  if (flags & PropertyFlag.contentType) properties.contentType = reader.shortstr();
  if (flags & PropertyFlag.contentEncoding) properties.contentEncoding = reader.shortstr();
  if (flags & PropertyFlag.headers) properties.headers = readTable(reader);
  if (flags & PropertyFlag.deliveryMode) properties.deliveryMode = reader.u8();
  if (flags & PropertyFlag.priority) properties.priority = reader.u8();
  if (flags & PropertyFlag.correlationId) properties.correlationId = reader.shortstr();
  if (flags & PropertyFlag.replyTo) properties.replyTo = reader.shortstr();
  if (flags & PropertyFlag.expiration) properties.expiration = reader.shortstr();
  if (flags & PropertyFlag.messageId) properties.messageId = reader.shortstr();
  if (flags & PropertyFlag.timestamp) properties.timestamp = reader.u64();
  if (flags & PropertyFlag.type) properties.type = reader.shortstr();
  if (flags & PropertyFlag.userId) properties.userId = reader.shortstr();
  if (flags & PropertyFlag.appId) properties.appId = reader.shortstr();
  if (flags & PropertyFlag.clusterId) properties.clusterId = reader.shortstr();
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
  let flags = 0;
  for (const name of PROPERTY_NAMES) if (properties[name] !== undefined) flags |= PropertyFlag[name];
  return flags;
}

const STREAM_OFFSET = 'x-stream-offset';
/** The header without its value: short string, type tag of a 64-bit integer. */
const STREAM_OFFSET_HEAD = fieldHead(STREAM_OFFSET, 'l');
const STREAM_OFFSET_BYTES = STREAM_OFFSET_HEAD.length + 8;

function fieldHead(name: string, tag: string): Uint8Array {
  const writer = new AmqpWriter();
  writer.shortstr(name);
  writer.u8(tag.charCodeAt(0));
  return writer.finish();
}

/**
 * The properties with header `x-stream-offset`, as RabbitMQ's streams deliver every message: put in front of the others,
 * which are not looked at, unless the publisher has set one of that name. The properties are sound: they were published.
 */
export function withStreamOffset(bytes: Uint8Array, offset: number): Uint8Array {
  const flags = (bytes[0]! << 8) | bytes[1]!;
  let at = 2;
  if (flags & PropertyFlag.contentType) at += 1 + bytes[at]!;
  if (flags & PropertyFlag.contentEncoding) at += 1 + bytes[at]!;
  const hasHeaders = (flags & PropertyFlag.headers) !== 0;
  const headersBytes = hasHeaders ? readU32(bytes, at) : 0;
  const headersStart = hasHeaders ? at + 4 : at;
  if (includes(bytes, headersStart, headersStart + headersBytes, STREAM_OFFSET_HEAD, STREAM_OFFSET.length + 1)) {
    return withHeader(bytes, STREAM_OFFSET, offset);
  }
  const writer = new AmqpWriter();
  writer.reserve(bytes.length + STREAM_OFFSET_BYTES + 4);
  writer.u16(flags | PropertyFlag.headers);
  writer.raw(bytes.subarray(2, at));
  writer.u32(headersBytes + STREAM_OFFSET_BYTES);
  writer.raw(STREAM_OFFSET_HEAD);
  writer.u64(offset);
  writer.raw(bytes.subarray(headersStart));
  return writer.finish();
}

/** Whether the first `count` bytes of `wanted` are somewhere in `bytes[start, end)`. */
function includes(bytes: Uint8Array, start: number, end: number, wanted: Uint8Array, count: number): boolean {
  for (let from = start; from + count <= end; from++) {
    let same = 0;
    while (same < count && bytes[from + same] === wanted[same]) same++;
    if (same === count) return true;
  }
  return false;
}

/** The properties with header `x-delivery-count`, as RabbitMQ's quorum queues deliver a message that failed before. */
export const withDeliveryCount = (bytes: Uint8Array, deliveryCount: number): Uint8Array =>
  withHeader(bytes, 'x-delivery-count', deliveryCount);

function withHeader(bytes: Uint8Array, name: string, value: number): Uint8Array {
  const properties = decodeProperties(bytes);
  if (properties === undefined) return bytes;
  const headers = new Map<string, FieldValue>(properties.headers);
  headers.set(name, { type: 'int64', value: BigInt(value) });
  return encodeProperties({ ...properties, headers });
}
