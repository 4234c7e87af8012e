import { ByteReader, ByteWriter, TruncatedError } from '../../lib/bytes.ts';
import { crc32 } from '../../lib/crc32.ts';
import type { BodyPart } from '../../queue/effects.ts';
import type { Page } from '../../raft/checkpoint.ts';
import type { Entry, EntryId, EntryKind } from '../../raft/messages.ts';
import type { TermRun } from '../../raft/ready.ts';

/**
 * A snapshot transfer on the `log` lane (R17): the follower asks for numbered chunks, the leader sends them. The chunks
 * together are one stream of items: pages, then message bodies by ascending entry, then the end.
 */
export interface SnapshotRequest {
  /** Given by the leader with its first chunk; 0 in the request that begins a transfer. */
  readonly transfer: number;
  /** The follower's number for its attempt: a new one cannot go on where an earlier one was. */
  readonly attempt: number;
  /** Which snapshot of the leader is meant. */
  readonly last: EntryId;
  /** The first chunk that is missing: those before may be forgotten. */
  readonly from: number;
  /** The last chunk that there is room for. */
  readonly through: number;
  /** What was sent from `from` on is lost. */
  readonly again: boolean;
  /** Records the follower has, at or below its commit index; only in the request that begins a transfer. */
  readonly held: readonly TermRun[];
}

/** `bytes` undefined: the leader does not have this transfer any more. */
export interface SnapshotChunk {
  readonly transfer: number;
  readonly last: EntryId;
  readonly number: number;
  readonly bytes: Uint8Array | undefined;
}

export type SnapshotItem =
  | { readonly kind: 'page'; readonly page: Page }
  /** An entry with messages that are alive. */
  | { readonly kind: 'body'; readonly entry: Entry }
  /** The same, named by the follower: it keeps its own record if its payload has this checksum. */
  | { readonly kind: 'kept'; readonly id: EntryId; readonly checksum: number }
  /** A message that had been moved out of its entry's segment. */
  | { readonly kind: 'straggler'; readonly part: BodyPart; readonly bytes: Uint8Array }
  /** Number of items before it, and the checksum of their bytes. */
  | { readonly kind: 'end'; readonly items: number; readonly checksum: number };

const ItemCode = { page: 1, body: 2, kept: 3, straggler: 4, end: 5 } as const;
/** More runs are not named: what they hold is sent. */
export const HELD_RUNS_MAX = 4_096;
const ITEM_BYTES_MAX = 64 * 1024 * 1024;

export function encodeRequest(request: SnapshotRequest): Uint8Array {
  const out = new ByteWriter(64);
  out.u32(request.transfer);
  out.u32(request.attempt);
  writeId(out, request.last);
  out.u32(request.from);
  out.u32(request.through);
  out.u8(request.again ? 1 : 0);
  const held = request.held.slice(-HELD_RUNS_MAX);
  out.u16(held.length);
  for (const { term, first, last } of held) {
    out.u48(term);
    out.u48(first);
    out.u48(last);
  }
  return out.view();
}

export function decodeRequest(payload: Uint8Array): SnapshotRequest {
  const reader = new ByteReader(payload);
  const transfer = reader.u32();
  const attempt = reader.u32();
  const last = readId(reader);
  const [from, through, again] = [reader.u32(), reader.u32(), reader.u8() === 1];
  const held = Array.from({ length: reader.u16() }, () => ({
    term: reader.u48(),
    first: reader.u48(),
    last: reader.u48(),
  }));
  return { transfer, attempt, last, from, through, again, held };
}

export function encodeChunk({ transfer, last, number, bytes }: SnapshotChunk): Uint8Array {
  const out = new ByteWriter(32 + (bytes?.length ?? 0));
  out.u32(transfer);
  writeId(out, last);
  out.u32(number);
  out.u8(bytes === undefined ? 0 : 1);
  if (bytes !== undefined) out.bytes(bytes);
  return out.view();
}

/** `bytes` is a view of `payload`. */
export function decodeChunk(payload: Uint8Array): SnapshotChunk {
  const reader = new ByteReader(payload);
  const transfer = reader.u32();
  const last = readId(reader);
  const number = reader.u32();
  const bytes = reader.u8() === 1 ? reader.bytes(reader.remaining) : undefined;
  return { transfer, last, number, bytes };
}

