import { assert } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { consumerId, incarnation, nodeId, queueId } from '../lib/ids.ts';
import type { Credit } from './commands.ts';
import { appendToRing } from './consumer-rings.ts';
import type { ConsumerAddress } from './effects.ts';
import type { QueueState } from './queue-state.ts';
import type { Session } from './sessions.ts';
import { Unsettled } from './unsettled.ts';

/**
 * `active` takes deliveries; `waiting` for its turn in a queue with a single active consumer; `cancelled` by its client,
 * keeps what is unsettled; `queue-deleted` waits for its node to release it, so that the notice survives leader changes;
 * `getter` is the pseudo consumer of `get`.
 */
export const CONSUMER_STATES = ['active', 'cancelled', 'queue-deleted', 'getter', 'waiting'] as const;
export type ConsumerState = (typeof CONSUMER_STATES)[number];

export interface ConsumerOptions {
  readonly serial: number;
  readonly address: ConsumerAddress;
  readonly state: ConsumerState;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly tag: string;
  /** Of a stream: see `Consumer`. */
  readonly cursor: number;
  readonly credit: Credit;
}

/** `cursor` of a consumer that reads no stream. */
export const NO_CURSOR = -1;
/** On its page. */
const ConsumerFlag = { exclusive: 1, reader: 2 } as const;

/** A consumer of one queue, keyed by its node's incarnation and its id there (R24). */
export class Consumer {
  /** Counts the shard's consumers; orders them for ever. */
  readonly serial: number;
  readonly address: ConsumerAddress;
  readonly session: Session;
  readonly tag: string;
  readonly isExclusive: boolean;
  /** While those with a higher one can take messages, this one gets none. */
  readonly priority: number;
  state: ConsumerState;
  /** Undefined once the queue is deleted. */
  queue: QueueState | undefined;

  prefetch: number;
  deliverThrough: number;
  bytesThrough: number;
  /** Delivery numbers 1 to here were given. */
  lastDelivery = 0;
  bytesDelivered = 0;
  /** Position in a stream of the first message that it has not been given; what the stream drops is passed over. */
  cursor: number;
  readonly unsettled: Unsettled;

  /** Left-over work on what this consumer holds: later work waits behind it. */
  pendingWork = 0;
  /** It is being released: as good as gone for every command. */
  isLeaving = false;

  /** Neighbours in the queue's service order, or among those who wait to be active; undefined outside of both. */
  ringNext: Consumer | undefined = undefined;
  ringPrevious: Consumer | undefined = undefined;

  constructor(options: ConsumerOptions, session: Session, queue: QueueState | undefined) {
    this.serial = options.serial;
    this.address = options.address;
    this.tag = options.tag;
    this.isExclusive = options.isExclusive;
    this.priority = options.priority;
    this.state = options.state;
    this.cursor = options.cursor;
    this.prefetch = options.credit.prefetch;
    this.deliverThrough = options.credit.deliverThrough;
    this.bytesThrough = options.credit.bytesThrough;
    this.session = session;
    this.queue = queue;
    const space = options.address.queue;
    this.unsettled = new Unsettled({
      serial: options.serial,
      space,
      nextPageNumber: () => {
        assert(this.queue !== undefined, 'a delivery from a deleted queue');
        return this.queue.nextUnsettledPage();
      },
    });
  }

  /** Credit in messages, bytes and unsettled deliveries (R26). */
  get canTake(): boolean {
    return (
      this.state === 'active' &&
      !this.session.isEnded &&
      (this.prefetch === 0 || this.unsettled.count < this.prefetch) &&
      this.lastDelivery < this.deliverThrough &&
      this.bytesDelivered < this.bytesThrough
    );
  }

  /** Its client has not cancelled it, and its queue is there. */
  get isConsuming(): boolean {
    return this.state === 'active' || this.state === 'waiting';
  }

  /** Of a stream. */
  get isReader(): boolean {
    return this.cursor !== NO_CURSOR;
  }

  setCredit(credit: Credit): void {
    this.prefetch = credit.prefetch;
    this.deliverThrough = credit.deliverThrough;
    this.bytesThrough = credit.bytesThrough;
  }

  encode(out: ByteWriter): void {
    const { node, incarnation: started, consumer, queue } = this.address;
    out.u48(this.serial);
    out.u32(node);
    out.u32(started);
    out.u32(consumer);
    out.u48(queue);
    out.u8(CONSUMER_STATES.indexOf(this.state));
    out.u8((this.isExclusive ? ConsumerFlag.exclusive : 0) | (this.isReader ? ConsumerFlag.reader : 0));
    out.f64(this.priority);
    out.string(this.tag);
    out.u32(this.prefetch);
    out.u48(this.deliverThrough);
    out.f64(this.bytesThrough);
    out.u48(this.lastDelivery);
    out.f64(this.bytesDelivered);
    if (this.isReader) out.u48(this.cursor);
  }
}

/** A consumer as a page holds it, before its session and queue are found. */
export interface DecodedConsumer extends ConsumerOptions {
  readonly lastDelivery: number;
  readonly bytesDelivered: number;
}

export function decodeConsumer(from: ByteReader): DecodedConsumer {
  const serial = from.u48();
  const address = {
    node: nodeId(from.u32()),
    incarnation: incarnation(from.u32()),
    consumer: consumerId(from.u32()),
    queue: queueId(from.u48()),
  };
  const state = CONSUMER_STATES[from.u8()];
  assert(state !== undefined, 'consumer state is unknown');
  const flags = from.u8();
  return {
    serial,
    address,
    state,
    isExclusive: (flags & ConsumerFlag.exclusive) !== 0,
    priority: from.f64(),
    tag: from.string(),
    credit: { prefetch: from.u32(), deliverThrough: from.u48(), bytesThrough: from.f64() },
    lastDelivery: from.u48(),
    bytesDelivered: from.f64(),
    cursor: (flags & ConsumerFlag.reader) !== 0 ? from.u48() : NO_CURSOR,
  };
}

/** Puts a consumer last in its queue's service order, among those of its priority, if it can take a message and is not in it. */
export function joinRing(queue: QueueState, consumer: Consumer): void {
  if (consumer.ringNext !== undefined || !consumer.canTake) return;
  appendToRing(queue, consumer);
}
