import { type Delivery, NO_OFFSET } from '../../broker/broker.ts';
import { type Method, writeMethod } from './methods.ts';
import { AmqpWriter, copyRun, readU32 } from './primitives.ts';
import { withDeliveryCount, withStreamOffset } from './properties.ts';
import {
  BASIC_CLASS,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  methodId,
  PROTOCOL_HEADER,
} from './spec.ts';

/** Memory for output, shared by the connections of a server: one that has nothing to write holds none. */
export interface OutputMemory {
  /** A piece of some fixed size. */
  take(): Uint8Array;
}

const NOTHING: Uint8Array = new Uint8Array(0);
const ACK_FRAME_BYTES = 21;
const HEADER_FIXED_BYTES = 12;
const TWO_32 = 0x1_0000_0000;

/** A piece of output: `bytes[0, length)` is to be written, then the memory may be used again. */
export interface Output {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/**
 * Writes frames one behind the other into pieces of memory that the connection takes once per turn. A full piece is set
 * aside and another taken, so that a long burst is not copied while it grows.
 */
export class FrameWriter {
  /** The negotiated frame-max: bodies are split by it. */
  frameBytesMax: number;
  readonly #memory: OutputMemory;
  readonly #onFirstByte: () => void;
  readonly #out = new AmqpWriter(NOTHING);
  #full: Output[] = [];
  #fullBytes = 0;
  #replyBytes = 0;
  #bodyBytesLeft = 0;
  /** What the body frame under way may still take. */
  #frameRoom = 0;

  /** `onFirstByte` is called when there is something to take where there was nothing. */
  constructor(frameBytesMax: number, memory: OutputMemory, onFirstByte: () => void) {
    this.frameBytesMax = frameBytesMax;
    this.#memory = memory;
    this.#onFirstByte = onFirstByte;
  }

  /** Bytes to be taken. */
  get length(): number {
    return this.#fullBytes + this.#out.length;
  }

  /** Bytes that no credit bounds: everything but deliveries to consumers. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  take(): Output[] {
    if (this.#out.length > 0) this.#setAside();
    const output = this.#full;
    this.#full = [];
    this.#fullBytes = 0;
    this.#replyBytes = 0;
    return output;
  }

  protocolHeader(): void {
    this.#begin(PROTOCOL_HEADER.length);
    for (const byte of PROTOCOL_HEADER) this.#out.u8(byte);
  }

  heartbeat(): void {
    this.#begin(FRAME_OVERHEAD_BYTES);
    this.#frameHead(FRAME_HEARTBEAT, 0, 0);
    this.#out.u8(FRAME_END);
  }

  method(channel: number, method: Method): void {
    const start = this.#begin(64);
    this.#frameHead(FRAME_METHOD, channel, 0);
    writeMethod(this.#out, method);
    this.#endFrame(start);
    this.#replyBytes += this.#out.length - start;
  }

  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#answer(ACK, channel, deliveryTag, multiple ? 1 : 0);
  }

  nack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#answer(NACK, channel, deliveryTag, multiple ? 1 : 0);
  }

  /** basic.deliver with its content. `head` is the consumer's `deliverHead`. */
  deliver(head: Uint8Array, deliveryTag: number, delivery: Delivery): void {
    const content = delivery.content;
    const targetEnd = endOfTarget(content);
    const start = this.#begin(head.length + targetEnd + 64);
    const bytes = this.#out.bytes;
    let at = copyRun(head, 0, head.length, bytes, start);
    at = this.#storeTag(at, deliveryTag);
    bytes[at++] = delivery.redelivered ? 1 : 0;
    at = copyRun(content, 0, targetEnd, bytes, at);
    this.#out.storeU32(start + 3, at - start - FRAME_HEAD_BYTES);
    bytes[at++] = FRAME_END;
    this.#out.length = at;
    const isCounted = delivery.isOfQuorumQueue && delivery.deliveryCount > 0;
    this.#deliveredContent((head[1]! << 8) | head[2]!, delivery, targetEnd, isCounted);
  }

