import { assert } from '../lib/assert.ts';
import { ByteReader, type ByteWriter, TruncatedError, UINT48_MAX } from '../lib/bytes.ts';
import {
  type ConsumerId,
  consumerId,
  type Incarnation,
  incarnation,
  type NodeId,
  nodeId,
  type QueueId,
  queueId,
} from '../lib/ids.ts';
import {
  CommandKind,
  ConsumeFlag,
  type Credit,
  type DecodedCommand,
  DeleteFlag,
  ENQUEUE_FLAGS_KNOWN,
  EnqueueFlag,
  LEADER_KIND_MIN,
  QUEUE_CONFIG_VERSION,
  type QueueConfig,
  QueueConfigFlag,
  Settlement,
} from './commands.ts';
import { MESSAGE_BLOCK_BYTES_MAX, PART_BYTES_MAX } from './limits.ts';
import { isMessageBlock } from './message-block.ts';
import { isStreamOffsetSound, readStreamOffset } from './stream-offset.ts';

/**
 * The payload of a shard's entry: u8 format version, f64 shard time in ms, then batches until the end. A batch: u32 length
 * of what follows, u32 node, u32 incarnation, u48 first sequence, u48 seen-through, u48 topology index, u32 command count,
 * then the commands. All values big-endian.
 */
export const PAYLOAD_FORMAT = 1;
export const PAYLOAD_HEADER_BYTES = 9;
/** Including the length itself. */
export const BATCH_HEADER_BYTES = 34;
/** Vhost, queue name and consumer tag. */
export const NAME_BYTES_MAX = 255;

/** Node 0 is the shard's own leader: it has no session, its incarnation and sequences are 0. */
export interface BatchHeader {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** Sequence of the first command; a batch without commands names the sequence that would be next. */
  readonly firstSequence: number;
  /** Outcomes up to here were seen by the sender and may be forgotten. Below `firstSequence`. */
  readonly seenThrough: number;
  /** Index of group 0 that the sender had applied. */
  readonly topologyIndex: number;
  readonly commandCount: number;
}

export function writePayloadHeader(out: ByteWriter, timeMs: number): void {
  out.u8(PAYLOAD_FORMAT);
  out.f64(timeMs);
}

/** `commands` are `header.commandCount` encoded commands. */
export function writeBatch(out: ByteWriter, header: BatchHeader, commands: Uint8Array): void {
  out.u32(BATCH_HEADER_BYTES - 4 + commands.length);
  out.u32(header.node);
  out.u32(header.incarnation);
  out.u48(header.firstSequence);
  out.u48(header.seenThrough);
  out.u48(header.topologyIndex);
  out.u32(header.commandCount);
  out.bytes(commands);
}

/** A batch of the shard's own leader. */
export function writeLeaderBatch(out: ByteWriter, commandCount: number, commands: Uint8Array): void {
  const header = { node: nodeId(0), incarnation: incarnation(0), firstSequence: 0, seenThrough: 0, topologyIndex: 0 };
  writeBatch(out, { ...header, commandCount }, commands);
}

/** Reads a header behind the batch's length. */
export function readBatchHeader(from: ByteReader): BatchHeader {
  return {
    node: nodeId(from.u32()),
    incarnation: incarnation(from.u32()),
    firstSequence: from.u48(),
    seenThrough: from.u48(),
    topologyIndex: from.u48(),
    commandCount: from.u32(),
  };
}

export type BatchProblem =
  | 'truncated'
  | 'wrong-length'
  | 'bad-header'
  | 'unknown-command'
  | 'leader-command'
  | 'bad-command';

/** What the gateway finds in bytes from another node. Only a batch that is `ok` may become part of an entry. */
export type BatchCheck =
  | { readonly ok: true; readonly header: BatchHeader }
  | { readonly ok: false; readonly problem: BatchProblem };

const refused = (problem: BatchProblem): BatchCheck => ({ ok: false, problem });

/**
 * Checks a batch that comes from another node in full: every length, flag and id. The machine relies on it and treats
 * damage in a committed entry as a broken invariant. That the header names the peer itself is the caller's to compare.
 */
export function checkBatch(bytes: Uint8Array): BatchCheck {
  try {
    return checkBatchBytes(bytes);
  } catch (error) {
    if (error instanceof TruncatedError) return refused('truncated');
    throw error;
  }
}

