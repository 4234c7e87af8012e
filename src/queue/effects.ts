import type { ConsumerId, Incarnation, LogIndex, NodeId, QueueId } from '../lib/ids.ts';
import type { Outcome } from './outcomes.ts';

/** Bytes in the payload of one entry. */
export interface BodyPart {
  readonly entry: LogIndex;
  /** Offset in the entry's payload. */
  readonly position: number;
  readonly length: number;
}

/**
 * Where a message's block is. Without `parts` it lies at `entry` and `position` in one piece; with them it is their
 * concatenation, and `entry` and `position` are those of the first.
 */
export interface BodyReference extends BodyPart {
  readonly parts: readonly BodyPart[] | undefined;
}

/** Who a delivery goes to. One object per consumer, so it can be compared by identity within one life of the machine. */
export interface ConsumerAddress {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly consumer: ConsumerId;
  readonly queue: QueueId;
}

/** `offset` of a message that is in no stream. */
export const NO_OFFSET = -1;

/** Deliveries as columns, in the order in which they were handed out; numbers of one consumer ascend without gap. */
export class DeliveryList {
  readonly consumers: ConsumerAddress[] = [];
  readonly numbers: number[] = [];
  readonly entries: LogIndex[] = [];
  readonly positions: number[] = [];
  /** Block length; of a large message all parts together. */
  readonly lengths: number[] = [];
  /** Failed attempts so far. Above 0 the message carries `redelivered`. */
  readonly deliveryCounts: number[] = [];
  /** Large messages among them: by their place in the columns. */
  readonly large = new Map<number, readonly BodyPart[]>();
  /** Messages of streams among them, with their offsets there: by their place in the columns. */
  readonly offsets = new Map<number, number>();

  get length(): number {
    return this.numbers.length;
  }

  add(address: ConsumerAddress, number: number, body: BodyReference, deliveryCount: number): void {
    if (body.parts) this.large.set(this.numbers.length, body.parts);
    this.addPlain(address, number, body.entry, body.position, body.length, deliveryCount);
  }

  addPlain(
    address: ConsumerAddress,
    number: number,
    entry: LogIndex,
    position: number,
    length: number,
    deliveryCount: number,
  ): void {
    this.consumers.push(address);
    this.numbers.push(number);
    this.entries.push(entry);
    this.positions.push(position);
    this.lengths.push(length);
    this.deliveryCounts.push(deliveryCount);
  }

  /** Its offset in a stream; `NO_OFFSET` in other queues. */
  offsetAt(i: number): number {
    return this.offsets.size === 0 ? NO_OFFSET : (this.offsets.get(i) ?? NO_OFFSET);
  }

  bodyAt(i: number): BodyReference {
    return {
      entry: this.entries[i]!,
      position: this.positions[i]!,
      length: this.lengths[i]!,
      parts: this.large.get(i),
    };
  }
}

/**
 * Live bytes per entry, as columns; neighbouring changes of one entry are summed. A message that entered n queues counts
 * an n-th part of its bytes, rounded up, for each reference. Over a message's life what is released equals what was added.
 */
export class BodyAccount {
  readonly entries: LogIndex[] = [];
  readonly bytes: number[] = [];

  add(entry: LogIndex, bytes: number): void {
    const last = this.entries.length - 1;
    if (last >= 0 && this.entries[last] === entry) {
      this.bytes[last]! += bytes;
      return;
    }
    this.entries.push(entry);
    this.bytes.push(bytes);
  }
}

export interface SequencedOutcome {
  readonly sequence: number;
  readonly outcome: Outcome;
}

/**
 * Everything of this session up to `throughSequence` is decided. A sequence of the batch that is not listed has its
 * default outcome: accepted (enqueue), done (all others).
 */
export interface SessionAnswer {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly throughSequence: number;
  /** Ascending; those of the answered batch only. */
  readonly outcomes: readonly SequencedOutcome[];
}

/** A batch of which nothing was executed. */
export type BatchRefusal =
  | {
      readonly reason: 'gap';
      readonly node: NodeId;
      readonly incarnation: Incarnation;
      /** The session takes this sequence next; the sender resends from there. */
      readonly expectedSequence: number;
    }
  | { readonly reason: 'fenced'; readonly node: NodeId; readonly incarnation: Incarnation };

export interface NamedQueue {
  readonly id: QueueId;
  readonly vhost: string;
  readonly name: string;
}

/** This replica's running hash differs from the leader's: it must stop and be filled again (R22). */
export interface Divergence {
  readonly index: LogIndex;
  readonly leaderHash: number;
  readonly ownHash: number;
}

/**
 * What one `apply` asks of the outside. Every replica computes the same; `bodiesAdded`, `bodiesReleased` and `divergence`
 * concern each of them, the rest only the leader. Whatever must not be lost with a leader can be read from the state again.
 */
export class ShardEffects {
  readonly deliveries = new DeliveryList();
  readonly answers: SessionAnswer[] = [];
  readonly refusals: BatchRefusal[] = [];
  /** Consumers that lost their queue: their nodes tell the clients (`basic.cancel`) and release them. */
  readonly consumersCancelled: ConsumerAddress[] = [];
  /** Queues that are gone from the shard: their names are to be removed from group 0 (R3). */
  readonly queuesDeleted: NamedQueue[] = [];
  readonly bodiesAdded = new BodyAccount();
  readonly bodiesReleased = new BodyAccount();
  divergence: Divergence | undefined = undefined;
  /** Work is left over: the leader proposes `continue`. */
  continuationWanted = false;
}
