import type { ByteReader, ByteWriter } from '../lib/bytes.ts';

/** Where in a stream a consumer begins. A place that the stream does not have, or not any more, is the nearest one that it has. */
export type StreamOffset =
  /** With the oldest message; with the newest one; with the next that comes. */
  | { readonly from: 'first' | 'last' | 'next' }
  /** With the message of this offset. Messages count from 0. A safe integer. */
  | { readonly from: 'offset'; readonly offset: number }
  /** With the first message that came at this shard time or later. */
  | { readonly from: 'time'; readonly timeMs: number }
  /** With the first one that is no older than this. */
  | { readonly from: 'age'; readonly ageMs: number };

/** Codes in logs; a removed one is never given again. */
const CODES = ['first', 'last', 'next', 'offset', 'time', 'age'] as const;

export function writeStreamOffset(out: ByteWriter, offset: StreamOffset): void {
  out.u8(CODES.indexOf(offset.from));
  out.f64(numberOf(offset));
}

/** What is not sound comes from no node of this build: see `isStreamOffsetSound`. */
export function readStreamOffset(reader: ByteReader): StreamOffset {
  const from = CODES[reader.u8()];
  const value = reader.f64();
  switch (from) {
    case undefined:
      return { from: 'offset', offset: Number.NaN };
    case 'offset':
      return { from, offset: value };
    case 'time':
      return { from, timeMs: value };
    case 'age':
      return { from, ageMs: value };
    default:
      return { from };
  }
}

export const isStreamOffsetSound = (offset: StreamOffset): boolean => Number.isSafeInteger(numberOf(offset));

function numberOf(offset: StreamOffset): number {
  switch (offset.from) {
    case 'offset':
      return offset.offset;
    case 'time':
      return offset.timeMs;
    case 'age':
      return offset.ageMs;
    default:
      return 0;
  }
}