function checkBatchBytes(bytes: Uint8Array): BatchCheck {
  const reader = new ByteReader(bytes);
  if (reader.u32() !== bytes.length - 4) return refused('wrong-length');
  const header = readBatchHeader(reader);
  if (!isHeaderSound(header)) return refused('bad-header');
  for (let i = 0; i < header.commandCount; i++) {
    const end = reader.u32() + reader.position;
    if (end > bytes.length || end === reader.position) return refused('truncated');
    const kind = reader.u8();
    if (kind >= LEADER_KIND_MIN) return refused('leader-command');
    if (!isKnownNodeKind(kind)) return refused('unknown-command');
    if (!isCommandSound(reader, bytes, kind, end) || reader.position !== end) return refused('bad-command');
  }
  if (reader.remaining > 0) return refused('wrong-length');
  return { ok: true, header };
}

function isHeaderSound(header: BatchHeader): boolean {
  return (
    header.node >= 1 &&
    header.incarnation >= 1 &&
    header.firstSequence >= 1 &&
    header.firstSequence + header.commandCount <= UINT48_MAX &&
    header.seenThrough < header.firstSequence
  );
}

const isKnownNodeKind = (kind: number): kind is CommandKind =>
  kind >= CommandKind.ensureQueue && kind <= CommandKind.deleteQueue;

/** Reads one command of a node to its end. */
function isCommandSound(reader: ByteReader, bytes: Uint8Array, kind: CommandKind, end: number): boolean {
  switch (kind) {
    case CommandKind.enqueue:
      return isEnqueueSound(reader, bytes, end);
    case CommandKind.part: {
      reader.u32();
      const length = end - reader.position;
      if (length < 1 || length > PART_BYTES_MAX) return false;
      reader.skip(length);
      return true;
    }
    case CommandKind.settle:
      return isSettleSound(reader, end);
    case CommandKind.ensureQueue:
      return reader.u48() >= 1 && isQueueConfigSound(reader);
    default:
      return areFieldsSound(readCommand(reader, kind));
  }
}

function isEnqueueSound(reader: ByteReader, bytes: Uint8Array, end: number): boolean {
  const flags = reader.u8();
  if ((flags & ~ENQUEUE_FLAGS_KNOWN) !== 0) return false;
  if ((flags & EnqueueFlag.assembled) !== 0) reader.u32();
  if ((flags & EnqueueFlag.expires) !== 0) reader.u48();
  const count = reader.u16();
  if (count === 0) return false;
  for (let i = 0; i < count; i++) if (reader.u48() === 0) return false;
  const length = end - reader.position;
  if (length > MESSAGE_BLOCK_BYTES_MAX || !isMessageBlock(bytes, reader.position, end)) return false;
  reader.skip(length);
  return true;
}

function isSettleSound(reader: ByteReader, end: number): boolean {
  if (reader.u8() > Settlement.discard || reader.u32() === 0) return false;
  while (reader.position < end) {
    const first = reader.u48();
    if (first < 1 || reader.u48() < first) return false;
  }
  return true;
}

/** Their messages do not leave with whoever takes them, so nobody takes turns; and they do not wait for anybody. */
const NOT_OF_STREAMS = QueueConfigFlag.singleActive | QueueConfigFlag.messageTtl;
const OF_STREAMS = QueueConfigFlag.maxAge | QueueConfigFlag.maxBytes;

function isQueueConfigSound(reader: ByteReader): boolean {
  if (reader.u8() !== QUEUE_CONFIG_VERSION) return false;
  const end = reader.u32() + reader.position;
  for (let i = 0; i < 2; i++) {
    const length = reader.u16();
    if (length > NAME_BYTES_MAX) return false;
    reader.skip(length);
  }
  const flags = reader.u8();
  if ((flags & QueueConfigFlag.messageTtl) !== 0) reader.u48();
  if ((flags & QueueConfigFlag.expires) !== 0 && reader.u48() === 0) return false;
  const isStream = (flags & QueueConfigFlag.stream) !== 0;
  if ((flags & QueueConfigFlag.maxAge) !== 0) reader.u48();
  if ((flags & QueueConfigFlag.maxBytes) !== 0) reader.u48();
  return reader.position === end && (flags & (isStream ? NOT_OF_STREAMS : OF_STREAMS)) === 0;
}

