import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../src/lib/assert.ts';
import { groupId, type LogIndex } from '../../src/lib/ids.ts';
import { HASH_MARK_ENTRIES } from '../../src/queue/limits.ts';
import type { HashMark } from '../../src/queue/running-hash.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { ShardOverview } from '../../src/queue/shard-reading.ts';
import { type Entry, type EntryId, EntryKind } from '../../src/raft/messages.ts';
import { assembleCheckpoint, readManifest } from '../../src/storage/checkpoint-codec.ts';
import { bytesAt, decodeEntryAt, recoverJournal } from '../../src/storage/journal-recovery.ts';
import { segmentFile } from '../../src/storage/journal-work.ts';
import { manifestKey } from '../../src/storage/keyspace.ts';
import type { JournalFiles } from '../../src/storage/segment-scan.ts';

/** Where recorded logs lie: one folder for each, never changed once a version that wrote it is released. */
export const LOGS = join(import.meta.dirname, '../fixtures/logs');
export const SHARD = groupId(1);
/** The checkpoint beside the log was cut here. */
export const CHECKPOINT_AT = HASH_MARK_ENTRIES >> 1;

/** What the state must be after the recorded entries. */
export interface ExpectedState {
  readonly lastIndex: LogIndex;
  /** The machine's running hash over its decisions (R22). */
  readonly mark: HashMark;
  readonly overview: ShardOverview;
}

/** Keys and values of the key-value store, in hexadecimal digits. */
export type RecordedPairs = readonly (readonly [key: string, value: string])[];

/** The segments of a folder as recovery reads them. */
export function recordedFiles(folder: string): JournalFiles {
  const files = new Map<string, Uint8Array>();
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.segment')) files.set(name, readFileSync(join(folder, name)));
  }
  return {
    list: () => [...files].map(([name, bytes]) => ({ name, bytes: bytes.length })),
    read: (name, position, length) => files.get(name)!.subarray(position, position + length),
  };
}

/** The whole log of the shard, out of the journal's segments. */
export function readLog(files: JournalFiles): Entry[] {
  const options = { segmentBytesMax: 65_536, sparesMax: 0, sparesMin: 0, deadBytesReserve: 1 << 30 };
  const recovery = recoverJournal(files, options);
  assert(recovery.recovered, 'the journal cannot be recovered');
  assert(recovery.report.damages.length === 0, () => recovery.report.damages.join('; '));
  const { journal } = recovery;
  const entries: Entry[] = [];
  for (let index = 1; index <= (journal.group(SHARD)?.lastIndex ?? 0); index++) {
    const location = journal.locate(SHARD, index);
    assert(location !== undefined, () => `entry ${index} is not in the journal`);
    const record = files.read(segmentFile(location.segment), location.position, bytesAt(location));
    const entry = decodeEntryAt(location, record);
    assert(entry !== undefined, () => `entry ${index} cannot be read`);
    entries.push(entry);
  }
  return entries;
}

/** Applies entries as a replica does that starts from this machine. */
export function applyAll(machine: ShardMachine, entries: readonly Entry[]): void {
  for (const { kind, term, index, payload } of entries) {
    if (kind === EntryKind.command) machine.apply({ term, index }, payload);
  }
}

/** The machine of a checkpoint as it lies in the key-value store. */
export function restoreRecorded(pairs: RecordedPairs): { readonly machine: ShardMachine; readonly at: EntryId } {
  const bytes = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'));
  const headKey = manifestKey(SHARD, 0);
  const isHead = ([key]: RecordedPairs[number]): boolean => bytes(key).join() === headKey.join();
  const head = pairs.find(isHead);
  assert(head !== undefined, 'there is no manifest');
  const manifest = readManifest(headKey, bytes(head[1]));
  assert(manifest !== undefined, 'the manifest cannot be read');
  const stored = pairs.filter(pair => !isHead(pair)).map(([key, value]) => [bytes(key), bytes(value)] as const);
  const checkpoint = assembleCheckpoint(manifest, stored);
  assert(checkpoint !== undefined, 'the checkpoint cannot be read');
  return { machine: ShardMachine.restore(checkpoint.pages, manifest.at), at: manifest.at };
}

export function stateOf(machine: ShardMachine, lastIndex: LogIndex): ExpectedState {
  assert(machine.latestMark !== undefined, 'the log is too short to have a mark');
  return { lastIndex, mark: machine.latestMark, overview: machine.overview() };
}
