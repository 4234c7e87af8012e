import { crc32 } from '../lib/crc32.ts';

/**
 * A record is the unit of the journal: a header of fixed size, a payload, and zeros up to the next multiple of eight.
 * The header names the segment, the position and the batch that the record was written for, and its checksum covers
 * them: what is left over in a recycled segment, was moved, or belongs to an earlier life of the tail never passes (R11).
 *
 *     0  u16 magic        14 u48 batch        32 u48 index
 *     2  u8  type         20 u32 position     38 u48 term
 *     3  u8  entry kind   24 u32 group        44 u32 CRC-32 of the payload
 *     4  u32 length       28 u32 generation   48 u32 CRC-32 of bytes 0 to 47
 *     8  u48 segment
 */
export const RECORD_HEADER_BYTES = 52;
export const RECORD_ALIGNMENT = 8;
const MAGIC = 0x5752;
const PAYLOAD_CRC_AT = 44;
const HEADER_CRC_AT = 48;

/** What a record is for. Numbers stand on disk and are never used again for something else. */
export const RecordType = {
  /** First record of a segment: which segments were alive and where their indexes are. */
  segmentHead: 1,
  /** All that is known of one group besides its entries (R12). */
  groupState: 2,
  hardState: 3,
  entry: 4,
  base: 5,
  /** An entry at or below the base, received in a snapshot transfer for a generation (R17). */
  body: 6,
  groupDropped: 7,
  /** Records of a segment that were replaced or given up: in a head since the segment was sealed, or by a snapshot (R12, R17). */
  voided: 8,
  /** Closes a batch: index = bytes of the batch before this record, term = its checksum. */
  batchEnd: 9,
  /** Last record of a sealed segment: where every entry and body in it lies. */
  segmentIndex: 10,
  /** Opens a batch early, and so proves that the batch before it was synced. */
  note: 11,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];
const RECORD_TYPE_MAX = 11;

export interface RecordHeader {
  readonly type: RecordType;
  readonly kind: number;
  /** Bytes of the payload. */
  readonly length: number;
  readonly segment: number;
  readonly batch: number;
  readonly position: number;
  readonly group: number;
  readonly generation: number;
  readonly index: number;
  readonly term: number;
  readonly payloadCrc: number;
  readonly headerCrc: number;
}

/** Bytes that a record with such a payload takes in its segment. */
export const recordBytes = (payloadLength: number): number => aligned(RECORD_HEADER_BYTES + payloadLength);

const aligned = (bytes: number): number => Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;

function setUint48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 2, value >>> 0);
}

const getUint48 = (view: DataView, at: number): number => view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2);

/** The header of a record without what follows from its payload. */
export type RecordFields = Omit<RecordHeader, 'length' | 'payloadCrc' | 'headerCrc'>;

/** Writes a header at `at`; `view` and `bytes` show the same memory. Returns the header's checksum. */
export function writeRecordHeader(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  fields: RecordFields,
  payload: Uint8Array,
): number {
  view.setUint16(at, MAGIC);
  bytes[at + 2] = fields.type;
  bytes[at + 3] = fields.kind;
  view.setUint32(at + 4, payload.length);
  setUint48(view, at + 8, fields.segment);
  setUint48(view, at + 14, fields.batch);
  view.setUint32(at + 20, fields.position);
  view.setUint32(at + 24, fields.group);
  view.setUint32(at + 28, fields.generation);
  setUint48(view, at + 32, fields.index);
  setUint48(view, at + 38, fields.term);
  view.setUint32(at + PAYLOAD_CRC_AT, crc32(payload));
  const headerCrc = crc32(bytes.subarray(at, at + HEADER_CRC_AT));
  view.setUint32(at + HEADER_CRC_AT, headerCrc);
  return headerCrc;
}

/**
 * The header at `at` in `bytes`, if it is one that was written for this position of this segment; undefined otherwise.
 * `bytes` may end before the payload does.
 */
export function readRecordHeader(
  bytes: Uint8Array,
  at: number,
  segment: number,
  position: number,
): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > bytes.length) return undefined;
  if (bytes[at] !== MAGIC >>> 8 || bytes[at + 1] !== (MAGIC & 0xff)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_HEADER_BYTES);
  if (view.getUint32(20) !== position || getUint48(view, 8) !== segment) return undefined;
  const headerCrc = view.getUint32(HEADER_CRC_AT);
  if (crc32(bytes.subarray(at, at + HEADER_CRC_AT)) !== headerCrc) return undefined;
  const type = bytes[at + 2]!;
  if (type === 0 || type > RECORD_TYPE_MAX) return undefined;
  return {
    type: type as RecordType,
    kind: bytes[at + 3]!,
    length: view.getUint32(4),
    segment,
    batch: getUint48(view, 14),
    position,
    group: view.getUint32(24),
    generation: view.getUint32(28),
    index: getUint48(view, 32),
    term: getUint48(view, 38),
    payloadCrc: view.getUint32(PAYLOAD_CRC_AT),
    headerCrc,
  };
}

export const payloadMatches = (header: RecordHeader, payload: Uint8Array): boolean =>
  payload.length === header.length && crc32(payload) === header.payloadCrc;

/** Checksum of a batch, continued over the header checksums of its records, each of which covers header and payload. */
export const batchChecksum = (checksum: number, headerCrc: number): number =>
  (Math.imul(checksum, 0x01000193) ^ headerCrc) >>> 0;

/** Where the checksum of a batch starts. */
export const batchChecksumSeed = (batch: number): number => (batch ^ 0x811c9dc5) >>> 0;
