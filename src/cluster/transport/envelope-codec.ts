import { assert } from '../../lib/assert.ts';

/**
 * `warren.node.v1.Envelope` by hand: the same bytes as the generated code's, without an object per frame and with one
 * copy of each payload, into the message. Wire format: protobuf.dev/programming-guides/encoding.
 */
const FRAMES_TAG = 0x0a;
const KIND_TAG = 0x08;
const GROUP_TAG = 0x10;
const PAYLOAD_TAG = 0x1a;

const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Tag and length of the frame (1 + 3), kind (1 + 2), group (1 + 5), tag and length of the payload (1 + 3). */
export const FRAME_OVERHEAD_BYTES_MAX = 17;
const UINT32_MAX = 0xffff_ffff;

/** Bytes of a frame in an envelope, all included. */
export function frameBytes(kind: number, group: number, payloadBytes: number): number {
  const body = bodyBytes(kind, group, payloadBytes);
  return 1 + varintBytes(body) + body;
}

/** Writes everything of a frame but its payload, which has to follow. Returns the position behind. */
export function writeFrameHead(
  target: Uint8Array,
  at: number,
  kind: number,
  group: number,
  payloadBytes: number,
): number {
  assert(kind >= 0 && kind <= 255, () => `frame kind ${kind}; 0 to 255`);
  assert(group >= 0 && group <= UINT32_MAX, () => `frame group ${group}; 0 to ${UINT32_MAX}`);
  target[at++] = FRAMES_TAG;
  at = writeVarint(target, at, bodyBytes(kind, group, payloadBytes));
  if (kind !== 0) {
    target[at++] = KIND_TAG;
    at = writeVarint(target, at, kind);
  }
  if (group !== 0) {
    target[at++] = GROUP_TAG;
    at = writeVarint(target, at, group);
  }
  if (payloadBytes !== 0) {
    target[at++] = PAYLOAD_TAG;
    at = writeVarint(target, at, payloadBytes);
  }
  return at;
}

function bodyBytes(kind: number, group: number, payloadBytes: number): number {
  return (
    (kind === 0 ? 0 : 1 + varintBytes(kind)) +
    (group === 0 ? 0 : 1 + varintBytes(group)) +
    (payloadBytes === 0 ? 0 : 1 + varintBytes(payloadBytes) + payloadBytes)
  );
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[at++] = rest;
  return at;
}

const EMPTY = new Uint8Array(0);

/**
 * Walks through the frames of an envelope. Payloads are views of the message. Fields that this version does not know are
 * skipped; `isDamaged` tells, after `next()` returned false, whether the bytes ended early or made no sense.
 */
export class EnvelopeReader {
  kind = 0;
  group = 0;
  payload: Uint8Array = EMPTY;
  isDamaged = false;
  #bytes: Uint8Array = EMPTY;
  #at = 0;
  #end = 0;

  read(message: Uint8Array): void {
    this.#bytes = message;
    this.#at = 0;
    this.#end = message.length;
    this.isDamaged = false;
  }

  next(): boolean {
    while (this.#at < this.#end) {
      const tag = this.#varint(this.#end);
      if (tag === FRAMES_TAG) {
        const length = this.#varint(this.#end);
        if (this.isDamaged || length > this.#end - this.#at) return this.#damaged();
        return this.#frame(this.#at + length) || this.#damaged();
      }
      if (!this.#skip(tag, this.#end)) return this.#damaged();
    }
    return false;
  }

  #frame(end: number): boolean {
    this.kind = 0;
    this.group = 0;
    this.payload = EMPTY;
    while (this.#at < end) {
      const tag = this.#varint(end);
      if (tag === PAYLOAD_TAG) {
        const length = this.#varint(end);
        if (length > end - this.#at) return false;
        // Not `subarray`: of a Buffer it would be a Buffer, whose `slice` does not copy.
        this.payload = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, length);
        this.#at += length;
      } else if (tag === KIND_TAG) this.kind = this.#varint(end);
      else if (tag === GROUP_TAG) this.group = this.#varint(end);
      else if (!this.#skip(tag, end)) return false;
      if (this.isDamaged) return false;
    }
    return true;
  }

  #skip(tag: number, end: number): boolean {
    switch (tag & 7) {
      case WireType.varint:
        this.#varint(end);
        break;
      case WireType.fixed64:
        this.#at += 8;
        break;
      case WireType.bytes: {
        const length = this.#varint(end);
        this.#at += length;
        break;
      }
      case WireType.fixed32:
        this.#at += 4;
        break;
      default:
        return false;
    }
    return !this.isDamaged && tag >= 8 && this.#at <= end;
  }

  /** Up to ten bytes, as protobuf allows; what is above 2^53 loses precision and fails the length checks. */
  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10 && this.#at < end; count++) {
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    this.isDamaged = true;
    return 0;
  }

  #damaged(): false {
    this.isDamaged = true;
    this.#at = this.#end;
    return false;
  }
}
