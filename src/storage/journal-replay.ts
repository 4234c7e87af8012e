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
  /** What is gone of older segments whose index is gone, too. */
  readonly #losses: (Damage & { readonly segment: Segment })[] = [];
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
    for (const log of this.#groups.values()) if (group === undefined || log.group === group) log.damaged = true;
  }

  finish(): void {
    this.#countLosses();
    for (const group of this.#groups.values()) {
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
        return;
      case RecordType.hardState: {
        const group = this.#known(header, segment);
        if (group !== undefined) group.hardState = decodeHardState(term, index, payload);
        return;
      }
      case RecordType.base: {
        const group = this.#known(header, segment);
        const base: LogBase = { last: { term, index }, membership: decodeBaseMembership(payload), generation };
        if (group === undefined) return;
        if (index >= group.base.last.index || generation > group.base.generation)
          group.setBase(base, header.kind === 1);
        return;
      }
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
    if (group === undefined) return;
    if (type === RecordType.body) {
      group.addBody(segment, generation, index, term, position, length);
    } else if (index <= group.base.last.index || index > group.lastIndex + 1) {
      group.damaged = true;
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
    const index = summary.indexPosition === 0 ? undefined : reader.recordAt(summary.indexPosition);
    if (index?.header.type === RecordType.segmentIndex) {
      segment.indexPosition = summary.indexPosition;
      decodeSegmentIndex(index.payload, add);
      return;
    }
    reached('recovery.index-rebuilt');
    const { damages } = scanSegment(reader, { batch: undefined, wasSealed: true }, records => {
      for (const { header } of records) {
        const { type, group, generation, index: at, term, kind, position, length } = header;
        if (type !== RecordType.entry && type !== RecordType.body) continue;
        add(group, generation, at, term, kind === EntryKind.configuration, position, length);
      }
    });
    const recordsEnd = summary.indexPosition || summary.end;
    for (const damage of damages) if (damage.position < recordsEnd) this.#losses.push({ ...damage, segment });
  }

  /**
   * What a segment lost before its index was rebuilt may have replaced entries before it in the segment: a log in which they still
   * count may be one that never was. In older segments they are void if they were replaced, as are all if the log began anew since.
   */
  #countLosses(): void {
    for (const { segment, position, group } of this.#losses) {
      for (const log of this.#groups.values()) {
        if (log.damaged || (group !== undefined && log.group !== group)) continue;
        if (log.hasEntryBefore(segment, position)) {
          reached('recovery.lost-before-index');
          this.damages.push(`segment ${segment.number}: position ${position} is damaged, group ${log.group}`);
          log.damaged = true;
        }
      }
    }
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
  #known(header: RecordHeader, segment: Segment): GroupLog | undefined {
    const group = this.#groups.get(groupId(header.group));
    if (group === undefined) {
      this.damages.push(`segment ${segment.number}: nothing states group ${header.group}`);
    }
    return group;
  }
}
