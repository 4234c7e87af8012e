import { type AmqpError, amqpError } from './amqp-error.ts';
import { readU32 } from './primitives.ts';
import {
  FRAME_BODY,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  PROTOCOL_HEADER,
} from './spec.ts';

/** The pseudo frame that a connection starts with: `A`, the first octet of the protocol header. */
export const FRAME_PROTOCOL_HEADER = 0x41;

/** The payload is `bytes[start, end)`. The object is reused for each frame. */
export interface Frame {
  type: number;
  channel: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

const NOTHING: Uint8Array = new Uint8Array(0);
/** Memory for split frames up to this size is kept between them; larger memory only while a frame is incomplete. */
const KEPT_BYTES_MAX = 4096;

/**
 * Bytes in, frames out: `push` a chunk, ask `next` until it answers undefined, then `retain`. Frames are views of the
 * chunk, valid until `retain`; a frame that is split over chunks is copied once, into memory of the parser's own, and so is
 * whatever is left when the caller stops asking. Nothing refers to a chunk after `retain` (R20).
 */
export class FrameParser {
  /** The negotiated frame-max (4.2.3): payload and eight octets of overhead. */
  frameBytesMax: number;
  readonly #frame: Frame = { type: 0, channel: 0, bytes: NOTHING, start: 0, end: 0 };
  #chunk = NOTHING;
  #at = 0;
  /** Bytes before the chunk's, in our own memory: `held[heldStart, heldEnd)`. */
  #held = NOTHING;
  #heldStart = 0;
  #heldEnd = 0;
  #lastSource: 'held' | 'chunk' = 'chunk';
  #lastBytes = 0;
  #error: AmqpError | undefined;
  #isStarted = false;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  /** Why no further frame can be found: the bytes are no AMQP. */
  get error(): AmqpError | undefined {
    return this.#error;
  }

  /** Bytes copied and not yet given out. */
  get heldBytes(): number {
    return this.#heldEnd - this.#heldStart;
  }

  /** The chunk before must have been retained. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  next(): Frame | undefined {
    if (this.#error !== undefined) return undefined;
    if (this.#heldEnd > this.#heldStart) return this.#nextHeld();
    const available = this.#chunk.length - this.#at;
    const size = this.#frameBytes(this.#chunk, this.#at, available);
    if (size === 0 || size > available) return undefined;
    this.#lastSource = 'chunk';
    const frame = this.#view(this.#chunk, this.#at, size);
    this.#at += size;
    return frame;
  }

  /** Takes back the frame that `next` gave last: it comes again, also after `retain`. */
  unread(): void {
    if (this.#lastSource === 'held') this.#heldStart -= this.#lastBytes;
    else this.#at -= this.#lastBytes;
  }

  /** Copies what is left of the chunk. Ends the validity of all frames given out. */
  retain(): void {
    const rest = this.#chunk.length - this.#at;
    let wantedBytes = 0;
    if (this.heldBytes === 0) {
      this.#heldStart = 0;
      this.#heldEnd = 0;
      // Only now does the rest begin with a frame's head, and memory for the whole frame can be had at once.
      wantedBytes = this.#frameBytes(this.#chunk, this.#at, rest);
    }
    if (rest > 0) this.#appendHeld(rest, wantedBytes);
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#frame.bytes = NOTHING;
    if (this.heldBytes === 0 && this.#held.length > KEPT_BYTES_MAX) this.#held = NOTHING;
  }

  #nextHeld(): Frame | undefined {
    for (;;) {
      const size = this.#frameBytes(this.#held, this.#heldStart, this.heldBytes);
      if (this.#error !== undefined) return undefined;
      const wanted = size === 0 ? this.#headBytes() : size;
      const missing = wanted - this.heldBytes;
      if (missing <= 0) {
        this.#lastSource = 'held';
        const frame = this.#view(this.#held, this.#heldStart, size);
        this.#heldStart += size;
        return frame;
      }
      const taken = Math.min(missing, this.#chunk.length - this.#at);
      if (taken === 0) return undefined;
      this.#appendHeld(taken, wanted);
    }
  }

  #headBytes(): number {
    return this.#isStarted ? FRAME_HEAD_BYTES : PROTOCOL_HEADER.length;
  }

  /**
   * Moves bytes of the chunk behind the held ones. Held memory that earlier frames may view is never written again before
   * `retain`: where the room behind does not suffice, new memory is taken.
   */
  #appendHeld(count: number, wantedBytes: number): void {
    const held = this.heldBytes;
    if (this.#heldEnd + count > this.#held.length) {
      const grown = new Uint8Array(Math.max(held + count, wantedBytes, 256));
      grown.set(this.#held.subarray(this.#heldStart, this.#heldEnd));
      this.#held = grown;
      this.#heldStart = 0;
      this.#heldEnd = held;
    }
    this.#held.set(this.#chunk.subarray(this.#at, this.#at + count), this.#heldEnd);
    this.#heldEnd += count;
    this.#at += count;
  }

  /** Size of the whole frame at `at`, 0 while its head is incomplete. Sets `error` as soon as the head is wrong. */
  #frameBytes(bytes: Uint8Array, at: number, available: number): number {
    if (available === 0) return 0;
    if (!this.#isStarted) return available < PROTOCOL_HEADER.length ? 0 : PROTOCOL_HEADER.length;
    const type = bytes[at]!;
    if (type !== FRAME_METHOD && type !== FRAME_BODY && type !== FRAME_HEADER && type !== FRAME_HEARTBEAT) {
      this.#error = amqpError('frame-error', `unknown frame type ${type}`);
      return 0;
    }
    if (available < FRAME_HEAD_BYTES) return 0;
    const size = readU32(bytes, at + 3) + FRAME_OVERHEAD_BYTES;
    // A payload as long as the whole frame may be is a mistake that clients make, and RabbitMQ lets it pass.
    if (size > this.frameBytesMax + FRAME_OVERHEAD_BYTES) {
      const payloadBytesMax = this.frameBytesMax - FRAME_OVERHEAD_BYTES;
      const text = `type ${type}, frame too large: {${size - FRAME_OVERHEAD_BYTES},${payloadBytesMax}}`;
      this.#error = amqpError('frame-error', text);
      return 0;
    }
    if (available >= size && bytes[at + size - 1] !== FRAME_END) {
      this.#error = amqpError('frame-error', `type ${type}, invalid frame end marker ${bytes[at + size - 1]}`);
      return 0;
    }
    return size;
  }

  #view(bytes: Uint8Array, at: number, size: number): Frame {
    const frame = this.#frame;
    this.#lastBytes = size;
    frame.bytes = bytes;
    if (!this.#isStarted) {
      this.#isStarted = true;
      frame.type = FRAME_PROTOCOL_HEADER;
      frame.channel = 0;
      frame.start = at;
      frame.end = at + size;
      return frame;
    }
    frame.type = bytes[at]!;
    frame.channel = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    frame.start = at + FRAME_HEAD_BYTES;
    frame.end = at + size - 1;
    return frame;
  }
}
