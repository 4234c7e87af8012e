import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { crc32 } from '../lib/crc32.ts';
import type { GroupId } from '../lib/ids.ts';
import type { Page } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';
import type { KeyValueOperation } from './key-value-store.ts';
import { manifestKey, pageKey, readPageKey } from './keyspace.ts';

/**
 * How checkpoints lie in the key-value store. Each checkpoint has a number; its pages are written beside the older
 * versions of the same pages, and count only once the manifest with that number is there. So a checkpoint that is cut
 * short leaves its predecessor whole. LevelDB may lose an unsynced batch and keep a later one, therefore every batch of
 * pages is synced before the manifest is written, and older versions are deleted only after it (R14, R16).
 */
export interface Manifest {
  readonly number: number;
  readonly predecessor: number;
  readonly at: EntryId;
  /** Pages that exist as of this checkpoint, and the sum of their checksums modulo 2^32: a missing or foreign page shows. */
  readonly pageCount: number;
  readonly pageSum: number;
}

const CRC_BYTES = 4;

/** A value with its checksum, which covers the key too: a value that turns up under another key is damage. */
export function sealValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  const out = new ByteWriter(CRC_BYTES + value.length);
  out.u32(crc32(value, crc32(key)));
  out.bytes(value);
  return out.view();
}

/** Undefined: damaged. */
export function openValue(key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < CRC_BYTES) return undefined;
  const value = sealed.subarray(CRC_BYTES);
  return new ByteReader(sealed).u32() === crc32(value, crc32(key)) ? value : undefined;
}

/** What a page adds to a manifest's sum. Independent of the checkpoint that wrote it. */
export function pageChecksum(page: Page): number {
  const { space, kind, number } = page.key;
  const out = new ByteWriter(11);
  out.u48(space);
  out.u8(kind);
  out.u32(number);
  return page.bytes === undefined ? 0 : crc32(page.bytes, crc32(out.view()));
}

export function pageOperation(group: GroupId, generation: number, checkpoint: number, page: Page): KeyValueOperation {
  const key = pageKey(group, generation, page.key, checkpoint);
  const out = new ByteWriter(1 + (page.bytes?.length ?? 0));
  out.u8(page.bytes === undefined ? 0 : 1);
  if (page.bytes !== undefined) out.bytes(page.bytes);
  return { type: 'put', key, value: sealValue(key, out.view()) };
}

export function manifestOperation(group: GroupId, generation: number, manifest: Manifest): KeyValueOperation {
  const key = manifestKey(group, generation);
  const out = new ByteWriter(40);
  out.u48(manifest.number);
  out.u48(manifest.predecessor);
  out.u48(manifest.at.term);
  out.u48(manifest.at.index);
  out.u32(manifest.pageCount);
  out.u32(manifest.pageSum);
  return { type: 'put', key, value: sealValue(key, out.view()) };
}

export function readManifest(key: Uint8Array, sealed: Uint8Array): Manifest | undefined {
  const value = openValue(key, sealed);
  if (value === undefined) return undefined;
  const reader = new ByteReader(value);
  return {
    number: reader.u48(),
    predecessor: reader.u48(),
    at: { term: reader.u48(), index: reader.u48() },
    pageCount: reader.u32(),
    pageSum: reader.u32(),
  };
}

/** A page's latest version that counts. */
export interface StoredPage {
  readonly page: Page;
  readonly checkpoint: number;
}

/**
 * Puts a checkpoint together from its manifest and all stored pages, ascending by key. `leftovers` are versions that do
 * not count: older ones, and those of a checkpoint that was cut short. Undefined: damaged.
 */
export function assembleCheckpoint(
  manifest: Manifest,
  stored: readonly (readonly [key: Uint8Array, value: Uint8Array])[],
): { readonly pages: readonly StoredPage[]; readonly leftovers: readonly Uint8Array[] } | undefined {
  const latest = new Map<string, StoredPage & { readonly key: Uint8Array }>();
  const leftovers: Uint8Array[] = [];
  for (const [key, sealed] of stored) {
    const { page, checkpoint } = readPageKey(key);
    if (checkpoint > manifest.number) {
      leftovers.push(key);
      continue;
    }
    const value = openValue(key, sealed);
    if (value === undefined) return undefined;
    const name = `${page.space}/${page.kind}/${page.number}`;
    const older = latest.get(name);
    if (older !== undefined) leftovers.push(older.key);
    latest.set(name, { key, checkpoint, page: { key: page, bytes: value[0] === 1 ? value.slice(1) : undefined } });
  }
  const pages: StoredPage[] = [];
  let sum = 0;
  for (const { key, page, checkpoint } of latest.values()) {
    if (page.bytes === undefined) {
      leftovers.push(key);
      continue;
    }
    sum = (sum + pageChecksum(page)) >>> 0;
    pages.push({ page, checkpoint });
  }
  return pages.length === manifest.pageCount && sum === manifest.pageSum ? { pages, leftovers } : undefined;
}