  getOk(channel: number, deliveryTag: number, delivery: Delivery, messageCount: number): void {
    const before = this.length;
    const content = delivery.content;
    const targetEnd = endOfTarget(content);
    const start = this.#begin(targetEnd + 64);
    this.#frameHead(FRAME_METHOD, channel, 0);
    this.#out.u32(GET_OK);
    this.#out.u64(deliveryTag);
    this.#out.u8(delivery.redelivered ? 1 : 0);
    this.#out.raw(content.subarray(0, targetEnd));
    this.#out.u32(messageCount);
    this.#endFrame(start);
    // Also of a message that has not failed, as in RabbitMQ.
    this.#deliveredContent(channel, delivery, targetEnd, delivery.isOfQuorumQueue);
    this.#replyBytes += this.length - before;
  }

  /** A method that carries content (basic.return), with the content. */
  content(
    channel: number,
    method: Method,
    properties: Uint8Array,
    body: readonly Uint8Array[],
    bodyBytes: number,
  ): void {
    this.method(channel, method);
    const before = this.length;
    this.#contentHeader(channel, properties, 0, properties.length, bodyBytes);
    this.#beginBody(bodyBytes);
    for (let i = 0; i < body.length; i++) this.#bodyPart(channel, body[i]!, 0);
    this.#replyBytes += this.length - before;
  }

  /** Room for so many bytes in one piece; answers where they begin. */
  #begin(bytesExpected: number): number {
    if (this.#out.length === 0 && this.#fullBytes === 0) this.#onFirstByte();
    this.#makeRoom(bytesExpected);
    return this.#out.length;
  }

  #makeRoom(count: number): void {
    const out = this.#out;
    if (out.length + count <= out.bytes.length) return;
    if (out.length > 0) this.#setAside();
    if (out.bytes.length === 0) out.bytes = this.#memory.take();
    if (count > out.bytes.length) out.bytes = new Uint8Array(count);
  }

