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
  /** u32 group, u32 generation, u48 space, u8 kind, u32 number, u48 checkpoint -> the page as of that checkpoint; empty: gone. */
  page: 2,
  /** u32 group, u48 index, u32 position -> a message moved out of a cleaned segment (R13). */
  straggler: 3,
} as const;

export const manifestKey = (group: GroupId, generation: number): Uint8Array => {
  const out = new ByteWriter(9);
  out.u8(Prefix.manifest);
  out.u32(group);
  out.u32(generation);
  return out.view();
};

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
export const pagesOf = (group: GroupId, generation: number): KeyRange => range(Prefix.page, group, generation);

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

/** Stragglers of entries `first` to `last`, both included. */
export const stragglersOf = (group: GroupId, first: LogIndex, last: LogIndex): KeyRange => ({
  from: stragglerKey(group, first, 0),
  to: stragglerKey(group, last + 1, 0),
});

function range(prefix: number, group: GroupId, generation: number): KeyRange {
  const edge = (value: number): Uint8Array => {
    const out = new ByteWriter(9);
    out.u8(prefix);
    out.u32(group);
    out.u32(value);
    return out.view();
  };
  return { from: edge(generation), to: edge(generation + 1) };
}
