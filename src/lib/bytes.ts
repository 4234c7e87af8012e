import { assert } from './assert.ts';

/** Largest integer that the six-byte fields of our formats hold. */
export const UINT48_MAX = 2 ** 48 - 1;
const INITIAL_CAPACITY = 256;

/** Appends big-endian values to a buffer that grows. `finish` hands the bytes over; `reset` starts anew in the same memory. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = INITIAL_CAPACITY) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value);
    this.#length += 4;
  }

  u48(value: number): void {
    this.#reserve(6);
    this.#view.setUint16(this.#length, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(this.#length + 2, value >>> 0);
    this.#length += 6;
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value);
    this.#length += 8;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** A u32 length and the bytes. */
  block(value: Uint8Array): void {
    this.u32(value.length);
    this.bytes(value);
  }

  /** A u16 length and UTF-8, at most 65,535 bytes. */
  string(value: string): void {
    const encoded = utf8Encode(value);
    assert(encoded.length <= 0xffff, () => `string of ${encoded.length} bytes; at most 65535`);
    this.u16(encoded.length);
    this.bytes(encoded);
  }

  /** Overwrites four bytes written before, for a length that is known only afterwards. */
  patchU32(position: number, value: number): void {
    assert(position + 4 <= this.#length, 'patch behind the end');
    this.#view.setUint32(position, value);
  }

  /** The bytes written so far, as a view that the next write may overwrite. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of exactly the bytes written so far. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    let capacity = this.#bytes.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** What a reader throws when the bytes end too early: damage or a hostile peer, told apart by the caller. */
export class TruncatedError extends Error {
  override readonly name = 'TruncatedError';
}

/** Reads big-endian values from a slice. Strings and blocks are bounded by the slice; reading past its end throws `TruncatedError`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u48(): number {
    const at = this.#take(6);
    return this.#view.getUint16(at) * 0x1_0000_0000 + this.#view.getUint32(at + 2);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  block(): Uint8Array {
    return this.bytes(this.u32());
  }

  string(): string {
    return utf8Decode(this.bytes(this.u16()));
  }

  skip(length: number): void {
    this.#take(length);
  }

  #take(length: number): number {
    const at = this.#position;
    if (at + length > this.#bytes.length) {
      throw new TruncatedError(`${length} bytes wanted at ${at}, ${this.#bytes.length - at} there`);
    }
    this.#position = at + length;
    return at;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
const REPLACEMENT = '\ufffd';
/** A byte that is no UTF-8 becomes the lone surrogate of this number plus the byte, as in Python's `surrogateescape`. */
const ESCAPE = 0xdc00;
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** The opposite of `utf8Decode`, for all bytes. */
export function utf8Encode(value: string): Uint8Array {
  const encoded = encoder.encode(value);
  return encoded.length > value.length && LONE_SURROGATE.test(value) ? encodeEscaped(value) : encoded;
}

/** Bytes that are no UTF-8 are kept: what clients send as text must come out as it went in, though we may not print it. */
export function utf8Decode(bytes: Uint8Array): string {
  // `TextDecoder` refuses views of a `SharedArrayBuffer`.
  const plain = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
  const text = decoder.decode(plain);
  return text.includes(REPLACEMENT) ? decodeEscaped(plain) : text;
}

function decodeEscaped(bytes: Uint8Array<ArrayBuffer>): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    const character = length === 0 ? REPLACEMENT : decoder.decode(bytes.subarray(at, at + length));
    const isWhole = !character.includes(REPLACEMENT) || isReplacement(bytes, at);
    text += isWhole ? character : String.fromCharCode(ESCAPE + bytes[at]!);
    at += isWhole ? length : 1;
  }
  return text;
}

/** Of the character that begins with this byte; 0 if none does. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

const isReplacement = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd;

function encodeEscaped(value: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of value) {
    const code = character.codePointAt(0)!;
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