/** Puts items behind each other and cuts the stream into chunks of one size; only the last is smaller. */
export class SnapshotWriter {
  readonly #chunkBytes: number;
  readonly #out = new ByteWriter(1 << 16);
  readonly #item = new ByteWriter(1 << 16);
  #items = 0;
  #checksum = 0;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  add(item: SnapshotItem): void {
    this.#item.reset();
    encodeItem(this.#item, item);
    const bytes = this.#item.view();
    this.#out.u32(bytes.length);
    this.#out.bytes(bytes);
    this.#items++;
    this.#checksum = crc32(bytes, this.#checksum);
  }

  end(): void {
    this.add({ kind: 'end', items: this.#items, checksum: this.#checksum });
  }

  /** Chunks that are full; after `end` also what is left. */
  takeChunks(isEnded = false): Uint8Array[] {
    if (!isEnded && this.#out.length < this.#chunkBytes) return [];
    const bytes = this.#out.finish();
    const chunks: Uint8Array[] = [];
    let at = 0;
    for (; bytes.length - at >= this.#chunkBytes || (isEnded && at < bytes.length); at += this.#chunkBytes) {
      chunks.push(bytes.subarray(at, at + this.#chunkBytes));
    }
    this.#out.reset();
    if (at < bytes.length) this.#out.bytes(bytes.subarray(at));
    return chunks;
  }
}

/** The other end: gives the items of the chunks as they come. */
export class SnapshotReader {
  #rest = new Uint8Array(0);
  #items = 0;
  #checksum = 0;
  #isEnded = false;

  /** Everything has come, and is what was sent. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The items that are complete now, with views of memory of their own. Undefined: these bytes are no snapshot. */
  add(chunk: Uint8Array): SnapshotItem[] | undefined {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const items: SnapshotItem[] = [];
    const reader = new ByteReader(bytes);
    let start = 0;
    while (reader.remaining >= 4) {
      const length = reader.u32();
      if (length === 0 || length > ITEM_BYTES_MAX || this.#isEnded) return undefined;
      if (reader.remaining < length) break;
      const encoded = reader.bytes(length);
      const item = decodeItem(encoded);
      if (item === undefined || !this.#count(item, encoded)) return undefined;
      items.push(item);
      start = reader.position;
    }
    this.#rest = bytes.subarray(start);
    return items;
  }

  #count(item: SnapshotItem, encoded: Uint8Array): boolean {
    if (item.kind === 'end') {
      this.#isEnded = true;
      return item.items === this.#items && item.checksum === this.#checksum;
    }
    this.#items++;
    this.#checksum = crc32(encoded, this.#checksum);
    return true;
  }
}

function encodeItem(out: ByteWriter, item: SnapshotItem): void {
  out.u8(ItemCode[item.kind]);
  switch (item.kind) {
    case 'page': {
      const { key, bytes } = item.page;
      out.u48(key.space);
      out.u8(key.kind);
      out.u32(key.number);
      if (bytes !== undefined) out.bytes(bytes);
      return;
    }
    case 'body':
      writeId(out, item.entry);
      out.u8(item.entry.kind);
      out.bytes(item.entry.payload);
      return;
    case 'kept':
      writeId(out, item.id);
      out.u32(item.checksum);
      return;
    case 'straggler':
      out.u48(item.part.entry);
      out.u32(item.part.position);
      out.bytes(item.bytes);
      return;
    case 'end':
      out.u48(item.items);
      out.u32(item.checksum);
  }
}

function decodeItem(bytes: Uint8Array): SnapshotItem | undefined {
  try {
    return readItem(new ByteReader(bytes));
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}

function readItem(reader: ByteReader): SnapshotItem | undefined {
  const rest = (): Uint8Array => reader.bytes(reader.remaining);
  switch (reader.u8()) {
    case ItemCode.page: {
      const key = { space: reader.u48(), kind: reader.u8(), number: reader.u32() };
      return { kind: 'page', page: { key, bytes: rest() } };
    }
    case ItemCode.body: {
      const id = readId(reader);
      const kind = reader.u8() as EntryKind;
      return { kind: 'body', entry: { ...id, kind, payload: rest() } };
    }
    case ItemCode.kept:
      return { kind: 'kept', id: readId(reader), checksum: reader.u32() };
    case ItemCode.straggler: {
      const [entry, position] = [reader.u48(), reader.u32()];
      const content = rest();
      return { kind: 'straggler', part: { entry, position, length: content.length }, bytes: content };
    }
    case ItemCode.end:
      return { kind: 'end', items: reader.u48(), checksum: reader.u32() };
    default:
      return undefined;
  }
}

function writeId(out: ByteWriter, { term, index }: EntryId): void {
  out.u48(term);
  out.u48(index);
}

const readId = (reader: ByteReader): EntryId => ({ term: reader.u48(), index: reader.u48() });
