import { assert } from '../../lib/assert.ts';
import { frameBytes, writeFrameHead } from './envelope-codec.ts';
import { type Lane, MESSAGE_BYTES_MAX } from './transport.ts';

const CAPACITY_MIN = 4 * 1024;
/** Messages handed to gRPC and not yet taken by the socket. While there are as many, frames gather in larger messages. */
const MESSAGES_UNDER_WAY_MAX = 2;
const SPARE_BUFFERS_MAX = 2;
const NO_PARTS: readonly Uint8Array[] = [];

/** Hands one message to the network; `done` when it has left and its bytes may be overwritten. */
export type WriteMessage = (message: Buffer, done: () => void) => void;

/** Gathers the frames of one lane into messages of at most `MESSAGE_BYTES_MAX` and keeps the network busy with them. */
export class LaneWriter {
  readonly #lane: Lane;
  readonly #write: WriteMessage;
  readonly #queuedBytesMax: number;
  /** Full messages that wait for their turn, oldest first; beyond `#sealedFrom` all are undefined. */
  #sealed: { readonly buffer: Buffer; readonly length: number }[] = [];
  #sealedFrom = 0;
  #buffer: Buffer;
  #length = 0;
  #spare: Buffer[] = [];
  #underWay = 0;
  #queuedBytes = 0;
  #isOverfull = false;

  constructor(lane: Lane, queuedBytesMax: number, write: WriteMessage) {
    this.#lane = lane;
    this.#write = write;
    this.#queuedBytesMax = queuedBytesMax;
    this.#buffer = Buffer.allocUnsafeSlow(CAPACITY_MIN);
  }

  /** More was given than the bound: something was dropped, so the lane is no longer in order and its link must end. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  append(kind: number, group: number, payload: Uint8Array, more: readonly Uint8Array[] = NO_PARTS): void {
    let payloadBytes = payload.length;
    for (const part of more) payloadBytes += part.length;
    const bytes = frameBytes(kind, group, payloadBytes);
    assert(
      bytes <= MESSAGE_BYTES_MAX,
      () => `frame of ${bytes} bytes on lane ${this.#lane}; at most ${MESSAGE_BYTES_MAX}`,
    );
    if (this.#queuedBytes + bytes > this.#queuedBytesMax) {
      this.#isOverfull = true;
      return;
    }
    this.#queuedBytes += bytes;
    if (this.#length + bytes > MESSAGE_BYTES_MAX) this.#seal();
    this.#reserve(bytes);
    let at = writeFrameHead(this.#buffer, this.#length, kind, group, payloadBytes);
    this.#buffer.set(payload, at);
    at += payload.length;
    for (const part of more) {
      this.#buffer.set(part, at);
      at += part.length;
    }
    this.#length = at;
  }

  /** Sends what there is, as far as the network takes it; the rest follows by itself. */
  flush(): void {
    while (this.#underWay < MESSAGES_UNDER_WAY_MAX) {
      if (this.#sealedFrom < this.#sealed.length) {
        const { buffer, length } = this.#sealed[this.#sealedFrom++]!;
        this.#send(buffer, length);
      } else if (this.#length > 0) {
        const buffer = this.#buffer;
        const length = this.#length;
        this.#renew();
        this.#send(buffer, length);
      } else {
        return;
      }
      if (this.#sealedFrom === this.#sealed.length && this.#sealedFrom > 0) {
        this.#sealed = [];
        this.#sealedFrom = 0;
      }
    }
  }

  #send(buffer: Buffer, length: number): void {
    this.#underWay++;
    this.#write(buffer.subarray(0, length), () => {
      this.#underWay--;
      this.#queuedBytes -= length;
      if (this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(buffer);
      this.flush();
    });
  }

  #seal(): void {
    this.#sealed.push({ buffer: this.#buffer, length: this.#length });
    this.#renew();
  }

  #renew(): void {
    this.#buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(CAPACITY_MIN);
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    let capacity = this.#buffer.length;
    while (capacity < needed) capacity *= 2;
    const grown = Buffer.allocUnsafeSlow(Math.min(capacity, MESSAGE_BYTES_MAX));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
