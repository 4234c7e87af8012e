import { assert } from '../lib/assert.ts';
import type { ByteWriter } from '../lib/bytes.ts';
import type { ConsumerId, Incarnation, NodeId, QueueId } from '../lib/ids.ts';
import { TARGETS_MAX } from './limits.ts';
import { type MessageFields, writeMessageBlock } from './message-block.ts';
import { type StreamOffset, writeStreamOffset } from './stream-offset.ts';

/**
 * Commands of a shard and their encoding: a u32 length of what follows, a u8 kind, the fields. Numbers are forever: logs
 * of earlier releases are replayed. The functions write straight into a growing buffer, because a sender keeps the
 * encoded commands until they are answered and repeats the same bytes to a new leader (R25).
 */
export const CommandKind = {
  ensureQueue: 1,
  enqueue: 2,
  part: 3,
  abandonUpload: 4,
  consume: 5,
  credit: 6,
  settle: 7,
  cancel: 8,
  release: 9,
  get: 10,
  purge: 11,
  count: 12,
  deleteQueue: 13,
  fence: 64,
  continue: 65,
  check: 66,
  nameRemoved: 67,
  setVersion: 68,
} as const;
export type CommandKind = (typeof CommandKind)[keyof typeof CommandKind];

/** Kinds from here on are proposed by the shard's leader only (node 0). */
export const LEADER_KIND_MIN = 64;

/** `expires`: the message has a time to live of its own. */
export const EnqueueFlag = { assembled: 1, expires: 2 } as const;
export const ENQUEUE_FLAGS_KNOWN = 3;

/** What becomes of a delivery: gone for good; back to its place in the queue; dropped. */
export const Settlement = { settle: 0, return: 1, discard: 2 } as const;
export type Settlement = (typeof Settlement)[keyof typeof Settlement];

/** Encoded behind a version byte and a length, so that fields can be added. */
export interface QueueConfig {
  readonly vhost: string;
  readonly name: string;
  /** The queue goes with its last consumer, if it had one. */
  readonly autoDelete: boolean;
  /** Belongs to one connection; its node deletes it with `deleteQueue`. */
  readonly exclusive: boolean;
  /** One consumer takes messages, the others wait for their turn. */
  readonly singleActive: boolean;
  /** How long a message waits here at most, however long it would itself. */
  readonly messageTtlMs?: number | undefined;
  /** The queue goes when nobody has used it for so long. At least 1. */
  readonly expiresMs?: number | undefined;
  /** A stream: its messages stay, whoever reads them, until there are too many. */
  readonly stream?: Retention | undefined;
}

/** What a stream drops, from its front. Without a limit it keeps everything. */
export interface Retention {
  /** Whatever came longer ago. */
  readonly maxAgeMs?: number | undefined;
  /** Whatever is above so many bytes of message blocks, but not the last message. */
  readonly maxBytes?: number | undefined;
}

/** Limits are absolute and cumulative over the consumer's life, so a repeat is harmless; they may also be lowered (R26). */
export interface Credit {
  /** Unsettled messages at most; 0 is unlimited. */
  readonly prefetch: number;
  /** The highest delivery number that the node has room for. */
  readonly deliverThrough: number;
  /** No delivery is begun once this many message bytes were delivered. A safe integer. */
  readonly bytesThrough: number;
}

export interface EnsureQueue {
  readonly kind: typeof CommandKind.ensureQueue;
  readonly queue: QueueId;
  readonly config: QueueConfig;
}
export interface AbandonUpload {
  readonly kind: typeof CommandKind.abandonUpload;
  readonly upload: number;
}
export interface Consume extends Credit {
  readonly kind: typeof CommandKind.consume;
  readonly consumer: ConsumerId;
  readonly queue: QueueId;
  /** The client's name of the consumer, for people; may be empty. */
  readonly tag: string;
  readonly exclusive: boolean;
  /** Any integer; those with a higher one come first. */
  readonly priority: number;
  /** Of a stream: where to begin; at the messages to come if nothing is said. */
  readonly offset?: StreamOffset | undefined;
}
export interface SetCredit extends Credit {
  readonly kind: typeof CommandKind.credit;
  readonly consumer: ConsumerId;
}
/** Stops deliveries; what is unsettled stays with the consumer. */
export interface Cancel {
  readonly kind: typeof CommandKind.cancel;
  readonly consumer: ConsumerId;
}
/** The channel is gone: everything unsettled goes back, the consumer is forgotten. */
export interface Release {
  readonly kind: typeof CommandKind.release;
  readonly consumer: ConsumerId;
}
/**
 * Takes one message. `consumer` names a pseudo consumer of one channel and one queue, created on demand, that holds the
 * message until it is settled. With `autoSettle` it is settled once the sender has reported the answer as seen.
 */
