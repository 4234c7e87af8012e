import type { ByteReader } from '../lib/bytes.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import { EnqueueFlag } from './commands.ts';
import { NEVER } from './deadlines.ts';
import type { BodyPart } from './effects.ts';
import { LARGE_MESSAGE_BYTES_MAX } from './limits.ts';
import type { Outcome } from './outcomes.ts';
import { noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { accountedBytes, LARGE } from './reference-chunks.ts';
import type { Session } from './sessions.ts';
import type { ShardState } from './shard-state.ts';

const NO_SUCH_QUEUE: Outcome = { kind: 'no-such-queue' };

/** Reads the fields behind the kind in place. Undefined: at least one target queue took the message. */
export function enqueue(state: ShardState, session: Session, from: ByteReader, end: number): Outcome | undefined {
  const flags = from.u8();
  if ((flags & EnqueueFlag.assembled) !== 0) return enqueueAssembled(state, session, from, flags, end);
  const ttlMs = (flags & EnqueueFlag.expires) === 0 ? NEVER : from.u48();
  const count = from.u16();
  if (count > 1) return enqueueToMany(state, from, count, ttlMs, end);
  const queue = state.queues.get(queueId(from.u48()));
  if (!queue) return NO_SUCH_QUEUE;
  const length = end - from.position;
  append(state, queue, from.position, length, 1, ttlMs);
  state.effects.bodiesAdded.add(state.applied, length);
  return undefined;
}

function enqueueToMany(
  state: ShardState,
  from: ByteReader,
  count: number,
  ttlMs: number,
  end: number,
): Outcome | undefined {
  const queues = readTargets(state, from, count);
  const length = end - from.position;
  const shares = queues.length;
  if (shares === 0) return NO_SUCH_QUEUE;
  for (const queue of queues) append(state, queue, from.position, length, shares, ttlMs);
  state.effects.bodiesAdded.add(state.applied, accountedBytes(length, shares) * shares);
  return undefined;
}

function enqueueAssembled(
  state: ShardState,
  session: Session,
  from: ByteReader,
  flags: number,
  end: number,
): Outcome | undefined {
  const uploadId = from.u32();
  const ttlMs = (flags & EnqueueFlag.expires) === 0 ? NEVER : from.u48();
  const queues = readTargets(state, from, from.u16());
  const upload = session.uploads.get(uploadId);
  if (!upload) return { kind: 'no-such-upload' };
  if (queues.length === 0) {
    dropUpload(state, session, uploadId);
    return NO_SUCH_QUEUE;
  }
  session.uploads.delete(uploadId);
  const head: BodyPart = { entry: state.applied, position: from.position, length: end - from.position };
  state.effects.bodiesAdded.add(head.entry, head.length);
  const id = state.large.add(state.tracker, [head, ...upload.parts], queues.length);
  for (const queue of queues) append(state, queue, id, head.length + upload.bytes, LARGE, ttlMs);
  return undefined;
}

/** Takes a piece of a large message. */
export function addPart(state: ShardState, session: Session, from: ByteReader, end: number): Outcome | undefined {
  const uploadId = from.u32();
  const part: BodyPart = { entry: state.applied, position: from.position, length: end - from.position };
  const upload = session.uploads.get(uploadId) ?? { parts: [], bytes: 0 };
  if (upload.bytes + part.length > LARGE_MESSAGE_BYTES_MAX) {
    dropUpload(state, session, uploadId);
    return { kind: 'too-large' };
  }
  session.uploads.set(uploadId, upload);
  upload.parts.push(part);
  upload.bytes += part.length;
  state.effects.bodiesAdded.add(part.entry, part.length);
  return undefined;
}

export function dropUpload(state: ShardState, session: Session, uploadId: number): void {
  const upload = session.uploads.get(uploadId);
  if (!upload) return;
  session.uploads.delete(uploadId);
  for (const part of upload.parts) state.effects.bodiesReleased.add(part.entry, part.length);
}

/** The target queues that are there. */
function readTargets(state: ShardState, from: ByteReader, count: number): QueueState[] {
  const queues: QueueState[] = [];
  for (let i = 0; i < count; i++) {
    const id: QueueId = queueId(from.u48());
    const queue = state.queues.get(id);
    if (queue) queues.push(queue);
  }
  return queues;
}

/** The shorter of two times counts: that of the message and that of the queue. A stream keeps the time at which it came. */
function append(
  state: ShardState,
  queue: QueueState,
  position: number,
  length: number,
  shares: number,
  ttlMs: number,
): void {
  state.tracker.touch(queue);
  const isOfStream = queue.stream !== undefined;
  const timeMs = isOfStream ? state.timeMs : state.timeMs + Math.min(ttlMs, queue.messageTtlMs);
  queue.append(state.tracker, state.pool, state.applied, position, length, shares, timeMs);
  // Behind other messages it does not come to its end before they are gone; but it may be one too many for a stream.
  if (queue.deadline !== undefined && (isOfStream || queue.ready === 1)) noteDeadline(state, queue);
  state.counters.enqueued++;
  state.counters.ready++;
  if (queue.ringFront !== undefined) state.pending.touch(queue);
}