  #setAside(): void {
    const out = this.#out;
    this.#full.push({ bytes: out.bytes, length: out.length });
    this.#fullBytes += out.length;
    out.bytes = NOTHING;
    out.length = 0;
  }

  #frameHead(type: number, channel: number, payloadBytes: number): void {
    const out = this.#out;
    out.reserve(FRAME_HEAD_BYTES);
    const bytes = out.bytes;
    const at = out.length;
    bytes[at] = type;
    bytes[at + 1] = channel >>> 8;
    bytes[at + 2] = channel;
    out.storeU32(at + 3, payloadBytes);
    out.length = at + FRAME_HEAD_BYTES;
  }

  #endFrame(start: number): void {
    this.#out.storeU32(start + 3, this.#out.length - start - FRAME_HEAD_BYTES);
    this.#out.u8(FRAME_END);
  }

  #storeTag(at: number, deliveryTag: number): number {
    this.#out.storeU32(at, Math.floor(deliveryTag / TWO_32));
    this.#out.storeU32(at + 4, deliveryTag);
    return at + 8;
  }

  #answer(method: number, channel: number, deliveryTag: number, flags: number): void {
    this.#begin(ACK_FRAME_BYTES);
    const out = this.#out;
    this.#frameHead(FRAME_METHOD, channel, ACK_FRAME_BYTES - FRAME_OVERHEAD_BYTES);
    out.storeU32(out.length, method);
    const at = this.#storeTag(out.length + 4, deliveryTag);
    out.bytes[at] = flags;
    out.bytes[at + 1] = FRAME_END;
    out.length = at + 2;
    this.#replyBytes += ACK_FRAME_BYTES;
  }

  /** Header and body frames of a delivery, straight from its block: properties behind the target, then the body. */
  #deliveredContent(channel: number, delivery: Delivery, targetEnd: number, isCounted: boolean): void {
    const content = delivery.content;
    const propertiesStart = targetEnd + 4;
    const bodyStart = propertiesStart + readU32(content, targetEnd);
    let bodyBytes = content.length - bodyStart;
    for (let i = 0; i < delivery.more.length; i++) bodyBytes += delivery.more[i]!.length;
    if (isCounted) {
      const properties = withDeliveryCount(content.subarray(propertiesStart, bodyStart), delivery.deliveryCount);
      this.#contentHeader(channel, properties, 0, properties.length, bodyBytes);
    } else if (delivery.offset !== NO_OFFSET) {
      const properties = withStreamOffset(content.subarray(propertiesStart, bodyStart), delivery.offset);
      this.#contentHeader(channel, properties, 0, properties.length, bodyBytes);
    } else {
      this.#contentHeader(channel, content, propertiesStart, bodyStart, bodyBytes);
    }
    this.#beginBody(bodyBytes);
    this.#bodyPart(channel, content, bodyStart);
    for (let i = 0; i < delivery.more.length; i++) this.#bodyPart(channel, delivery.more[i]!, 0);
  }

  #contentHeader(channel: number, source: Uint8Array, start: number, end: number, bodyBytes: number): void {
    const out = this.#out;
    const payloadBytes = HEADER_FIXED_BYTES + end - start;
    this.#makeRoom(payloadBytes + FRAME_OVERHEAD_BYTES);
    this.#frameHead(FRAME_HEADER, channel, payloadBytes);
    let at = out.length;
    out.storeU32(at, BASIC_CLASS * 0x1_0000);
    at = this.#storeTag(at + 4, bodyBytes);
    at = copyRun(source, start, end, out.bytes, at);
    out.bytes[at] = FRAME_END;
    out.length = at + 1;
  }

  #beginBody(bodyBytes: number): void {
    this.#bodyBytesLeft = bodyBytes;
    this.#frameRoom = 0;
    this.#makeRoom(bodyBytes + FRAME_OVERHEAD_BYTES * Math.ceil(bodyBytes / this.#payloadBytesMax()));
  }

  #payloadBytesMax(): number {
    return this.frameBytesMax - FRAME_OVERHEAD_BYTES;
  }

  /** Frames are as full as frame-max allows, whatever the parts are. */
  #bodyPart(channel: number, part: Uint8Array, start: number): void {
    const out = this.#out;
    let from = start;
    while (from < part.length) {
      if (this.#frameRoom === 0) {
        this.#frameRoom = Math.min(this.#bodyBytesLeft, this.#payloadBytesMax());
        this.#frameHead(FRAME_BODY, channel, this.#frameRoom);
      }
      const count = Math.min(this.#frameRoom, part.length - from);
      out.length = copyRun(part, from, from + count, out.bytes, out.length);
      from += count;
      this.#frameRoom -= count;
      this.#bodyBytesLeft -= count;
      if (this.#frameRoom === 0) out.bytes[out.length++] = FRAME_END;
    }
  }
}

const DELIVER = methodId('basic.deliver');
const GET_OK = methodId('basic.get-ok');
const ACK = methodId('basic.ack');
const NACK = methodId('basic.nack');

/** The beginning of a consumer's basic.deliver frames, up to the delivery tag; the frame's size is filled in for each. */
export function deliverHead(channel: number, consumerTag: string): Uint8Array {
  const writer = new AmqpWriter();
  writer.u8(FRAME_METHOD);
  writer.u16(channel);
  writer.u32(0);
  writer.u32(DELIVER);
  writer.shortstr(consumerTag);
  return writer.finish();
}

/** Where exchange and routing key end in a message block. */
function endOfTarget(content: Uint8Array): number {
  const exchangeEnd = 1 + content[0]!;
  return exchangeEnd + 1 + content[exchangeEnd]!;
}
