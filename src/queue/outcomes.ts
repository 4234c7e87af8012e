import { assert, unreachable } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type ConsumerId, consumerId } from '../lib/ids.ts';
import type { BodyPart, BodyReference } from './effects.ts';

/**
 * What a command came to, where it is not the default (accepted, done). Recorded in the session until the sender has
 * seen it, and repeated when the command is repeated (R23).
 */
export type Outcome =
  /** The queue is unknown or deleted; of an enqueue: none of its targets is there. */
  | { readonly kind: 'no-such-queue' }
  | { readonly kind: 'no-such-upload' }
  /** The upload would exceed `LARGE_MESSAGE_BYTES_MAX`; it is dropped. */
  | { readonly kind: 'too-large' }
  /** The sender's topology is so old that the queue may have been deleted meanwhile: try again with a newer index. */
  | { readonly kind: 'stale-topology' }
  /** An exclusive consumer is there, or exclusivity was wanted and there are others. */
  | { readonly kind: 'exclusive-refused' }
  /** The consumer id is in use; a `get` names a pseudo consumer of another queue. */
  | { readonly kind: 'consumer-exists' }
  | { readonly kind: 'in-use' }
  | { readonly kind: 'not-empty' }
  /** Of a `get`. */
  | { readonly kind: 'empty' }
  /** The queue is a stream, from which no single message can be taken. */
  | { readonly kind: 'no-get' }
  /** The stream has `READERS_MAX` consumers. */
  | { readonly kind: 'too-many-readers' }
  | {
      readonly kind: 'message';
      /** The pseudo consumer that holds it. */
      readonly consumer: ConsumerId;
      readonly number: number;
      readonly body: BodyReference;
      readonly deliveryCount: number;
      readonly readyLeft: number;
      /** Settled by the machine once the sender reports this answer as seen. */
      readonly autoSettle: boolean;
    }
  | { readonly kind: 'purged'; readonly messages: number }
  | { readonly kind: 'counted'; readonly ready: number; readonly consumers: number }
  | { readonly kind: 'deleted'; readonly messages: number };

/** Codes on disk and on the wire; a removed one is never given again. */
const CODES = [
  'no-such-queue',
  'no-such-upload',
  'too-large',
  'stale-topology',
  'exclusive-refused',
  'consumer-exists',
  'in-use',
  'not-empty',
  'empty',
  'message',
  'purged',
  'counted',
  'deleted',
  'no-get',
  'too-many-readers',
] as const satisfies readonly Outcome['kind'][];

export function writeOutcome(out: ByteWriter, outcome: Outcome): void {
  out.u8(CODES.indexOf(outcome.kind));
  switch (outcome.kind) {
    case 'message':
      out.u32(outcome.consumer);
      out.u48(outcome.number);
      writeBodyReference(out, outcome.body);
      out.u16(outcome.deliveryCount);
      out.u48(outcome.readyLeft);
      out.u8(outcome.autoSettle ? 1 : 0);
      return;
    case 'purged':
    case 'deleted':
      out.u48(outcome.messages);
      return;
    case 'counted':
      out.u48(outcome.ready);
      out.u32(outcome.consumers);
      return;
    case 'no-such-queue':
    case 'no-such-upload':
    case 'too-large':
    case 'stale-topology':
    case 'exclusive-refused':
    case 'consumer-exists':
    case 'in-use':
    case 'not-empty':
    case 'empty':
    case 'no-get':
    case 'too-many-readers':
      return;
    default:
      unreachable(outcome);
  }
}

/** Reads what `writeOutcome` wrote. The bytes come from a checkpoint or a peer that are trusted to be whole. */
export function readOutcome(from: ByteReader): Outcome {
  const code = from.u8();
  const kind = CODES[code];
  assert(kind !== undefined, () => `outcome code ${code} is unknown`);
  switch (kind) {
    case 'message':
      return {
        kind,
        consumer: consumerId(from.u32()),
        number: from.u48(),
        body: readBodyReference(from),
        deliveryCount: from.u16(),
        readyLeft: from.u48(),
        autoSettle: from.u8() === 1,
      };
    case 'purged':
    case 'deleted':
      return { kind, messages: from.u48() };
    case 'counted':
      return { kind, ready: from.u48(), consumers: from.u32() };
    default:
      return { kind };
  }
}

/** The part list is empty for a message in one piece. */
export function writeBodyReference(out: ByteWriter, body: BodyReference): void {
  writeBodyPart(out, body);
  writeBodyParts(out, body.parts ?? []);
}

export function readBodyReference(from: ByteReader): BodyReference {
  const { entry, position, length } = readBodyPart(from);
  const parts = readBodyParts(from);
  return { entry, position, length, parts: parts.length > 0 ? parts : undefined };
}

export function writeBodyParts(out: ByteWriter, parts: readonly BodyPart[]): void {
  out.u32(parts.length);
  for (const part of parts) writeBodyPart(out, part);
}

export function readBodyParts(from: ByteReader): BodyPart[] {
  return Array.from({ length: from.u32() }, () => readBodyPart(from));
}

function writeBodyPart(out: ByteWriter, part: BodyPart): void {
  out.u48(part.entry);
  out.u32(part.position);
  out.u32(part.length);
}

function readBodyPart(from: ByteReader): BodyPart {
  return { entry: from.u48(), position: from.u32(), length: from.u32() };
}
