import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EnvelopeReader,
  FRAME_OVERHEAD_BYTES_MAX,
  frameBytes,
  writeFrameHead,
} from '../../../src/cluster/transport/envelope-codec.ts';
import { EnvelopeSchema } from '../../../src/gen/node_pb.ts';
import { bytesEqual } from '../../../src/lib/bytes.ts';

interface PlainFrame {
  readonly kind: number;
  readonly group: number;
  readonly payload: Uint8Array;
}

const frameArb: fc.Arbitrary<PlainFrame> = fc.record({
  kind: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })),
  group: fc.oneof(fc.constant(0), fc.constant(0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff })),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    // Where the length takes one byte more.
    fc.constantFrom(127, 128, 16_383, 16_384).map(size => new Uint8Array(size).fill(size)),
  ),
});

function write(frames: readonly PlainFrame[]): Uint8Array {
  const total = frames.reduce((sum, frame) => sum + frameBytes(frame.kind, frame.group, frame.payload.length), 0);
  const message = new Uint8Array(total);
  let at = 0;
  for (const { kind, group, payload } of frames) {
    at = writeFrameHead(message, at, kind, group, payload.length);
    message.set(payload, at);
    at += payload.length;
  }
  expect(at).toBe(total);
  return message;
}

function read(message: Uint8Array): { frames: PlainFrame[]; isDamaged: boolean } {
  const reader = new EnvelopeReader();
  const frames: PlainFrame[] = [];
  reader.read(message);
  while (reader.next()) frames.push({ kind: reader.kind, group: reader.group, payload: reader.payload.slice() });
  return { frames, isDamaged: reader.isDamaged };
}

const framesArb = fc.array(frameArb, { maxLength: 8 });

describe('the envelope codec', () => {
  it('writes the bytes that the generated code writes', () => {
    fc.assert(
      fc.property(framesArb, frames => {
        const bytes = toBinary(EnvelopeSchema, create(EnvelopeSchema, { frames: [...frames] }));
        expect(bytesEqual(write(frames), bytes)).toBe(true);
      }),
    );
  });

  it('reads what the generated code writes', () => {
    fc.assert(
      fc.property(framesArb, frames => {
        const bytes = toBinary(EnvelopeSchema, create(EnvelopeSchema, { frames: [...frames] }));
        const ours = read(bytes);
        expect(ours.isDamaged).toBe(false);
        expect(ours.frames.map(({ kind, group }) => [kind, group])).toEqual(
          frames.map(({ kind, group }) => [kind, group]),
        );
        expect(ours.frames.every(({ payload }, at) => bytesEqual(payload, frames[at]!.payload))).toBe(true);
      }),
    );
  });

  it('agrees with the generated code about damaged bytes, and never reads outside them', () => {
    fc.assert(
      fc.property(
        framesArb,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        fc.nat(),
        (frames, pokes, cut) => {
          const whole = write(frames);
          const bytes = whole.slice(0, whole.length === 0 ? 0 : cut % (whole.length + 1));
          for (const [at, value] of pokes) if (bytes.length > 0) bytes[at % bytes.length] = value;
          const ours = read(bytes);
          let theirs: PlainFrame[] | undefined;
          try {
            theirs = fromBinary(EnvelopeSchema, bytes).frames;
          } catch {
            theirs = undefined;
          }
          // Their code takes groups (an old wire type) and varints above 32 bits; ours need not agree on those.
          if (theirs === undefined) expect(ours.isDamaged).toBe(true);
          if (!ours.isDamaged && theirs !== undefined) expect(ours.frames).toHaveLength(theirs.length);
        },
      ),
    );
  });

  it('skips fields that it does not know, in the envelope and in a frame', () => {
    const frame = [0x08, 7, 0x20, 0x96, 0x01, 0x2a, 2, 1, 2, 0x35, 1, 2, 3, 4, 0x1a, 1, 9];
    const message = Uint8Array.of(0x10, 5, 0x0a, frame.length, ...frame, 0x19, 1, 2, 3, 4, 5, 6, 7, 8);
    expect(read(message)).toEqual({
      frames: [{ kind: 7, group: 0, payload: Uint8Array.of(9) }],
      isDamaged: false,
    });
  });

  it('adds at most its stated overhead to a payload', () => {
    expect(frameBytes(255, 0xffff_ffff, 200_000) - 200_000).toBe(FRAME_OVERHEAD_BYTES_MAX);
  });
});
