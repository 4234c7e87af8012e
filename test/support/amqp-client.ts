import { isAmqpError } from '../../src/protocols/amqp/amqp-error.ts';
import { FrameParser } from '../../src/protocols/amqp/frame-parser.ts';
import { FrameWriter } from '../../src/protocols/amqp/frame-writer.ts';
import { decodeMethod, type Method } from '../../src/protocols/amqp/methods.ts';
import { OutputPool } from '../../src/protocols/amqp/output-pool.ts';
import { readU64 } from '../../src/protocols/amqp/primitives.ts';
import { FRAME_BODY, FRAME_HEADER, FRAME_METHOD, PROTOCOL_HEADER } from '../../src/protocols/amqp/spec.ts';

const FRAME_BYTES_MAX = 131_072;

/** What a writer holds, as one piece. */
export function takeBytes(writer: FrameWriter): Uint8Array {
  return joined(...writer.take().map(({ bytes, length }) => bytes.subarray(0, length)));
}

export const newWriter = (frameBytesMax = FRAME_BYTES_MAX): FrameWriter =>
  new FrameWriter(frameBytesMax, new OutputPool(), () => {});

export function methodBytes(channel: number, method: Method): Uint8Array {
  const writer = newWriter();
  writer.method(channel, method);
  return takeBytes(writer);
}

export function contentBytes(channel: number, method: Method, properties: Uint8Array, body: Uint8Array): Uint8Array {
  const writer = newWriter();
  writer.content(channel, method, properties, [body], body.length);
  return takeBytes(writer);
}

/** A frame of any kind, also an illegal one. */
export function frameBytes(type: number, channel: number, payload: Uint8Array | readonly number[]): Uint8Array {
  const size = payload.length;
  const head = [type, channel >> 8, channel & 255, size >>> 24, (size >>> 16) & 255, (size >>> 8) & 255, size & 255];
  return new Uint8Array([...head, ...payload, 0xce]);
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** What a client reads: a method, with its content when it has one; heartbeats and the protocol header by name. */
export interface Received {
  readonly channel: number;
  readonly method: Method | 'heartbeat' | 'protocol-header';
  readonly properties?: Uint8Array;
  readonly body?: Uint8Array;
}

/** Decodes everything that a server wrote. Throws where the server broke the protocol. */
export function readAll(bytes: Uint8Array, frameBytesMax = FRAME_BYTES_MAX): Received[] {
  if (PROTOCOL_HEADER.every((byte, i) => bytes[i] === byte)) return [{ channel: 0, method: 'protocol-header' }];
  const parser = new FrameParser(frameBytesMax);
  parser.push(new Uint8Array(PROTOCOL_HEADER));
  parser.next();
  parser.retain();
  parser.push(bytes);
  const received: Received[] = [];
  let missing = 0;
  for (let frame = parser.next(); frame !== undefined; frame = parser.next()) {
    const { type, channel } = frame;
    const last = received.at(-1) as { channel: number; properties?: Uint8Array; body?: Uint8Array } | undefined;
    if (type === FRAME_METHOD) {
      const method = decodeMethod(frame.bytes, frame.start, frame.end);
      if (isAmqpError(method)) throw new Error(method.text);
      received.push({ channel, method });
    } else if (type === FRAME_HEADER && last?.channel === channel) {
      missing = readU64(frame.bytes, frame.start + 4);
      last.properties = frame.bytes.slice(frame.start + 12, frame.end);
      last.body = new Uint8Array(0);
    } else if (type === FRAME_BODY && last?.channel === channel && last.body !== undefined) {
      missing -= frame.end - frame.start;
      last.body = joined(last.body, frame.bytes.subarray(frame.start, frame.end));
    } else if (type === 8) {
      received.push({ channel, method: 'heartbeat' });
    } else {
      throw new Error(`unexpected frame of type ${type} on channel ${channel}`);
    }
  }
  if (parser.error !== undefined) throw new Error(parser.error.text);
  if (missing !== 0) throw new Error(`${missing} bytes of a body are missing`);
  return received;
}
