import type { LogIndex } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { RecoveredGroup } from '../raft/log-store.ts';
import { decodeMembership } from '../raft/membership.ts';
import type { Entry, EntryKind, Membership } from '../raft/messages.ts';
import type { Allocate } from './batch-writer.ts';
import type { GroupLog, Location } from './group-log.ts';
import { Journal } from './journal.ts';
import { JournalReplay } from './journal-replay.ts';
import { type JournalOptions, parseFileName, segmentFile, spareFile } from './journal-work.ts';
import { payloadMatches, RECORD_HEADER_BYTES, RecordType, readRecordHeader, recordBytes } from './record-codec.ts';
import { Segment } from './segment.ts';
import { type JournalFiles, type ScanResult, SegmentReader, scanSegment } from './segment-scan.ts';
import type { Spares } from './spare-files.ts';

/** What recovery met, for the log of the node. */
export interface RecoveryReport {
  readonly segments: number;
  /** Bytes of the tail that were written and never acknowledged. */
  readonly tornBytes: number;
  /** One sentence each. */
  readonly damages: readonly string[];
}

/**
 * `lost`: not even the state of the groups could be found. The replicas of this directory have forgotten their votes, so
 * it must not be used again under its id (R16).
 */
export type Recovery =
  | {
      readonly recovered: true;
      readonly journal: Journal;
      readonly groups: readonly RecoveredGroup[];
      readonly report: RecoveryReport;
    }
  | { readonly recovered: false; readonly reason: string };

interface FoundSegment {
  readonly number: number;
  readonly bytes: number;
}

/** What the journal's files say. `unused`: nothing yet. `lost`: see `Recovery`. */
type JournalReading =
  | { readonly found: 'unused'; readonly spares: Spares }
  | { readonly found: 'lost' }
  | {
      readonly found: 'journal';
      readonly files: readonly FoundSegment[];
      readonly spares: Spares;
      readonly replay: JournalReplay;
      readonly tail: FoundSegment;
      readonly end: ScanResult;
      readonly groups: readonly RecoveredGroup[];
    };

/**
 * Reads the journal: of sealed segments the index, of the newest one everything. The journal's first work must be
 * completed before what was recovered is used: it makes durable what may only have been in the system's memory.
 */
export function recoverJournal(files: JournalFiles, options: JournalOptions, allocate?: Allocate): Recovery {
  const reading = readJournal(files);
  if (reading.found === 'lost') return { recovered: false, reason: 'no segment of the journal has a readable head' };
  if (reading.found === 'unused') return start(options, allocate, reading.spares);
  const { replay, tail, end, groups, spares } = reading;
  const isIntact = replay.damages.length === 0;
  const last = replay.segments.at(-1)!;
  const isOpen = isIntact && end.indexPosition === 0;
  last.isSealed = !isOpen;
  // The index of a segment that goes on will not list what is void now, but may list its like, written later.
  if (isOpen) last.voids.length = 0;
  const journal = new Journal(
    {
      segments: replay.segments,
      open: isOpen,
      groups: replay.groups,
      batch: end.batch,
      segmentNumber: tail.number,
      spares,
      leftovers: leftovers(reading.files, replay.segments),
    },
    options,
    allocate,
  );
  const report = {
    segments: replay.segments.length,
    tornBytes: isIntact ? tornBytes(files, tail, end) : 0,
    damages: replay.damages,
  };
  return { recovered: true, journal, groups, report };
}

/** What a recovery would find, for whoever only looks. Undefined: the journal is lost. */
export function readGroups(files: JournalFiles): readonly RecoveredGroup[] | undefined {
  const reading = readJournal(files);
  if (reading.found === 'lost') return undefined;
  return reading.found === 'unused' ? [] : reading.groups;
}

function readJournal(files: JournalFiles): JournalReading {
  const { segments, spares } = listFiles(files);
  const newest = segments.findLast(segment => hasHead(files, segment));
  if (newest === undefined) return isUnused(files, segments) ? { found: 'unused', spares } : { found: 'lost' };
  const replay = new JournalReplay(files, segments);
  const newer = segments.filter(segment => segment.number > newest.number);
  let end = scanTail(files, replay, newest, undefined, newer.length > 0);
  let tail = newest;
  for (const segment of newer) {
    const reader = readerOf(files, segment);
    if (!reader.hasLaterBatch(0, end.batch + 1)) {
      reached('recovery.segment-without-head');
      continue;
    }
    end = scanTail(files, replay, segment, end.batch + 1, false);
    tail = segment;
  }
  replay.finish();
  const groups = replay.groups.map(group => recoveredGroup(files, group, replay.damages));
  return { found: 'journal', files: segments, spares, replay, tail, end, groups };
}

