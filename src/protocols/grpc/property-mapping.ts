import { create } from '@bufbuild/protobuf';
import type { Author, Result } from '../../broker/broker.ts';
import type { FieldTable } from '../../broker/field-table.ts';
import { checkNameLength } from '../../broker/names.ts';
import type { HashedProperty } from '../../broker/route-collector.ts';
import { type Message, MessageSchema } from '../../gen/warren/v1/message_pb.ts';
import { ByteReader, utf8Decode } from '../../lib/bytes.ts';
import { fromFieldTable, toFieldTable } from './field-mapping.ts';
import type { MessageProperties, PropertyCodec } from './property-codec.ts';

/** Texts that are short strings in AMQP and called the same in both forms. */
const TEXTS = [
  'contentType',
  'contentEncoding',
  'correlationId',
  'replyTo',
  'messageId',
  'type',
  'userId',
  'appId',
  'clusterId',
] as const;
const OCTETS = ['priority', 'deliveryMode'] as const;
const OCTET_MAX = 255;
/** What was published through any protocol has this form (`checkPublished`). */
const IS_MILLISECONDS = /^\+?\d+$/;

export interface PublishedProperties {
  /** AMQP property flags and list: the form that all protocols share. */
  readonly bytes: Uint8Array;
  readonly headers: FieldTable | undefined;
  /** What exchanges may hash by. */
  readonly hashed: Readonly<Partial<Record<HashedProperty, string>>>;
}

/** Messages of this API to and from the form that all protocols share. */
export class PropertyMapping {
  readonly #codec: PropertyCodec;
  readonly #none: PublishedProperties;

  constructor(codec: PropertyCodec) {
    this.#codec = codec;
    this.#none = { bytes: codec.encode({}), headers: undefined, hashed: {} };
  }

  /** The properties of a message that the author publishes, if they are such as AMQP clients may publish too. */
  toProperties(message: Message, author: Author): Result<PublishedProperties> {
    const named =
      checkNameLength('exchange name', message.exchange) ?? checkNameLength('routing key', message.routingKey);
    if (named !== undefined) return { ok: false, error: named };
    const properties: MessageProperties = {};
    for (const name of TEXTS) {
      const text = message[name];
      if (text === undefined) continue;
      const error = checkNameLength(name, text);
      if (error !== undefined) return { ok: false, error };
      properties[name] = text;
    }
    for (const name of OCTETS) {
      const octet = message[name];
      if (octet === undefined) continue;
      if (octet > OCTET_MAX) return invalid(`${name} is ${octet}; at most ${OCTET_MAX}`);
      properties[name] = octet;
    }
    if (!isEmpty(message.headers)) {
      const headers = toFieldTable(message.headers);
      if (!headers.ok) return headers;
      properties.headers = headers.value;
    }
    const { expirationMs, timestampSeconds } = message;
    if (expirationMs !== undefined) properties.expiration = String(expirationMs);
    if (timestampSeconds !== undefined) properties.timestamp = timestampSeconds;
    if (isEmpty(properties)) return { ok: true, value: this.#none };
    const bytes = this.#codec.encode(properties);
    const fault = this.#codec.findFault(bytes, author);
    if (fault !== undefined) return invalid(fault);
    return { ok: true, value: { bytes, headers: properties.headers, hashed: hashedOf(properties) } };
  }

  /**
   * A delivered message. `content` is a message block (u8 length and exchange, u8 length and routing key, u32 length and
   * properties, body), `more` the rest of a large body. Body and byte values are views of them.
   */
  toMessage(content: Uint8Array, more: readonly Uint8Array[]): Message {
    const reader = new ByteReader(content);
    const message = create(MessageSchema);
    message.exchange = utf8Decode(reader.bytes(reader.u8()));
    message.routingKey = utf8Decode(reader.bytes(reader.u8()));
    const properties = this.#codec.decode(reader.block());
    message.body = joined(reader.bytes(reader.remaining), more);
    if (properties === undefined) return message;
    for (const name of TEXTS) {
      const text = properties[name];
      if (text !== undefined) message[name] = text;
    }
    for (const name of OCTETS) {
      const octet = properties[name];
      if (octet !== undefined) message[name] = octet;
    }
    if (properties.headers !== undefined) message.headers = fromFieldTable(properties.headers);
    const { expiration } = properties;
    if (expiration !== undefined && IS_MILLISECONDS.test(expiration)) message.expirationMs = BigInt(expiration);
    if (properties.timestamp !== undefined) message.timestampSeconds = properties.timestamp;
    return message;
  }
}

function joined(first: Uint8Array, more: readonly Uint8Array[]): Uint8Array {
  if (more.length === 0) return first;
  const whole = new Uint8Array(more.reduce((bytes, part) => bytes + part.length, first.length));
  whole.set(first);
  let at = first.length;
  for (const part of more) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const isEmpty = (fields: object): boolean => {
  for (const _ in fields) return false;
  return true;
};

const invalid = (text: string): Result<never> => ({ ok: false, error: { code: 'invalid', text } });

function hashedOf({ correlationId, messageId, timestamp }: MessageProperties): PublishedProperties['hashed'] {
  const hashed: Partial<Record<HashedProperty, string>> = {};
  if (correlationId !== undefined) hashed.correlation_id = correlationId;
  if (messageId !== undefined) hashed.message_id = messageId;
  if (timestamp !== undefined) hashed.timestamp = String(timestamp);
  return hashed;
}
