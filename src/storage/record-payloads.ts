import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { groupId, type LogIndex, nodeId, type Term } from '../lib/ids.ts';
import type { LogBase } from '../raft/log-store.ts';
import { decodeMembership, encodeMembership, NO_MEMBERS } from '../raft/membership.ts';
import type { HardState } from '../raft/messages.ts';
import type { GroupLog } from './group-log.ts';
import type { Chunk, Segment, VoidRange } from './segment.ts';

/**
 * Payloads of the journal's own records. All of them are read behind a checksum, so the decoders may take their form
 * for granted; bytes that end early throw `TruncatedError`.
 */
export interface SegmentSummary {
  readonly number: number;
  readonly end: number;
  /** 0: it has no index. */
  readonly indexPosition: number;
}

/** The segments that are alive when a new one is opened, without the new one. */
export function encodeSegmentHead(segments: Iterable<Segment>): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  let count = 0;
  for (const segment of segments) {
    writer.u48(segment.number);
    writer.u32(segment.end);
    writer.u32(segment.indexPosition);
    count++;
  }
  writer.patchU32(0, count);
  return writer.finish();
}

export function decodeSegmentHead(payload: Uint8Array): SegmentSummary[] {
  const reader = new ByteReader(payload);
  const summaries: SegmentSummary[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    summaries.push({ number: reader.u48(), end: reader.u32(), indexPosition: reader.u32() });
  }
  return summaries;
}

/** What a group-state record says besides the last entry, which stands in the record's header. */
export interface GroupStatement {
  readonly hardState: HardState;
  readonly base: LogBase;
  readonly damaged: boolean;
}

export function encodeGroupStatement(group: GroupLog): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(group.damaged ? 1 : 0);
  writer.u48(group.hardState.term);
  writer.u32(group.hardState.vote ?? 0);
  writer.u48(group.hardState.commit);
  writer.u48(group.base.last.term);
  writer.u48(group.base.last.index);
  writer.bytes(encodeMembership(group.base.membership));
  return writer.finish();
}

/** `generation` stands in the record's header. */
export function decodeGroupStatement(payload: Uint8Array, generation: number): GroupStatement {
  const reader = new ByteReader(payload);
  const damaged = reader.u8() === 1;
  const hardState = { term: reader.u48(), vote: decodeVote(reader.u32()), commit: reader.u48() };
  const last = { term: reader.u48(), index: reader.u48() };
  const membership = decodeBaseMembership(reader.bytes(reader.remaining));
  return { damaged, hardState, base: { last, membership, generation } };
}

/** Term and commit stand in the record's header. */
export function encodeVote(hardState: HardState): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, hardState.vote ?? 0);
  return payload;
}

export const decodeHardState = (term: Term, commit: LogIndex, payload: Uint8Array): HardState => ({
  term,
  vote: decodeVote(new ByteReader(payload).u32()),
  commit,
});

const decodeVote = (vote: number): HardState['vote'] => (vote === 0 ? undefined : nodeId(vote));

export const decodeBaseMembership = (payload: Uint8Array): LogBase['membership'] =>
  decodeMembership(payload) ?? NO_MEMBERS;

/** One list per segment that has void records; the segment's number stands in the record's header as its index. */
export function encodeVoids(voids: readonly VoidRange[]): Uint8Array {
  const writer = new ByteWriter();
  for (const range of voids) {
    writer.u32(range.group);
    writer.u32(range.generation);
    writer.u48(range.from);
    writer.u48(range.to);
  }
  return writer.finish();
}

export function decodeVoids(payload: Uint8Array): VoidRange[] {
  const reader = new ByteReader(payload);
  const voids: VoidRange[] = [];
  while (reader.remaining > 0) {
    voids.push({ group: groupId(reader.u32()), generation: reader.u32(), from: reader.u48(), to: reader.u48() });
  }
  return voids;
}

/** Bytes of one record, and of one chunk's own fields, in a segment's index. */
export const INDEX_RECORD_BYTES = 12;
export const INDEX_CHUNK_BYTES = 28;

/** Where every valid entry and body of a segment lies, by group. */
export function encodeSegmentIndex(
  segment: Segment,
  configurationsOf: (group: number) => readonly LogIndex[],
): Uint8Array {
  const writer = new ByteWriter(4096);
  for (const usage of segment.usages.values()) {
    const configurations = configurationsOf(usage.group);
    for (const chunk of usage.chunks) encodeChunk(writer, chunk, configurations);
  }
  return writer.finish();
}

function encodeChunk(writer: ByteWriter, chunk: Chunk, configurations: readonly LogIndex[]): void {
  writer.u32(chunk.usage.group);
  writer.u32(chunk.generation);
  writer.u48(chunk.term);
  writer.u48(chunk.first);
  const countAt = writer.length;
  writer.u32(0);
  let count = 0;
  for (let slot = 0; slot < chunk.count; slot++) {
    if (chunk.isVoidAt(slot)) continue;
    writer.u32(chunk.indexAt(slot) - chunk.first);
    writer.u32(chunk.positionAt(slot));
    writer.u32(chunk.lengthAt(slot));
    count++;
  }
  writer.patchU32(countAt, count);
  const own = chunk.generation > 0 ? [] : configurations.filter(index => chunk.slotOf(index) >= 0);
  writer.u32(own.length);
  for (const index of own) writer.u48(index);
}

/** Called for each record listed in an index, in the order of the log. */
export type IndexVisitor = (
  group: number,
  generation: number,
  index: LogIndex,
  term: Term,
  isConfiguration: boolean,
  position: number,
  length: number,
) => void;

export function decodeSegmentIndex(payload: Uint8Array, visit: IndexVisitor): void {
  const reader = new ByteReader(payload);
  while (reader.remaining > 0) {
    const group = reader.u32();
    const generation = reader.u32();
    const term = reader.u48();
    const first = reader.u48();
    const count = reader.u32();
    const records = new ByteReader(reader.bytes(count * INDEX_RECORD_BYTES));
    const configurations = new Set<LogIndex>();
    for (let left = reader.u32(); left > 0; left--) configurations.add(reader.u48());
    for (let i = 0; i < count; i++) {
      const index = first + records.u32();
      visit(group, generation, index, term, configurations.has(index), records.u32(), records.u32());
    }
  }
}
