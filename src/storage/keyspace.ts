import { assert } from '../lib/assert.ts';
import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type GroupId, groupId, type LogIndex } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import type { KeyRange } from './key-value-store.ts';

/**
 * The only definition of keys in the key-value store. A key begins with one of these bytes; numbers are big-endian, so
 * that the order of keys is the order of numbers. A prefix that goes out of use stays here as a comment and is never
 * given again. Every value begins with a CRC-32 over key and rest (R16).
 */
export const Prefix = {
  /** u32 group, u32 generation -> the group's latest complete checkpoint: number, entry, count and sum of its pages. */
  manifest: 1,
  /** u32 group, u32 generation, u48 space, u8 kind, u32 number, u48 checkpoint -> the page as of that checkpoint. */
  page: 2,
  /** u32 group, u48 index, u32 position -> a message moved out of a cleaned segment (R13). */
  straggler: 3,
} as const;

export const manifestKey = (group: GroupId, generation: number): Uint8Array => edge(Prefix.manifest, group, generation);

export const pageKey = (group: GroupId, generation: number, page: PageKey, checkpoint: number): Uint8Array => {
  const out = new ByteWriter(26);
  out.u8(Prefix.page);
  out.u32(group);
  out.u32(generation);
  out.u48(page.space);
  out.u8(page.kind);
  out.u32(page.number);
  out.u48(checkpoint);
  return out.view();
};

export const readPageKey = (key: Uint8Array): { readonly page: PageKey; readonly checkpoint: number } => {
  const reader = new ByteReader(key, 9);
  const page = { space: reader.u48(), kind: reader.u8(), number: reader.u32() };
  return { page, checkpoint: reader.u48() };
};

/** All pages of one generation of a group. */
export const pagesOf = (group: GroupId, generation: number): KeyRange => ({
  from: edge(Prefix.page, group, generation),
  to: edge(Prefix.page, group, generation + 1),
});

/** Manifests and pages of all groups. */
export const ALL_CHECKPOINTS: KeyRange = { from: Uint8Array.of(Prefix.manifest), to: Uint8Array.of(Prefix.page + 1) };

/** What belongs to other generations of a group than this one; manifests first: pages without one do not count. */
export const checkpointsBeside = (group: GroupId, generation: number | undefined): readonly KeyRange[] =>
  [Prefix.manifest, Prefix.page].flatMap(prefix => {
    const from = edge(prefix, group, 0);
    const to = edge(prefix, group, 0xffff_ffff);
    if (generation === undefined) return [{ from, to }];
    return [
      { from, to: edge(prefix, group, generation) },
      { from: edge(prefix, group, generation + 1), to },
    ];
  });

export const stragglerKey = (group: GroupId, index: LogIndex, position: number): Uint8Array => {
  const out = new ByteWriter(15);
  out.u8(Prefix.straggler);
  out.u32(group);
  out.u48(index);
  out.u32(position);
  return out.view();
};

/** The group of a straggler's key, its entry and position. */
export const readStragglerKey = (key: Uint8Array): { group: GroupId; index: LogIndex; position: number } => {
  const reader = new ByteReader(key);
  assert(reader.u8() === Prefix.straggler, 'not the key of a straggler');
  return { group: groupId(reader.u32()), index: reader.u48(), position: reader.u32() };
};

/** The group's stragglers from one on. */
export const stragglersFrom = (
  group: GroupId,
  from: { readonly entry: LogIndex; readonly position: number },
): KeyRange => ({
  from: stragglerKey(group, from.entry, from.position),
  to: stragglerKey(groupId(group + 1), 0, 0),
});

function edge(prefix: number, group: GroupId, generation: number): Uint8Array {
  const out = new ByteWriter(9);
  out.u8(prefix);
  out.u32(group);
  out.u32(generation);
  return out.view();
}
