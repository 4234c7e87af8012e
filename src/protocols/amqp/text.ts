import { utf8Decode, utf8Encode } from '../../lib/bytes.ts';

/** UTF-8 of `bytes[start, end)`. Short ASCII, which names are, does not pay for a call into the decoder. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 64) {
    let text = '';
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte > 0x7f) break;
      text += String.fromCharCode(byte);
    }
    if (at === end) return text;
  }
  return utf8Decode(bytes.subarray(start, end));
}

/** The longest beginning of `text` that takes at most `bytesMax` bytes in UTF-8. */
export function shortened(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const encoded = utf8Encode(text);
  if (encoded.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && (encoded[end]! & 0xc0) === 0x80) end--;
  return decodeText(encoded, 0, end);
}
