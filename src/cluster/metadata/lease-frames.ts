import { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { incarnation, type NodeId } from '../../lib/ids.ts';
import type { Grant, Renewal } from './metadata-leader.ts';

const GRANTS: readonly Grant[] = ['granted', 'behind', 'refused'];

export function encodeRenewal(renewal: Renewal): Uint8Array {
  const out = new ByteWriter(18);
  out.u32(renewal.incarnation);
  out.f64(renewal.sentMs);
  out.u48(renewal.applied);
  return out.view();
}

export function decodeRenewal(node: NodeId, payload: Uint8Array): Renewal {
  const reader = new ByteReader(payload);
  return { node, incarnation: incarnation(reader.u32()), sentMs: reader.f64(), applied: reader.u48() };
}

export function encodeGrant(renewal: Renewal, grant: Grant): Uint8Array {
  const out = new ByteWriter(13);
  out.u32(renewal.incarnation);
  out.f64(renewal.sentMs);
  out.u8(GRANTS.indexOf(grant));
  return out.view();
}

export function decodeGrant(payload: Uint8Array): { incarnation: number; sentMs: number; grant: Grant } {
  const reader = new ByteReader(payload);
  return { incarnation: reader.u32(), sentMs: reader.f64(), grant: GRANTS[reader.u8()] ?? 'refused' };
}

export function encodeTopologyApplied(started: number, index: number): Uint8Array {
  const out = new ByteWriter(10);
  out.u32(started);
  out.u48(index);
  return out.view();
}

export function decodeTopologyApplied(payload: Uint8Array): { incarnation: number; index: number } {
  const reader = new ByteReader(payload);
  return { incarnation: reader.u32(), index: reader.u48() };
}

/** What a node has little of. */
export interface Shortages {
  readonly disk: boolean;
  readonly memory: boolean;
}

const SHORT_OF_DISK = 1;
const SHORT_OF_MEMORY = 2;

/** What every node tells every other one now and then: its wall clock (R28), and what it is short of (R18). */
export function encodeNews(wallMs: number, { disk, memory }: Shortages): Uint8Array {
  const out = new ByteWriter(9);
  out.f64(wallMs);
  out.u8((disk ? SHORT_OF_DISK : 0) | (memory ? SHORT_OF_MEMORY : 0));
  return out.view();
}

export function decodeNews(payload: Uint8Array): Shortages & { readonly wallMs: number } {
  const reader = new ByteReader(payload);
  const wallMs = reader.f64();
  const flags = reader.u8();
  return { wallMs, disk: (flags & SHORT_OF_DISK) !== 0, memory: (flags & SHORT_OF_MEMORY) !== 0 };
}