export interface Get {
  readonly kind: typeof CommandKind.get;
  readonly queue: QueueId;
  readonly consumer: ConsumerId;
  readonly autoSettle: boolean;
}
export interface Purge {
  readonly kind: typeof CommandKind.purge;
  readonly queue: QueueId;
}
export interface Count {
  readonly kind: typeof CommandKind.count;
  readonly queue: QueueId;
}
export interface DeleteQueue {
  readonly kind: typeof CommandKind.deleteQueue;
  readonly queue: QueueId;
  /** Only if it has no consumer. */
  readonly ifUnused: boolean;
  /** Only if it has no ready message. */
  readonly ifEmpty: boolean;
}
/** R24: ends this incarnation of the node and all earlier ones for ever. */
export interface Fence {
  readonly kind: typeof CommandKind.fence;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
}
/** Gives the machine an entry to go on with pending work in. */
export interface Continue {
  readonly kind: typeof CommandKind.continue;
}
/** The leader's running hash after `index`, a mark of its own (R22). */
export interface Check {
  readonly kind: typeof CommandKind.check;
  readonly index: number;
  readonly hash: number;
}
/** Group 0 has removed the name at `topologyIndex` of its log (R3). */
export interface NameRemoved {
  readonly kind: typeof CommandKind.nameRemoved;
  readonly queue: QueueId;
  readonly topologyIndex: number;
}
export interface SetVersion {
  readonly kind: typeof CommandKind.setVersion;
  readonly version: number;
}

/** All commands that are decoded into objects; enqueue, part and settle are read in place. */
export type DecodedCommand =
  | EnsureQueue
  | AbandonUpload
  | Consume
  | SetCredit
  | Cancel
  | Release
  | Get
  | Purge
  | Count
  | DeleteQueue
  | Fence
  | Continue
  | Check
  | NameRemoved
  | SetVersion;

export const QUEUE_CONFIG_VERSION = 1;
export const QueueConfigFlag = {
  autoDelete: 1,
  exclusive: 2,
  singleActive: 4,
  messageTtl: 8,
  expires: 16,
  stream: 32,
  maxAge: 64,
  maxBytes: 128,
} as const;
/** `begins`: at a place in a stream that is said. */
export const ConsumeFlag = { exclusive: 1, begins: 2 } as const;
export const DeleteFlag = { ifUnused: 1, ifEmpty: 2 } as const;

/** Starts a command; the returned position goes to `end`. */
function begin(out: ByteWriter, kind: CommandKind): number {
  const start = out.length;
  out.u32(0);
  out.u8(kind);
  return start;
}

function end(out: ByteWriter, start: number): void {
  out.patchU32(start, out.length - start - 4);
}

export function writeQueueConfig(out: ByteWriter, config: QueueConfig): void {
  out.u8(QUEUE_CONFIG_VERSION);
  const start = out.length;
  out.u32(0);
  out.string(config.vhost);
  out.string(config.name);
  const { messageTtlMs, expiresMs, stream } = config;
  out.u8(
    (config.autoDelete ? QueueConfigFlag.autoDelete : 0) |
      (config.exclusive ? QueueConfigFlag.exclusive : 0) |
      (config.singleActive ? QueueConfigFlag.singleActive : 0) |
      (messageTtlMs === undefined ? 0 : QueueConfigFlag.messageTtl) |
      (expiresMs === undefined ? 0 : QueueConfigFlag.expires) |
      (stream === undefined ? 0 : QueueConfigFlag.stream) |
      (stream?.maxAgeMs === undefined ? 0 : QueueConfigFlag.maxAge) |
      (stream?.maxBytes === undefined ? 0 : QueueConfigFlag.maxBytes),
  );
  if (messageTtlMs !== undefined) out.u48(messageTtlMs);
  if (expiresMs !== undefined) out.u48(expiresMs);
  if (stream?.maxAgeMs !== undefined) out.u48(stream.maxAgeMs);
  if (stream?.maxBytes !== undefined) out.u48(stream.maxBytes);
  end(out, start);
}

/** Creates the queue unless it exists or was deleted; the answer to the latter is `no-such-queue`. */
export function writeEnsureQueue(out: ByteWriter, queue: QueueId, config: QueueConfig): void {
  const start = begin(out, CommandKind.ensureQueue);
  out.u48(queue);
  writeQueueConfig(out, config);
  end(out, start);
}

function writeTargets(out: ByteWriter, queues: readonly QueueId[]): void {
  const count = queues.length;
  assert(count >= 1 && count <= TARGETS_MAX, () => `${count} target queues; 1 to ${TARGETS_MAX} go into one command`);
  out.u16(count);
  for (let i = 0; i < count; i++) out.u48(queues[i]!);
}

function writeEnqueueHead(out: ByteWriter, flags: number, upload: number | undefined, ttlMs: number | undefined): void {
  out.u8(ttlMs === undefined ? flags : flags | EnqueueFlag.expires);
  if (upload !== undefined) out.u32(upload);
  if (ttlMs !== undefined) out.u48(ttlMs);
}

/** The message block must not exceed `MESSAGE_BLOCK_BYTES_MAX`; see `messageBlockBytes`. */
export function writeEnqueue(out: ByteWriter, queues: readonly QueueId[], message: MessageFields): void {
  const start = begin(out, CommandKind.enqueue);
  writeEnqueueHead(out, 0, undefined, message.ttlMs);
  writeTargets(out, queues);
  writeMessageBlock(out, message);
  end(out, start);
}

