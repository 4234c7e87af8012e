import type { Publish } from '../../src/broker/broker.ts';
import { utf8Encode } from '../../src/lib/bytes.ts';

/** A message without properties and headers, to the default exchange if nothing else is said. */
export function plainPublish(
  routingKey: string,
  body: string,
  more: { readonly exchange?: string; readonly expirationMs?: number; readonly sequence: number },
): Publish {
  const bytes = utf8Encode(body);
  return {
    exchange: more.exchange ?? '',
    routingKey,
    properties: Uint8Array.of(0, 0),
    moreRoutingKeys: [],
    headers: () => undefined,
    property: () => undefined,
    body: [bytes],
    bodyBytes: bytes.length,
    expirationMs: more.expirationMs,
    sequence: more.sequence,
  };
}
