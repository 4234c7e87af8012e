import { type AmqpError, amqpError } from './amqp-error.ts';
import type { ContentMemory } from './content-memory.ts';
import type { Frame } from './frame-parser.ts';
import { readU32, readU64 } from './primitives.ts';
import { BASIC_CLASS, FRAME_BODY, FRAME_HEADER } from './spec.ts';

const NOTHING: Uint8Array = new Uint8Array(0);
const HEADER_FIXED_BYTES = 12;
/** Pieces kept beyond their chunk are gathered in blocks, so that a body in tiny frames costs no more than another. */
const BLOCK_BYTES = 65_536;

export type Assembled = 'incomplete' | 'complete' | AmqpError;

/**
 * One message in three states (4.2.6): a method that carries content, its header, its body frames. `properties` and `parts`
 * view the frames they came from until `detach` copies what must outlive the chunk (R20).
 */
export class ContentAssembler {
  readonly #bodyBytesMax: number;
  readonly #memory: ContentMemory;
  #at: 'method' | 'header' | 'body' = 'method';
  #missing = 0;
  #isDetached = false;
  /** The last of `parts`, when it is a block of ours with room behind it. */
  #block = NOTHING;
  properties: Uint8Array = NOTHING;
  bodyBytes = 0;
  readonly parts: Uint8Array[] = [];
  /** How many of `parts` are our own copies, and their bytes. */
  #ownParts = 0;
  #ownBytes = 0;

  constructor(bodyBytesMax: number, memory: ContentMemory) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#memory = memory;
  }

  get isIdle(): boolean {
    return this.#at === 'method';
  }

  /** A method with content was read; or why no method may come now. */
  begin(): AmqpError | undefined {
    const error = this.refuseMethod();
    if (error === undefined) this.#at = 'header';
    return error;
  }

  /** Why a method frame must not come now (RabbitMQ's words, rabbit_command_assembler). */
  refuseMethod(): AmqpError | undefined {
    if (this.#at === 'method') return undefined;
    return this.#unexpected();
  }

  feed(frame: Frame): Assembled {
    if (frame.type === FRAME_BODY && this.#at === 'body') return this.#feedBody(frame);
    if (frame.type === FRAME_HEADER && this.#at === 'header') return this.#feedHeader(frame);
    return this.#unexpected();
  }

  /** The message has been used: begins anew. */
  reset(): void {
    this.#at = 'method';
    this.#missing = 0;
    this.#isDetached = false;
    this.#block = NOTHING;
    this.#ownParts = 0;
    if (this.#ownBytes > 0) this.#memory.add(-this.#ownBytes);
    this.#ownBytes = 0;
    this.properties = NOTHING;
    this.bodyBytes = 0;
    if (this.parts.length > 0) this.parts.length = 0;
  }

  /** Copies what has been assembled so far out of the chunks. */
  detach(): void {
    if (this.#at !== 'body') return;
    if (!this.#isDetached) this.properties = this.properties.slice();
    this.#isDetached = true;
    const parts = this.parts;
    if (this.#ownParts === parts.length) return;
    const pieces = parts.splice(this.#ownParts);
    for (const piece of pieces) this.#keep(piece);
  }

  #feedHeader(frame: Frame): Assembled {
    const { bytes, start, end } = frame;
    if (end - start < HEADER_FIXED_BYTES) return amqpError('frame-error', `content header of ${end - start} octets`);
    const classId = (bytes[start]! << 8) | bytes[start + 1]!;
    if (classId !== BASIC_CLASS) {
      const text = `expected content header for class ${BASIC_CLASS}, got one for class ${classId} instead`;
      return amqpError('unexpected-frame', text);
    }
    if (bytes[start + 2] !== 0 || bytes[start + 3] !== 0) return amqpError('frame-error', 'content weight is not 0');
    const bodyBytes = readU64(bytes, start + 4);
    if (bodyBytes > this.#bodyBytesMax) return this.#tooLarge(bytes, start + 4);
    this.#at = 'body';
    this.bodyBytes = bodyBytes;
    this.#missing = bodyBytes;
    this.properties = bytes.subarray(start + HEADER_FIXED_BYTES, end);
    return bodyBytes === 0 ? 'complete' : 'incomplete';
  }

  #feedBody(frame: Frame): Assembled {
    const length = frame.end - frame.start;
    if (length > this.#missing) {
      const text = `content body of ${this.bodyBytes} octets exceeded by ${length - this.#missing}`;
      return amqpError('frame-error', text);
    }
    if (length > 0) this.parts.push(frame.bytes.subarray(frame.start, frame.end));
    this.#missing -= length;
    return this.#missing === 0 ? 'complete' : 'incomplete';
  }

  #keep(piece: Uint8Array): void {
    this.#ownBytes += piece.length;
    this.#memory.add(piece.length);
    let from = 0;
    while (from < piece.length) {
      const last = this.#ownParts - 1;
      const used = last < 0 ? 0 : this.parts[last]!.length;
      const room = this.#block.length - used;
      if (last < 0 || room === 0) {
        const left = piece.length - from;
        this.#block = new Uint8Array(Math.min(Math.max(BLOCK_BYTES, left), left + this.#missing));
        this.parts.push(this.#block.subarray(0, 0));
        this.#ownParts++;
        continue;
      }
      const count = Math.min(room, piece.length - from);
      this.#block.set(piece.subarray(from, from + count), used);
      this.parts[last] = this.#block.subarray(0, used + count);
      from += count;
    }
  }

  #tooLarge(bytes: Uint8Array, at: number): AmqpError {
    const size = (BigInt(readU32(bytes, at)) << 32n) | BigInt(readU32(bytes, at + 4));
    const text = `message size ${size} is larger than configured max size ${this.#bodyBytesMax}`;
    return amqpError('precondition-failed', text);
  }

  #unexpected(): AmqpError {
    if (this.#at === 'method')
      return amqpError('unexpected-frame', 'expected method frame, got non method frame instead');
    if (this.#at === 'body') {
      return amqpError('unexpected-frame', 'expected content body, got non content body frame instead');
    }
    const text = `expected content header for class ${BASIC_CLASS}, got non content header frame instead`;
    return amqpError('unexpected-frame', text);
  }
}
