import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { crc32 } from '../lib/crc32.ts';
import type { GroupId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';
import type { KeyValueOperation } from './key-value-store.ts';
import { manifestKey, pageKey, readPageKey } from './keyspace.ts';

/**
 * How checkpoints lie in the key-value store. Each has a number; its pages are written beside the older versions of the
 * same pages, in synced batches, and count once the manifest with that number is there. The batch of the manifest also
 * deletes the versions that it replaces: so there is always exactly one version of each page that counts, a checkpoint
 * that is cut short leaves its predecessor whole, and no loss of an unsynced batch can mix two (R14, R16).
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

/** A page that exists. */
export interface StoredPage {
  readonly key: PageKey;
  readonly bytes: Uint8Array;
}

/** What a page adds to a manifest's sum. Independent of the checkpoint that wrote it. */
export function pageChecksum({ key, bytes }: StoredPage): number {
  const out = new ByteWriter(11);
  out.u48(key.space);
  out.u8(key.kind);
  out.u32(key.number);
  return crc32(bytes, crc32(out.view()));
}

export function pageOperation(
  group: GroupId,
  generation: number,
  checkpoint: number,
  page: StoredPage,
): KeyValueOperation {
  const key = pageKey(group, generation, page.key, checkpoint);
  return { type: 'put', key, value: sealValue(key, page.bytes) };
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

export interface AssembledCheckpoint {
  readonly pages: readonly (StoredPage & { readonly checkpoint: number })[];
  /** Keys of pages of a later checkpoint that was cut short. */
  readonly leftovers: readonly Uint8Array[];
}

/** Puts a checkpoint together from its manifest and all stored pages. Undefined: damaged. */
export function assembleCheckpoint(
  manifest: Manifest,
  stored: readonly (readonly [key: Uint8Array, value: Uint8Array])[],
): AssembledCheckpoint | undefined {
  const pages: (StoredPage & { checkpoint: number })[] = [];
  const leftovers: Uint8Array[] = [];
  let sum = 0;
  for (const [key, sealed] of stored) {
    const { page, checkpoint } = readPageKey(key);
    if (checkpoint > manifest.number) {
      leftovers.push(key);
      continue;
    }
    const bytes = openValue(key, sealed);
    if (bytes === undefined) return undefined;
    const found = { key: page, bytes, checkpoint };
    sum = (sum + pageChecksum(found)) >>> 0;
    pages.push(found);
  }
  return pages.length === manifest.pageCount && sum === manifest.pageSum ? { pages, leftovers } : undefined;
}
