import {
  batchChecksum,
  batchChecksumSeed,
  payloadMatches,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  RecordType,
  readRecordHeader,
  recordBytes,
} from './record-codec.ts';

/** How recovery reads the journal's directory: synchronous, before anything else runs. */
export interface JournalFiles {
  list(): readonly { readonly name: string; readonly bytes: number }[];
  /** Up to `length` bytes; fewer at the end of the file. */
  read(name: string, position: number, length: number): Uint8Array;
}

export interface ScannedRecord {
  readonly header: RecordHeader;
  readonly payload: Uint8Array;
}

const WINDOW_BYTES = 1024 * 1024;

/** Reads records of one segment through a window, so that a scan reads each byte about once. */
export class SegmentReader {
  readonly #files: JournalFiles;
  readonly #file: string;
  readonly #segment: number;
  readonly #end: number;
  #window = new Uint8Array(0);
  #windowStart = 0;

  /** `end`: nothing from there on counts. */
  constructor(files: JournalFiles, file: string, segment: number, end: number) {
    this.#files = files;
    this.#file = file;
    this.#segment = segment;
    this.#end = end;
  }

  get end(): number {
    return this.#end;
  }

  /** A valid header for this position, whatever its payload. */
  headerAt(position: number): RecordHeader | undefined {
    if (!this.#load(position, RECORD_HEADER_BYTES)) return undefined;
    return readRecordHeader(this.#window, position - this.#windowStart, this.#segment, position);
  }

  /** The payload that belongs to a header, if it is whole. */
  payloadOf(header: RecordHeader): Uint8Array | undefined {
    const start = header.position + RECORD_HEADER_BYTES;
    if (!this.#load(start, header.length)) return undefined;
    const payload = this.#window.subarray(start - this.#windowStart, start - this.#windowStart + header.length);
    return payloadMatches(header, payload) ? payload : undefined;
  }

  recordAt(position: number): ScannedRecord | undefined {
    const header = this.headerAt(position);
    const payload = header === undefined ? undefined : this.payloadOf(header);
    return header === undefined || payload === undefined ? undefined : { header, payload };
  }

  /** The next whole record at or behind `position` that belongs to `batchMin` or a later batch. */
  nextRecord(position: number, batchMin: number): ScannedRecord | undefined {
    for (let at = position; at + RECORD_HEADER_BYTES <= this.#end; at += RECORD_ALIGNMENT) {
      const header = this.headerAt(at);
      if (header === undefined || header.batch < batchMin) continue;
      const payload = this.payloadOf(header);
      if (payload !== undefined) return { header, payload };
    }
    return undefined;
  }

  /** Whether there is a header of a later batch behind `position`: then `batch` was synced before that was written. */
  hasLaterBatch(position: number, batch: number): boolean {
    for (let at = position; at + RECORD_HEADER_BYTES <= this.#end; at += RECORD_ALIGNMENT) {
      const header = this.headerAt(at);
      if (header !== undefined && header.batch > batch) return true;
    }
    return false;
  }

  #load(position: number, length: number): boolean {
    if (position + length > this.#end) return false;
    const at = position - this.#windowStart;
    if (at >= 0 && at + length <= this.#window.length) return true;
    const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.#end - position);
    this.#window = this.#files.read(this.#file, position, wanted) as Uint8Array<ArrayBuffer>;
    this.#windowStart = position;
    return this.#window.length >= length;
  }
}

/** Something that had been synced is not there any more. `groups` undefined: it may have been any group's. */
export interface Damage {
  readonly position: number;
  readonly group: number | undefined;
}

export interface ScanResult {
  /** Behind the last batch that counts; what follows is torn. */
  readonly end: number;
  readonly batch: number;
  /** Where the index is, if the segment was sealed. */
  readonly indexPosition: number;
  readonly damages: readonly Damage[];
}

/**
 * Reads a segment batch by batch and hands out the records of each batch that counts. A batch that is not whole is torn
 * if nothing later was written, and then none of it counts. If a later batch exists, or `wasSealed` says that the
 * segment had been finished, it had been synced, so this is damage: what is still readable is handed out, the rest is
 * reported (R11; "Protocol-Aware Recovery", 3.3).
 */
export function scanSegment(
  reader: SegmentReader,
  from: { readonly batch: number | undefined; readonly wasSealed: boolean },
  visit: (records: readonly ScannedRecord[]) => void,
): ScanResult {
  const damages: Damage[] = [];
  let batch = from.batch ?? reader.headerAt(0)?.batch ?? 1;
  let position = 0;
  let end = 0;
  let lastBatch = batch - 1;
  let indexPosition = 0;
  let records: ScannedRecord[] = [];
  let checksum = batchChecksumSeed(batch);
  let start = 0;
  let isDamaged = false;

  const finish = (at: number): void => {
    visit(records);
    indexPosition =
      records.find(record => record.header.type === RecordType.segmentIndex)?.header.position ?? indexPosition;
    records = [];
    start = at;
    end = at;
    lastBatch = batch;
    batch++;
    checksum = batchChecksumSeed(batch);
    isDamaged = false;
  };

  while (indexPosition === 0) {
    const record = reader.recordAt(position);
    if (record !== undefined && record.header.batch === batch) {
      const { header } = record;
      const next = position + recordBytes(header.length);
      const isWhole = header.index === position - start && header.term === checksum;
      if (header.type !== RecordType.batchEnd) {
        records.push(record);
        checksum = batchChecksum(checksum, header.headerCrc);
        position = next;
        continue;
      }
      if (isWhole || isDamaged || from.wasSealed || reader.hasLaterBatch(next, batch)) {
        if (!isWhole && !isDamaged) damages.push({ position: start, group: undefined });
        position = next;
        finish(next);
        continue;
      }
      break;
    }
    if (!from.wasSealed && !reader.hasLaterBatch(position, batch)) break;
    const broken = reader.headerAt(position);
    if (broken?.type === RecordType.segmentIndex && broken.batch === batch) {
      // Every record before it was read.
      indexPosition = position;
      finish(position);
      break;
    }
    const next = reader.nextRecord(position, batch);
    damages.push({ position, group: damagedGroup(broken, batch, next) });
    if (next === undefined) {
      finish(position);
      break;
    }
    if (next.header.batch > batch) {
      finish(next.header.position);
      batch = next.header.batch;
    }
    isDamaged = true;
    position = next.header.position;
  }
  return { end, batch: lastBatch, indexPosition, damages };
}

/** If only a payload is damaged, its header tells whose it was, provided that nothing else is missing before the next record. */
function damagedGroup(
  broken: RecordHeader | undefined,
  batch: number,
  next: ScannedRecord | undefined,
): number | undefined {
  if (broken === undefined || broken.batch !== batch || next === undefined) return undefined;
  if (broken.type === RecordType.segmentHead || broken.type === RecordType.voided) return undefined;
  const follows = broken.position + recordBytes(broken.length) === next.header.position;
  return follows && next.header.batch === batch ? broken.group : undefined;
}
