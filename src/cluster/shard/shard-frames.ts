import { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { type ConsumerId, consumerId, type Incarnation, incarnation, type NodeId } from '../../lib/ids.ts';
import { type BatchRefusal, NO_OFFSET } from '../../queue/effects.ts';
import { type Outcome, readOutcome, writeOutcome } from '../../queue/outcomes.ts';
import type { AttachRequest, ShardLink } from './shard-link.ts';

/**
 * What a node and a shard's leader on another node say to each other, as frame payloads; all values big-endian. Readers
 * throw `TruncatedError` for bytes that end too early; the caller drops the link.
 */
export function encodeAttach(request: AttachRequest): Uint8Array {
  const out = new ByteWriter(32 + request.consumers.length * 10);
  out.u32(request.incarnation);
  out.u32(request.attach);
  out.u48(request.answeredThrough);
  out.u32(request.consumers.length);
  for (const { consumer, last } of request.consumers) {
    out.u32(consumer);
    out.u48(last);
  }
  return out.view();
}

/** The node is the one that the link belongs to, whatever the bytes say. */
export function decodeAttach(node: NodeId, payload: Uint8Array): AttachRequest {
  const reader = new ByteReader(payload);
  return {
    node,
    incarnation: incarnation(reader.u32()),
    attach: reader.u32(),
    answeredThrough: reader.u48(),
    consumers: readList(reader, () => ({ consumer: consumerId(reader.u32()), last: reader.u48() })),
  };
}

export function encodeAttached(
  started: Incarnation,
  attach: number,
  lastSequence: number,
  unknown: readonly ConsumerId[],
): Uint8Array {
  const out = new ByteWriter(20 + unknown.length * 4);
  out.u32(started);
  out.u32(attach);
  out.u48(lastSequence);
  out.u32(unknown.length);
  for (const consumer of unknown) out.u32(consumer);
  return out.view();
}

export function decodeAttached(payload: Uint8Array, link: ShardLink): void {
  const reader = new ByteReader(payload);
  const started = incarnation(reader.u32());
  const attach = reader.u32();
  const lastSequence = reader.u48();
  const unknown = readList(reader, () => consumerId(reader.u32()));
  link.attached(started, attach, lastSequence, unknown);
}

export function encodeAnswers(
  throughSequence: number,
  outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[],
): Uint8Array {
  const out = new ByteWriter(16 + outcomes.length * 16);
  out.u48(throughSequence);
  out.u32(outcomes.length);
  for (const { sequence, outcome } of outcomes) {
    out.u48(sequence);
    writeOutcome(out, outcome);
  }
  return out.view();
}

export function decodeAnswers(payload: Uint8Array, link: ShardLink): void {
  const reader = new ByteReader(payload);
  const through = reader.u48();
  const outcomes = readList(reader, () => ({ sequence: reader.u48(), outcome: readOutcome(reader) }));
  link.answered(through, outcomes);
}

export function encodeRefused(refusal: BatchRefusal): Uint8Array {
  const out = new ByteWriter(16);
  out.u8(refusal.reason === 'fenced' ? 1 : 0);
  out.u32(refusal.node);
  out.u32(refusal.incarnation);
  out.u48(refusal.reason === 'gap' ? refusal.expectedSequence : 0);
  return out.view();
}

export function decodeRefused(self: NodeId, payload: Uint8Array, link: ShardLink): void {
  const reader = new ByteReader(payload);
  const isFenced = reader.u8() === 1;
  reader.u32();
  const refusedIncarnation = incarnation(reader.u32());
  const expectedSequence = reader.u48();
  if (isFenced) link.refused({ reason: 'fenced', node: self, incarnation: refusedIncarnation });
  else link.refused({ reason: 'gap', node: self, incarnation: refusedIncarnation, expectedSequence });
}

export const encodeConsumerCancelled = (consumer: ConsumerId): Uint8Array => {
  const out = new ByteWriter(4);
  out.u32(consumer);
  return out.view();
};

export const decodeConsumerCancelled = (payload: Uint8Array, link: ShardLink): void =>
  link.consumerCancelled(consumerId(new ByteReader(payload).u32()));

/** Of one delivery in a frame of deliveries at most, without its content. */
export const DELIVERY_HEAD_BYTES = 23;
const MAY_LEAP = 1;
/** The content goes on in `deliveryPart` frames, the last of which is marked. */
const IN_PARTS = 2;
/** Its offset follows. */
const IN_STREAM = 4;

export function writeDelivery(
  out: ByteWriter,
  consumer: ConsumerId,
  number: number,
  deliveryCount: number,
  offset: number,
  mayLeap: boolean,
  content: Uint8Array,
  inParts: boolean,
): void {
  const isInStream = offset !== NO_OFFSET;
  out.u32(consumer);
  out.u48(number);
  out.u16(deliveryCount);
  out.u8((mayLeap ? MAY_LEAP : 0) | (inParts ? IN_PARTS : 0) | (isInStream ? IN_STREAM : 0));
  if (isInStream) out.u48(offset);
  out.block(content);
}

/** Takes the deliveries of one link apart again; keeps the pieces of a large message until the last one is there. */
export class DeliveryAssembler {
  readonly #link: ShardLink;
  #partial: ((content: Uint8Array, more: readonly Uint8Array[]) => void) | undefined;
  #parts: Uint8Array[] = [];

  constructor(link: ShardLink) {
    this.#link = link;
  }

  deliveries(payload: Uint8Array): void {
    const reader = new ByteReader(payload);
    while (reader.remaining > 0) {
      const consumer = consumerId(reader.u32());
      const number = reader.u48();
      const deliveryCount = reader.u16();
      const flags = reader.u8();
      const offset = (flags & IN_STREAM) !== 0 ? reader.u48() : NO_OFFSET;
      const content = reader.block();
      const mayLeap = (flags & MAY_LEAP) !== 0;
      if ((flags & IN_PARTS) === 0) {
        this.#link.deliver(consumer, number, deliveryCount, offset, mayLeap, content, []);
        continue;
      }
      this.#partial = (first, more) =>
        this.#link.deliver(consumer, number, deliveryCount, offset, mayLeap, first, more);
      this.#parts = [content.slice()];
    }
  }

  /** First byte: 1 if this is the last part. */
  part(payload: Uint8Array): void {
    const deliver = this.#partial;
    if (deliver === undefined) return;
    const isLast = payload[0] === 1;
    this.#parts.push(payload.slice(1));
    if (!isLast) return;
    const [content, ...more] = this.#parts;
    this.#partial = undefined;
    this.#parts = [];
    deliver(content!, more);
  }
}

function readList<Item>(reader: ByteReader, read: () => Item): Item[] {
  const count = reader.u32();
  const items: Item[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}
