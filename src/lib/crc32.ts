import { crc32 as zlibCrc32 } from 'node:zlib';

/**
 * CRC-32 (IEEE 802.3), continued from `seed`. The one `node:` import that pure folders may reach: it is a function of its
 * arguments.
 */
export const crc32 = (bytes: Uint8Array, seed = 0): number => zlibCrc32(bytes, seed);
