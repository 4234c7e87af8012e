import { assert, unreachable } from '../../lib/assert.ts';
import { ByteReader, type ByteWriter, TruncatedError } from '../../lib/bytes.ts';
import { nodeId } from '../../lib/ids.ts';
import { decodeMembership, encodeMembership } from '../../raft/membership.ts';
import { type Entry, EntryKind, type RaftMessage } from '../../raft/messages.ts';
import { FRAME_PAYLOAD_BYTES_MAX, type Lane } from './transport.ts';

/**
 * Raft messages as frame payloads. Big-endian: u8 type, u48 from, u48 to, u48 term, then what the type needs. An append
 * request has the heads of its entries first and their payloads behind, so that each payload is copied once, into the
 * frame. The version of this format is the one agreed in the handshake. Numbers are part of the protocol for ever.
 */
const MessageCode = {
  'vote-request': 1,
  'pre-vote-request': 2,
  'vote-response': 3,
  'pre-vote-response': 4,
  'append-request': 5,
  'append-response': 6,
  heartbeat: 7,
  'heartbeat-response': 8,
  'snapshot-offer': 9,
  'snapshot-response': 10,
  'timeout-now': 11,
} as const satisfies Record<RaftMessage['type'], number>;

const TYPES = new Map<number, RaftMessage['type']>();
for (const [type, code] of Object.entries(MessageCode)) TYPES.set(code, type as RaftMessage['type']);

const NO_PARTS: readonly Uint8Array[] = [];

const ENVELOPE_BYTES = 1 + 6 + 6 + 6;
/** Envelope, previous term and index, commit, number of entries. */
export const APPEND_HEAD_BYTES = ENVELOPE_BYTES + 6 + 6 + 6 + 2;
/** Term, kind, length of the payload. */
export const APPEND_ENTRY_HEAD_BYTES = 6 + 1 + 4;
/** Largest payload of an entry: it has to fit, with its heads, into one frame. */
export const ENTRY_PAYLOAD_BYTES_MAX = FRAME_PAYLOAD_BYTES_MAX - APPEND_HEAD_BYTES - APPEND_ENTRY_HEAD_BYTES;
const ENTRIES_MAX = 0xffff;

/** Entries, and the offer of a snapshot in their place, travel in the log's order; all else is small and urgent (R8). */
export function laneOf(message: RaftMessage): Lane {
  return message.type === 'append-request' || message.type === 'snapshot-offer' ? 'log' : 'control';
}

/** Appends the message to `writer`, except payloads of entries: they are returned and follow as they are. */
export function encodeRaftMessage(writer: ByteWriter, message: RaftMessage): readonly Uint8Array[] {
  writer.u8(MessageCode[message.type]);
  writer.u48(message.from);
  writer.u48(message.to);
  writer.u48(message.term);
  switch (message.type) {
    case 'vote-request':
    case 'pre-vote-request':
      writer.u48(message.last.term);
      writer.u48(message.last.index);
      writer.u8(message.force ? 1 : 0);
      return NO_PARTS;
    case 'vote-response':
    case 'pre-vote-response':
      writer.u8(message.granted ? 1 : 0);
      return NO_PARTS;
    case 'append-request':
      writer.u48(message.previous.term);
      writer.u48(message.previous.index);
      writer.u48(message.commit);
      return encodeEntries(writer, message.entries, message.previous.index);
    case 'append-response':
      writer.u8(message.accepted ? 1 : 0);
      writer.u48(message.match);
      writer.u48(message.hint.term);
      writer.u48(message.hint.index);
      return NO_PARTS;
    case 'heartbeat':
      writer.u48(message.commit);
      writer.u48(message.readRound);
      return NO_PARTS;
    case 'heartbeat-response':
      writer.u48(message.readRound);
      writer.u48(message.lastIndex);
      return NO_PARTS;
    case 'snapshot-offer':
      writer.u48(message.snapshot.last.term);
      writer.u48(message.snapshot.last.index);
      writer.block(encodeMembership(message.snapshot.membership));
      return NO_PARTS;
    case 'snapshot-response':
      writer.u8(message.installed ? 1 : 0);
      writer.u48(message.match);
      return NO_PARTS;
    case 'timeout-now':
      return NO_PARTS;
    default:
      return unreachable(message);
  }
}

