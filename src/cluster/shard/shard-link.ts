import type { ConsumerId, Incarnation, NodeId } from '../../lib/ids.ts';
import type { BatchRefusal } from '../../queue/effects.ts';
import type { Outcome } from '../../queue/outcomes.ts';

/** A node introduces itself to the leader of a shard: on every new leader and every new stream (R25). */
export interface AttachRequest {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** Names this attach in the answer, so that an answer to an earlier one is recognised. */
  readonly attach: number;
  /** Outcomes above this are repeated. */
  readonly answeredThrough: number;
  /** All consumers of the node in this shard, with the last delivery number that arrived. Others are dropped. */
  readonly consumers: readonly { readonly consumer: ConsumerId; readonly last: number }[];
}

/** What a node asks of a shard's leader, wherever that is. */
export interface ShardLeaderPort {
  attach(request: AttachRequest): void;
  /** False: it cannot be taken now, and was not. Bytes may be kept: the sender does not change them. */
  batch(bytes: Uint8Array): boolean;
}

/** What a shard's leader tells one attached node. Calls come in log order. */
export interface ShardLink {
  /** Takes what it is given, but has enough to do: deliveries had better wait with the leader. */
  readonly isCongested: boolean;
  /**
   * The first call for an attach; all that follow belong to it, until `detached`. The session continues behind
   * `lastSequence`; `unknown` consumers are not known to the shard.
   */
  attached(incarnation: Incarnation, attach: number, lastSequence: number, unknown: readonly ConsumerId[]): void;
  answered(
    throughSequence: number,
    outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[],
  ): void;
  /** `content` and `more` are valid during the call only. */
  deliver(
    consumer: ConsumerId,
    number: number,
    deliveryCount: number,
    /** In a stream; `NO_OFFSET` in other queues. */
    offset: number,
    /** Numbers between the last one and this were withdrawn; only in the answer to an attach. */
    mayLeap: boolean,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void;
  consumerCancelled(consumer: ConsumerId): void;
  refused(refusal: BatchRefusal): void;
  /** No call follows for this attach: what was gathered and not sent must not leave any more. */
  detached(): void;
}
