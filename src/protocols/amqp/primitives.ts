import { assert } from '../../lib/assert.ts';
import { utf8Encode } from '../../lib/bytes.ts';
import { decodeText } from './text.ts';

export const SHORTSTR_BYTES_MAX = 255;
const NOTHING: Uint8Array = new Uint8Array(0);
const TWO_32 = 0x1_0000_0000;

/**
 * Reads the elementary types of 4.2.5 from `bytes[start, end)`. Reading past the end, or calling `fail`, makes `failed`
 * true for good, and everything read from then on is empty: the caller asks once, at the end.
 */
export class AmqpReader {
  #bytes: Uint8Array = NOTHING;
  #view: DataView | undefined;
  #at = 0;
  #end = 0;
  #failed = false;

  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#view = undefined;
    this.#at = start;
    this.#end = end;
    this.#failed = false;
  }

  /** Forgets the bytes, so that they can be freed. */
  release(): void {
    this.reset(NOTHING, 0, 0);
  }

  get failed(): boolean {
    return this.#failed;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  fail(): void {
    this.#failed = true;
    this.#at = this.#end;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#bytes[at]!;
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : readU32(this.#bytes, at);
  }

  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#dataView().getBigUint64(at);
  }

  i64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#dataView().getBigInt64(at);
  }

  f32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#dataView().getFloat32(at);
  }

  f64(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : this.#dataView().getFloat64(at);
  }

  shortstr(): string {
    return this.text(this.u8());
  }

  /** A copy: what methods carry outlives the chunk it came in (R20). */
  longstr(): Uint8Array {
    const length = this.u32();
    const at = this.#take(length);
    return at < 0 ? NOTHING : this.#bytes.slice(at, at + length);
  }

  text(length: number): string {
    const at = this.#take(length);
    return at < 0 ? '' : decodeText(this.#bytes, at, at + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) {
      this.fail();
      return -1;
    }
    this.#at = at + count;
    return at;
  }

  #dataView(): DataView {
    this.#view ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    return this.#view;
  }
}

/**
 * Appends the elementary types to memory that grows. `bytes` and `length` are open to the hot paths of the frame writer,
 * which reserve once and store directly.
 */
export class AmqpWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(bytes: Uint8Array = NOTHING) {
    this.bytes = bytes;
  }

  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2, 256));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.bytes[this.length++] = value >>> 8;
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.reserve(4);
    this.storeU32(this.length, value);
    this.length += 4;
  }

  /** An unsigned number up to 2^53. */
  u64(value: number): void {
    this.u32(Math.floor(value / TWO_32));
    this.u32(value);
  }

  /** Signed or unsigned: the low 64 bits. */
  bits64(value: bigint): void {
    this.u32(Number(BigInt.asUintN(32, value >> 32n)));
    this.u32(Number(BigInt.asUintN(32, value)));
  }

  f32(value: number): void {
    this.reserve(4);
    this.#view(4).setFloat32(0, value);
    this.length += 4;
  }

  f64(value: number): void {
    this.reserve(8);
    this.#view(8).setFloat64(0, value);
    this.length += 8;
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  shortstr(value: string): void {
    const encoded = utf8Encode(value);
    assert(encoded.length <= SHORTSTR_BYTES_MAX, () => `short string of ${encoded.length} bytes`);
    this.u8(encoded.length);
    this.raw(encoded);
  }

  longstr(value: Uint8Array): void {
    this.u32(value.length);
    this.raw(value);
  }

  /** Overwrites four bytes written before, for a size that is known only afterwards. */
  storeU32(at: number, value: number): void {
    const bytes = this.bytes;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  #view(count: number): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + this.length, count);
  }
}

export const readU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

/** An unsigned 64-bit number; exact up to 2^53, and above it still above 2^53. */
export const readU64 = (bytes: Uint8Array, at: number): number => readU32(bytes, at) * TWO_32 + readU32(bytes, at + 4);

/** Copies `source[start, end)` to `target[at...]` and answers where it ends. Short runs are not worth a view. */
export function copyRun(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  if (end - start <= 40) {
    let to = at;
    for (let from = start; from < end; from++) target[to++] = source[from]!;
    return to;
  }
  target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
  return at + end - start;
}
