import type { Random } from '../../src/lib/random.ts';
import { parseFileName } from '../../src/storage/journal-work.ts';
import { RECORD_HEADER_BYTES, type RecordHeader, RecordType, recordBytes } from '../../src/storage/record-codec.ts';
import { SegmentReader } from '../../src/storage/segment-scan.ts';
import type { SimulatedFiles } from './simulated-files.ts';

type SegmentFiles = Pick<SimulatedFiles, 'list' | 'read' | 'flipBit'>;

/** Headers of the records from the start of a segment up to the first that is not whole. */
export function recordsOf(files: SegmentFiles, name: string): RecordHeader[] {
  const { bytes } = files.list().find(one => one.name === name)!;
  const reader = new SegmentReader(files, name, parseFileName(name)!.number, bytes);
  const headers: RecordHeader[] = [];
  for (let record = reader.recordAt(0); record !== undefined; ) {
    headers.push(record.header);
    record = reader.recordAt(record.header.position + recordBytes(record.header.length));
  }
  return headers;
}

/**
 * Damages some records of a segment, its index often among them, or any byte. The last batch of the journal (`isNewest`) proves that
 * those before it were synced, and stays.
 */
export function damageSegment(files: SegmentFiles, name: string, isNewest: boolean, random: Random): void {
  const records = recordsOf(files, name);
  const lastBatch = isNewest ? records.at(-1)?.batch : undefined;
  const synced = records.filter(({ batch }) => batch !== lastBatch);
  const index = synced.find(({ type }) => type === RecordType.segmentIndex);
  const any = (): RecordHeader => synced[random.integer(0, synced.length - 1)]!;
  const hit = Array.from({ length: synced.length && random.integer(0, 2) }, any);
  if (index !== undefined && random.integer(0, 1) === 1) hit.push(index);
  const places = hit.map(({ position, length }) => position + random.integer(0, RECORD_HEADER_BYTES + length - 1));
  const { bytes } = files.list().find(one => one.name === name)!;
  if (places.length === 0) places.push(random.integer(0, bytes - 1));
  for (const place of places) files.flipBit(name, place, random.integer(0, 7));
}
