import fc from 'fast-check';
import { expect, it } from 'vitest';
import { utf8Decode, utf8Encode } from '../../../src/lib/bytes.ts';

const piece = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 4 }).map(text => new TextEncoder().encode(text)),
  fc.constantFrom([0xef, 0xbf, 0xbd], [0xed, 0xb2, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]),
);

it('reads any bytes as text and gives the same bytes back', () => {
  fc.assert(
    fc.property(fc.array(piece), pieces => {
      const bytes = Uint8Array.from(pieces.flatMap(part => [...part]));
      expect(utf8Encode(utf8Decode(bytes))).toEqual(bytes);
    }),
    { numRuns: 2000 },
  );
});

it('reads UTF-8 as everybody does', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      expect(utf8Decode(new TextEncoder().encode(text))).toBe(text);
      expect(utf8Encode(text)).toEqual(new TextEncoder().encode(text));
    }),
  );
  expect(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41))).toBe('\ufeffA');
});
