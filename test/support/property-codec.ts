import { decodeProperties, encodeProperties } from '../../src/protocols/amqp/properties.ts';
import { checkPublished } from '../../src/protocols/amqp/published-properties.ts';
import type { PropertyCodec } from '../../src/protocols/grpc/property-codec.ts';

/** The codec that a node hands to its gRPC server. */
export const propertyCodec: PropertyCodec = {
  encode: encodeProperties,
  decode: decodeProperties,
  findFault: (bytes, author) => checkPublished(bytes, 0, bytes.length, author)?.text,
};