function encodeEntries(writer: ByteWriter, entries: readonly Entry[], previous: number): readonly Uint8Array[] {
  assert(entries.length <= ENTRIES_MAX, () => `${entries.length} entries in an append request; at most ${ENTRIES_MAX}`);
  writer.u16(entries.length);
  if (entries.length === 0) return NO_PARTS;
  const payloads: Uint8Array[] = [];
  let index = previous;
  for (const entry of entries) {
    index++;
    assert(entry.index === index, () => `entry ${entry.index} in an append request where ${index} follows`);
    writer.u48(entry.term);
    writer.u8(entry.kind);
    writer.u32(entry.payload.length);
    payloads.push(entry.payload);
  }
  return payloads;
}

/**
 * Undefined: damaged, or of a type that this version does not know. Payloads of entries are views of `bytes`: whoever
 * keeps them copies them (R20). Entries follow `previous` without a gap, and their terms never go down or above the message's.
 */
export function decodeRaftMessage(bytes: Uint8Array): RaftMessage | undefined {
  try {
    const reader = new ByteReader(bytes);
    const message = readMessage(reader);
    return reader.remaining === 0 ? message : undefined;
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}

function readMessage(reader: ByteReader): RaftMessage | undefined {
  const type = TYPES.get(reader.u8());
  if (type === undefined) return undefined;
  const from = nodeId(reader.u48());
  const to = nodeId(reader.u48());
  const term = reader.u48();
  switch (type) {
    case 'vote-request':
    case 'pre-vote-request':
      return { type, from, to, term, last: readEntryId(reader), force: reader.u8() === 1 };
    case 'vote-response':
    case 'pre-vote-response':
      return { type, from, to, term, granted: reader.u8() === 1 };
    case 'append-request': {
      const previous = readEntryId(reader);
      const commit = reader.u48();
      const entries = readEntries(reader, previous.term, previous.index, term);
      return entries && { type, from, to, term, previous, commit, entries };
    }
    case 'append-response': {
      const accepted = reader.u8() === 1;
      return { type, from, to, term, accepted, match: reader.u48(), hint: readEntryId(reader) };
    }
    case 'heartbeat':
      return { type, from, to, term, commit: reader.u48(), readRound: reader.u48() };
    case 'heartbeat-response':
      return { type, from, to, term, readRound: reader.u48(), lastIndex: reader.u48() };
    case 'snapshot-offer': {
      const last = readEntryId(reader);
      const membership = decodeMembership(reader.block());
      return membership && { type, from, to, term, snapshot: { last, membership } };
    }
    case 'snapshot-response':
      return { type, from, to, term, installed: reader.u8() === 1, match: reader.u48() };
    case 'timeout-now':
      return { type, from, to, term };
    default:
      return unreachable(type);
  }
}

const readEntryId = (reader: ByteReader): { term: number; index: number } => ({
  term: reader.u48(),
  index: reader.u48(),
});

function readEntries(reader: ByteReader, previousTerm: number, previous: number, termMax: number): Entry[] | undefined {
  const count = reader.u16();
  const heads: { readonly term: number; readonly kind: EntryKind; readonly bytes: number }[] = [];
  let termMin = previousTerm;
  for (let i = 0; i < count; i++) {
    const term = reader.u48();
    const kind = reader.u8();
    if (term < termMin || term > termMax || kind > EntryKind.configuration) return undefined;
    termMin = term;
    heads.push({ term, kind: kind as EntryKind, bytes: reader.u32() });
  }
  let index = previous;
  return heads.map(({ term, kind, bytes }) => ({ term, index: ++index, kind, payload: reader.bytes(bytes) }));
}
