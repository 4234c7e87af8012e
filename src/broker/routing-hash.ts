const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const TWO_32 = 0x1_0000_0000;

/** 32 bits of a text, the same on every node and for ever: partitions depend on it. FNV-1a with MurmurHash3's final mix. */
export function hashOf(text: string): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), FNV_PRIME);
    hash = Math.imul(hash ^ (unit >>> 8), FNV_PRIME);
  }
  return mixed(hash);
}

/**
 * Jump consistent hash (Lamping and Veach, 2014): the bucket of a key among `buckets`, such that one bucket more moves
 * only the keys that now belong to it. The generator differs from the paper's, whose 64-bit arithmetic is slow here.
 */
export function jumpHash(hash: number, buckets: number): number {
  let bucket = 0;
  let next = 0;
  let state = hash;
  while (next < buckets) {
    bucket = next;
    state = (state + 0x9e3779b9) | 0;
    next = Math.floor((bucket + 1) / ((mixed(state) + 1) / TWO_32));
  }
  return bucket;
}

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
