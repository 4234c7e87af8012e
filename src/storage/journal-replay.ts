import { type GroupId, groupId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { LogBase } from '../raft/log-store.ts';
import { EntryKind } from '../raft/messages.ts';
import { GroupLog } from './group-log.ts';
import { segmentFile } from './journal-work.ts';
import { type RecordHeader, RecordType } from './record-codec.ts';
import {
  decodeBaseMembership,
  decodeGroupStatement,
  decodeHardState,
  decodeSegmentHead,
  decodeSegmentIndex,
  decodeVoids,
  encodeSegmentIndex,
  type IndexVisitor,
  type SegmentSummary,
} from './record-payloads.ts';
import { Segment, type VoidRange } from './segment.ts';
import { type Damage, type JournalFiles, type ScannedRecord, SegmentReader, scanSegment } from './segment-scan.ts';

/**
 * Rebuilds the groups from records in the order in which they were written. The head of the newest segment says which
 * older segments count and what every group's state was then; older segments only give locations (R12).
 */
export class JournalReplay {
  readonly segments: Segment[] = [];
  readonly damages: string[] = [];
  readonly #files: JournalFiles;
  readonly #found: ReadonlyMap<number, number>;
  readonly #groups = new Map<GroupId, GroupLog>();
  /** Who has lost something; undefined: perhaps everybody. No statement in a later segment takes that back. */
  readonly #losers = new Set<GroupId | undefined>();
  #isHeadRead = false;

  /** `found`: segment files with their sizes. */
  constructor(files: JournalFiles, found: readonly { readonly number: number; readonly bytes: number }[]) {
    this.#files = files;
    this.#found = new Map(found.map(one => [one.number, one.bytes]));
  }

  get groups(): GroupLog[] {
    return [...this.#groups.values()];
  }

  /** Takes in one batch of the segment that is being scanned. */
  batch(segment: Segment, records: readonly ScannedRecord[]): void {
    const head = this.#isHeadRead ? undefined : records.find(one => one.header.type === RecordType.segmentHead);
    if (head !== undefined) {
      this.#isHeadRead = true;
      const voids = new Map<number, VoidRange[]>();
      for (const { header, payload } of records) {
        if (header.type === RecordType.voided) voids.set(header.index, decodeVoids(payload));
      }
      for (const summary of decodeSegmentHead(head.payload)) this.#loadOlder(summary, voids.get(summary.number) ?? []);
    }
    const stated = new Set<GroupId>();
    for (const record of records) {
      if (record.header.type === RecordType.groupState) stated.add(groupId(record.header.group));
      this.#apply(segment, record);
    }
    if (head === undefined) return;
    for (const [id, group] of this.#groups) {
      if (stated.has(id)) continue;
      group.drop();
      this.#groups.delete(id);
    }
  }

  /** The scan of a segment is over. */
  tail(segment: Segment, damages: readonly Damage[]): void {
    segment.isSealed = true;
    this.segments.push(segment);
    for (const { group, position } of damages) this.damage(segment, group, `position ${position} is damaged`);
  }

  /** What was acknowledged is gone: of one group, or nobody knows of which. */
  damage(segment: Segment, group: number | undefined, what: string): void {
    reached('recovery.damage-found');
    const whose = group === undefined ? 'any group' : `group ${group}`;
    this.damages.push(`segment ${segment.number}: ${what}, ${whose}`);
    this.#losers.add(group === undefined ? undefined : groupId(group));
  }

  finish(): void {
    // One that only its loss tells of has lost its statement.
    for (const id of this.#losers) if (id !== undefined) this.#groupOf(id);
    for (const group of this.#groups.values()) {
      if (this.#losers.has(undefined) || this.#losers.has(group.group)) group.damaged = true;
      group.abandonPendingBodies();
      this.#closeGap(group);
      group.accounted = group.base.last.index === 0;
    }
    for (const segment of this.segments) {
      for (const usage of segment.usages.values()) for (const chunk of usage.chunks) chunk.trim();
    }
  }

  #apply(segment: Segment, { header, payload }: ScannedRecord): void {
    const { type, index, term, generation } = header;
    switch (type) {
      case RecordType.groupState:
        this.#establish(header, payload);
        return;
      case RecordType.entry:
      case RecordType.body:
        this.#add(segment, header);
        return;
      case RecordType.groupDropped:
        this.#groups.get(groupId(header.group))?.drop();
        this.#groups.delete(groupId(header.group));
        this.#losers.delete(groupId(header.group));
        return;
      case RecordType.hardState: {
        this.#known(header, segment).hardState = decodeHardState(term, index, payload);
        return;
      }
      case RecordType.base: {
        const group = this.#known(header, segment);
        const base: LogBase = { last: { term, index }, membership: decodeBaseMembership(payload), generation };
        if (index >= group.base.last.index || generation > group.base.generation)
          group.setBase(base, header.kind === 1);
        return;
      }
      case RecordType.voided:
        for (const range of decodeVoids(payload)) this.#groups.get(range.group)?.discard(index, range);
        return;
      default:
        return;
    }
  }

  /** Sets what a group-state record says; from then on the log is what the record says, no more and no less. */
  #establish(header: RecordHeader, payload: Uint8Array): void {
    const group = this.#groupOf(groupId(header.group));
    const { hardState, base, damaged } = decodeGroupStatement(payload, header.generation);
    group.hardState = hardState;
    group.damaged = damaged;
    group.establish(base, { term: header.term, index: header.index });
  }

  #add(segment: Segment, header: RecordHeader): void {
    const { type, generation, index, term, position, length } = header;
    const group = this.#known(header, segment);
    if (type === RecordType.body) {
      group.addBody(segment, generation, index, term, position, length);
    } else if (index <= group.base.last.index || index > group.lastIndex + 1) {
      this.#losers.add(group.group);
      this.damages.push(`segment ${segment.number}: entry ${index} of group ${group.group} does not follow its log`);
    } else {
      group.addEntry(segment, index, term, header.kind === EntryKind.configuration, position, length);
    }
  }

  /** Takes the locations of an older segment from its index, or from its records if that is damaged. */
  #loadOlder(summary: SegmentSummary, voids: readonly VoidRange[]): void {
    const bytes = this.#found.get(summary.number);
    if (bytes === undefined) return;
    const segment = new Segment(summary.number);
    segment.end = summary.end;
    segment.durableEnd = summary.end;
    segment.isSealed = true;
    segment.voids.push(...voids);
    this.segments.push(segment);
    const end = Math.min(summary.end, bytes);
    const reader = new SegmentReader(this.#files, segmentFile(summary.number), summary.number, end);
    const add = (
      group: number,
      generation: number,
      index: number,
      term: number,
      isConfiguration: boolean,
      at: number,
      length: number,
    ): void => {
      const isVoid = voids.some(
        range => range.group === group && range.generation === generation && range.from <= index && index <= range.to,
      );
      if (isVoid) return;
      const log = this.#groupOf(groupId(group));
      if (generation > 0) log.addBody(segment, generation, index, term, at, length);
      else log.addEntry(segment, index, term, isConfiguration, at, length);
    };
    segment.indexPosition = summary.indexPosition;
    const index = summary.indexPosition === 0 ? undefined : reader.recordAt(summary.indexPosition);
    if (index?.header.type === RecordType.segmentIndex) decodeSegmentIndex(index.payload, add);
    else this.#rebuildIndex(reader, summary, add);
  }

  /**
   * What the index would say, from the segment's own records. Of a group that has lost some of them nothing counts that lies before:
   * it may have been replaced by what is lost. Behind the base that leaves a gap; a message at or below it is nowhere.
   */
  #rebuildIndex(reader: SegmentReader, summary: SegmentSummary, visit: IndexVisitor): void {
    reached('recovery.index-rebuilt');
    const alone = new JournalReplay(this.#files, []);
    const segment = new Segment(summary.number);
    const { damages } = scanSegment(reader, { batch: undefined, wasSealed: true }, records =>
      alone.batch(segment, records),
    );
    const recordsEnd = summary.indexPosition || summary.end;
    const losses = damages.filter(({ position }) => position < recordsEnd);
    const payload = encodeSegmentIndex(segment, id => alone.#groups.get(groupId(id))?.configurations ?? []);
    decodeSegmentIndex(payload, (group, generation, at, term, isConfiguration, position, length) => {
      if (losses.some(lost => position < lost.position && (lost.group === undefined || lost.group === group))) {
        reached('recovery.lost-before-index');
        return;
      }
      visit(group, generation, at, term, isConfiguration, position, length);
    });
  }

  /** Entries that a group must have and has not: it goes on with those before the gap, damaged. */
  #closeGap(group: GroupLog): void {
    const { missingFrom } = group.termRuns();
    if (missingFrom === undefined) return;
    this.damages.push(`group ${group.group}: entry ${missingFrom} is missing`);
    reached('recovery.gap-closed');
    group.damaged = true;
    group.truncate(missingFrom);
  }

  #groupOf(id: GroupId): GroupLog {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new GroupLog(id);
      this.#groups.set(id, group);
    }
    return group;
  }

  /** Each group's first record states it; a record without that means that the statement is lost. */
  #known(header: RecordHeader, segment: Segment): GroupLog {
    const id = groupId(header.group);
    const known = this.#groups.get(id);
    if (known !== undefined) return known;
    this.damages.push(`segment ${segment.number}: nothing states group ${id}`);
    this.#losers.add(id);
    return this.#groupOf(id);
  }
}