/** What a read at a location gave: the entry, or that it is not there any more as it was written. */
export function decodeEntryAt(location: Location, record: Uint8Array): Entry | undefined {
  const header = readRecordHeader(record, 0, location.segment, location.position);
  if (header === undefined || header.group !== location.group || header.index !== location.index) return undefined;
  const payload = record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + header.length);
  if (header.term !== location.term || !payloadMatches(header, payload)) return undefined;
  return { kind: header.kind as EntryKind, index: header.index, term: header.term, payload };
}

/** Bytes to read at a location for `decodeEntryAt`. */
export const bytesAt = (location: Location): number => recordBytes(location.length);

/** A first start that was interrupted leaves at most a first segment in which nothing was written after its head. */
function isUnused(files: JournalFiles, segments: readonly FoundSegment[]): boolean {
  const first = segments[0];
  if (first === undefined) return true;
  return segments.length === 1 && first.number === 1 && !readerOf(files, first).hasLaterBatch(0, 1);
}

function start(options: JournalOptions, allocate: Allocate | undefined, spares: Spares): Recovery {
  const state = { segments: [], open: false, groups: [], batch: 0, segmentNumber: 0, spares, leftovers: [] };
  const journal = new Journal(state, options, allocate);
  return { recovered: true, journal, groups: [], report: { segments: 0, tornBytes: 0, damages: [] } };
}

function listFiles(files: JournalFiles): {
  segments: FoundSegment[];
  spares: Spares;
} {
  const segments: FoundSegment[] = [];
  const spares: string[] = [];
  let number = 0;
  for (const { name, bytes } of files.list()) {
    const parsed = parseFileName(name);
    if (parsed === undefined) continue;
    if (parsed.isSpare) {
      spares.push(spareFile(parsed.number));
      number = Math.max(number, parsed.number);
    } else {
      segments.push({ number: parsed.number, bytes });
    }
  }
  segments.sort((a, b) => a.number - b.number);
  return { segments, spares: { files: spares.sort(), number } };
}

const readerOf = (files: JournalFiles, segment: FoundSegment): SegmentReader =>
  new SegmentReader(files, segmentFile(segment.number), segment.number, segment.bytes);

/** Whether the segment begins with a batch that is whole. */
function hasHead(files: JournalFiles, segment: FoundSegment): boolean {
  const reader = readerOf(files, segment);
  const batch = reader.headerAt(0)?.batch;
  if (batch === undefined) return false;
  for (let position = 0; ; ) {
    const record = reader.recordAt(position);
    if (record === undefined || record.header.batch !== batch) return false;
    if (record.header.type === RecordType.batchEnd) return record.header.index === position;
    position += recordBytes(record.header.length);
  }
}

function scanTail(
  files: JournalFiles,
  replay: JournalReplay,
  found: FoundSegment,
  batch: number | undefined,
  wasSealed: boolean,
): ScanResult {
  const segment = new Segment(found.number);
  const result = scanSegment(readerOf(files, found), { batch, wasSealed }, records => replay.batch(segment, records));
  segment.end = result.end;
  segment.durableEnd = result.end;
  segment.indexPosition = result.indexPosition;
  replay.tail(segment, result.damages);
  return result;
}

/** Segments that no head knows: their deletion was not durable. */
function leftovers(found: readonly FoundSegment[], known: readonly Segment[]): string[] {
  const last = known.at(-1)!.number;
  const unknown = found.filter(one => one.number < last && !known.some(segment => segment.number === one.number));
  return unknown.map(one => segmentFile(one.number));
}

/** How far behind the end something was written; the rest of a spare does not count. */
function tornBytes(files: JournalFiles, tail: FoundSegment, result: ScanResult): number {
  const reader = readerOf(files, tail);
  const torn = result.indexPosition === 0 ? reader.nextRecord(result.end, result.batch + 1) : undefined;
  if (torn === undefined) return 0;
  let position = torn.header.position;
  for (let record = reader.recordAt(position); record !== undefined; record = reader.recordAt(position)) {
    position += recordBytes(record.header.length);
  }
  return position - result.end;
}

function recoveredGroup(files: JournalFiles, group: GroupLog, damages: string[]): RecoveredGroup {
  const configurations: { index: LogIndex; membership: Membership }[] = [];
  for (const index of group.configurations) {
    const location = group.locate(index);
    if (location === undefined) continue;
    const record = files.read(segmentFile(location.segment), location.position, bytesAt(location));
    const entry = decodeEntryAt(location, record);
    const membership = entry === undefined ? undefined : decodeMembership(entry.payload);
    if (membership !== undefined) {
      configurations.push({ index, membership });
      continue;
    }
    group.damaged = true;
    damages.push(`group ${group.group}: configuration ${index} is damaged`);
  }
  const { hardState, base, damaged } = group;
  return { group: group.group, hardState, base, log: group.termRuns().runs, configurations, damaged };
}
