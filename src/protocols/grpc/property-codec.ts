import type { Author } from '../../broker/broker.ts';
import type { FieldTable } from '../../broker/field-table.ts';

/** The properties of a message under AMQP's names. Absent and empty are different things. */
export interface MessageProperties {
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

/** AMQP's property flags and property list, which messages of every protocol carry (`Publish.properties`). */
export interface PropertyCodec {
  /** Short strings are at most 255 bytes long, octets at most 255. */
  encode(properties: MessageProperties): Uint8Array;
  /** Undefined: malformed. */
  decode(bytes: Uint8Array): MessageProperties | undefined;
  /** Why the author must not publish these encoded properties, as a sentence; undefined if nothing speaks against it. */
  findFault(bytes: Uint8Array, author: Author): string | undefined;
}