/** The same for a block that is already encoded: a forward, or a message read back from the log. */
export function writeEnqueueBlock(out: ByteWriter, queues: readonly QueueId[], block: Uint8Array): void {
  const start = begin(out, CommandKind.enqueue);
  out.u8(0);
  writeTargets(out, queues);
  out.bytes(block);
  end(out, start);
}

/** `head` holds all fields and the beginning of the body (possibly none of it); the upload's parts follow it in order. */
export function writeAssembledEnqueue(
  out: ByteWriter,
  queues: readonly QueueId[],
  upload: number,
  head: MessageFields,
): void {
  const start = begin(out, CommandKind.enqueue);
  writeEnqueueHead(out, EnqueueFlag.assembled, upload, head.ttlMs);
  writeTargets(out, queues);
  writeMessageBlock(out, head);
  end(out, start);
}

/** Next piece of a large message's body, at most `PART_BYTES_MAX`. Upload ids are the sender's, unique in its session. */
export function writePart(out: ByteWriter, upload: number, bytes: Uint8Array): void {
  const start = begin(out, CommandKind.part);
  out.u32(upload);
  out.bytes(bytes);
  end(out, start);
}

export function writeAbandonUpload(out: ByteWriter, upload: number): void {
  const start = begin(out, CommandKind.abandonUpload);
  out.u32(upload);
  end(out, start);
}

function writeCreditFields(out: ByteWriter, credit: Credit): void {
  out.u32(credit.prefetch);
  out.u48(credit.deliverThrough);
  out.f64(credit.bytesThrough);
}

export function writeConsume(out: ByteWriter, command: Omit<Consume, 'kind'>): void {
  const start = begin(out, CommandKind.consume);
  out.u32(command.consumer);
  out.u48(command.queue);
  const { offset } = command;
  out.u8((command.exclusive ? ConsumeFlag.exclusive : 0) | (offset === undefined ? 0 : ConsumeFlag.begins));
  out.f64(command.priority);
  writeCreditFields(out, command);
  out.string(command.tag);
  if (offset !== undefined) writeStreamOffset(out, offset);
  end(out, start);
}

export function writeCredit(out: ByteWriter, command: Omit<SetCredit, 'kind'>): void {
  const start = begin(out, CommandKind.credit);
  out.u32(command.consumer);
  writeCreditFields(out, command);
  end(out, start);
}

/** `ranges` is flat: first, last, first, last ... delivery numbers, both inclusive. */
export function writeSettle(out: ByteWriter, how: Settlement, consumer: ConsumerId, ranges: readonly number[]): void {
  assert(ranges.length % 2 === 0, 'ranges come in pairs');
  const start = begin(out, CommandKind.settle);
  out.u8(how);
  out.u32(consumer);
  for (let i = 0; i < ranges.length; i++) out.u48(ranges[i]!);
  end(out, start);
}

export function writeCancel(out: ByteWriter, consumer: ConsumerId): void {
  const start = begin(out, CommandKind.cancel);
  out.u32(consumer);
  end(out, start);
}

export function writeRelease(out: ByteWriter, consumer: ConsumerId): void {
  const start = begin(out, CommandKind.release);
  out.u32(consumer);
  end(out, start);
}

export function writeGet(out: ByteWriter, command: Omit<Get, 'kind'>): void {
  const start = begin(out, CommandKind.get);
  out.u48(command.queue);
  out.u32(command.consumer);
  out.u8(command.autoSettle ? 1 : 0);
  end(out, start);
}

export function writePurge(out: ByteWriter, queue: QueueId): void {
  const start = begin(out, CommandKind.purge);
  out.u48(queue);
  end(out, start);
}

export function writeCount(out: ByteWriter, queue: QueueId): void {
  const start = begin(out, CommandKind.count);
  out.u48(queue);
  end(out, start);
}

export function writeDeleteQueue(out: ByteWriter, command: Omit<DeleteQueue, 'kind'>): void {
  const start = begin(out, CommandKind.deleteQueue);
  out.u48(command.queue);
  out.u8((command.ifUnused ? DeleteFlag.ifUnused : 0) | (command.ifEmpty ? DeleteFlag.ifEmpty : 0));
  end(out, start);
}

export function writeFence(out: ByteWriter, node: NodeId, incarnation: Incarnation): void {
  const start = begin(out, CommandKind.fence);
  out.u32(node);
  out.u32(incarnation);
  end(out, start);
}

export function writeContinue(out: ByteWriter): void {
  end(out, begin(out, CommandKind.continue));
}

export function writeCheck(out: ByteWriter, index: number, hash: number): void {
  const start = begin(out, CommandKind.check);
  out.u48(index);
  out.u32(hash);
  end(out, start);
}

export function writeNameRemoved(out: ByteWriter, queue: QueueId, topologyIndex: number): void {
  const start = begin(out, CommandKind.nameRemoved);
  out.u48(queue);
  out.u48(topologyIndex);
  end(out, start);
}

export function writeSetVersion(out: ByteWriter, version: number): void {
  const start = begin(out, CommandKind.setVersion);
  out.u32(version);
  end(out, start);
}
