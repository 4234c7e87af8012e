import { assert } from '../lib/assert.ts';
import type { ByteWriter } from '../lib/bytes.ts';

/**
 * A message as the log holds it, contiguous: u8 length and exchange, u8 length and routing key, u32 length and properties
 * (AMQP-encoded basic properties, opaque here), then the body up to the block's end.
 */
export interface MessageFields {
  /** UTF-8, at most 255 bytes. */
  readonly exchange: Uint8Array;
  /** UTF-8, at most 255 bytes. */
  readonly routingKey: Uint8Array;
  readonly properties: Uint8Array;
  /** The body in the pieces it arrived in. */
  readonly body: readonly Uint8Array[];
  /** How long the message waits in a queue at most. Not part of the block: it goes beside it. */
  readonly ttlMs?: number | undefined;
}

/** A block taken apart: views into it, not copies. */
export interface MessageView {
  readonly exchange: Uint8Array;
  readonly routingKey: Uint8Array;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

const FIXED_BYTES = 6;

/** Length of the block that these fields make. */
export function messageBlockBytes(message: MessageFields): number {
  let bytes = FIXED_BYTES + message.exchange.length + message.routingKey.length + message.properties.length;
  for (const piece of message.body) bytes += piece.length;
  return bytes;
}

export function writeMessageBlock(out: ByteWriter, message: MessageFields): void {
  const { exchange, routingKey, properties, body } = message;
  assert(exchange.length <= 255 && routingKey.length <= 255, 'exchange and routing key are short strings');
  out.u8(exchange.length);
  out.bytes(exchange);
  out.u8(routingKey.length);
  out.bytes(routingKey);
  out.u32(properties.length);
  out.bytes(properties);
  for (let i = 0; i < body.length; i++) out.bytes(body[i]!);
}

/** Whether `bytes[start, end)` is a message block. */
export function isMessageBlock(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  if (at + FIXED_BYTES > end) return false;
  at += 1 + bytes[at]!;
  if (at + 5 > end) return false;
  at += 1 + bytes[at]!;
  if (at + 4 > end) return false;
  return at + 4 + propertiesLength(bytes, at) <= end;
}

/** `block` must be a message block: what the machine refers to always is. */
export function decodeMessageBlock(block: Uint8Array): MessageView {
  assert(isMessageBlock(block, 0, block.length), () => `${block.length} bytes that are no message block`);
  const exchangeEnd = 1 + block[0]!;
  const routingKeyEnd = exchangeEnd + 1 + block[exchangeEnd]!;
  const propertiesStart = routingKeyEnd + 4;
  const propertiesEnd = propertiesStart + propertiesLength(block, routingKeyEnd);
  return {
    exchange: block.subarray(1, exchangeEnd),
    routingKey: block.subarray(exchangeEnd + 1, routingKeyEnd),
    properties: block.subarray(propertiesStart, propertiesEnd),
    body: block.subarray(propertiesEnd),
  };
}

function propertiesLength(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}