function areFieldsSound(command: DecodedCommand): boolean {
  if ('queue' in command && command.queue === 0) return false;
  if ('consumer' in command && command.consumer === 0) return false;
  if ('bytesThrough' in command && !(Number.isSafeInteger(command.bytesThrough) && command.bytesThrough >= 0))
    return false;
  if (command.kind !== CommandKind.consume) return true;
  const isOffsetSound = command.offset === undefined || isStreamOffsetSound(command.offset);
  return isOffsetSound && Number.isInteger(command.priority) && command.tag.length <= NAME_BYTES_MAX;
}

const readQueueId = (from: ByteReader): QueueId => queueId(from.u48());
const readConsumerId = (from: ByteReader): ConsumerId => consumerId(from.u32());
const readCredit = (from: ByteReader): Credit => ({
  prefetch: from.u32(),
  deliverThrough: from.u48(),
  bytesThrough: from.f64(),
});

export function readQueueConfig(from: ByteReader): QueueConfig {
  const version = from.u8();
  assert(version === QUEUE_CONFIG_VERSION, () => `queue configuration of version ${version}`);
  const end = from.u32() + from.position;
  const vhost = from.string();
  const name = from.string();
  const flags = from.u8();
  const messageTtlMs = (flags & QueueConfigFlag.messageTtl) !== 0 ? from.u48() : undefined;
  const expiresMs = (flags & QueueConfigFlag.expires) !== 0 ? from.u48() : undefined;
  const maxAgeMs = (flags & QueueConfigFlag.maxAge) !== 0 ? from.u48() : undefined;
  const maxBytes = (flags & QueueConfigFlag.maxBytes) !== 0 ? from.u48() : undefined;
  assert(from.position === end, 'queue configuration of another length');
  return {
    vhost,
    name,
    autoDelete: (flags & QueueConfigFlag.autoDelete) !== 0,
    exclusive: (flags & QueueConfigFlag.exclusive) !== 0,
    singleActive: (flags & QueueConfigFlag.singleActive) !== 0,
    messageTtlMs,
    expiresMs,
    stream: (flags & QueueConfigFlag.stream) !== 0 ? { maxAgeMs, maxBytes } : undefined,
  };
}

/** Reads the fields behind the kind. Enqueue, part and settle are not read into objects, but in place. */
export function readCommand(from: ByteReader, kind: CommandKind): DecodedCommand {
  switch (kind) {
    case CommandKind.ensureQueue:
      return { kind, queue: readQueueId(from), config: readQueueConfig(from) };
    case CommandKind.abandonUpload:
      return { kind, upload: from.u32() };
    case CommandKind.consume: {
      const consumer = readConsumerId(from);
      const queue = readQueueId(from);
      const flags = from.u8();
      const exclusive = (flags & ConsumeFlag.exclusive) !== 0;
      const priority = from.f64();
      const credit = readCredit(from);
      const tag = from.string();
      const offset = (flags & ConsumeFlag.begins) !== 0 ? readStreamOffset(from) : undefined;
      return { kind, consumer, queue, exclusive, priority, ...credit, tag, offset };
    }
    case CommandKind.credit:
      return { kind, consumer: readConsumerId(from), ...readCredit(from) };
    case CommandKind.cancel:
    case CommandKind.release:
      return { kind, consumer: readConsumerId(from) };
    case CommandKind.get:
      return { kind, queue: readQueueId(from), consumer: readConsumerId(from), autoSettle: (from.u8() & 1) !== 0 };
    case CommandKind.purge:
    case CommandKind.count:
      return { kind, queue: readQueueId(from) };
    case CommandKind.deleteQueue: {
      const queue = readQueueId(from);
      const flags = from.u8();
      return {
        kind,
        queue,
        ifUnused: (flags & DeleteFlag.ifUnused) !== 0,
        ifEmpty: (flags & DeleteFlag.ifEmpty) !== 0,
      };
    }
    case CommandKind.fence:
      return { kind, node: nodeId(from.u32()), incarnation: incarnation(from.u32()) };
    case CommandKind.continue:
      return { kind };
    case CommandKind.check:
      return { kind, index: from.u48(), hash: from.u32() };
    case CommandKind.nameRemoved:
      return { kind, queue: readQueueId(from), topologyIndex: from.u48() };
    case CommandKind.setVersion:
      return { kind, version: from.u32() };
    default:
      assert(false, () => `command kind ${kind} is not read into an object`);
  }
}
