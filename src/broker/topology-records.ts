import { type GroupId, type Incarnation, type NodeId, type QueueId, queueId } from '../lib/ids.ts';
import type { FieldTable } from './field-table.ts';

/** One start of one node: where connections and volatile queues live, and what is fenced (R24). */
export interface NodeStart {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
}

/** A client's connection. The number is unique within its node's incarnation, 1 or more. */
export interface ConnectionOwner extends NodeStart {
  readonly connection: number;
}

/**
 * Where a queue's messages are (R4): in a shard, replicated; or, for exclusive and non-durable queues, in the memory of
 * one node, with which they end.
 */
export type QueueHome =
  | { readonly kind: 'shard'; readonly group: GroupId }
  | ({ readonly kind: 'volatile' } & NodeStart);

/** Never changed once declared: the same id always means the same record. */
export interface QueueRecord {
  readonly id: QueueId;
  readonly vhost: string;
  readonly name: string;
  /** False for exclusive queues, whatever the client asked for, as in RabbitMQ. */
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusiveOwner: ConnectionOwner | undefined;
  readonly arguments: FieldTable;
  readonly home: QueueHome;
}

export interface ExchangeRecord {
  /** Never reused; a name declared again is another exchange. */
  readonly id: number;
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

declare const destination: unique symbol;
/** Where a binding leads, as one number to compare and to count by: a queue's id, or the negative of an exchange's id. */
export type Destination = number & { readonly [destination]: true };

export const queueDestination = (queue: QueueId): Destination => queue as number as Destination;
export const exchangeDestination = (exchange: number): Destination => -exchange as Destination;
/** Undefined for an exchange. */
export const destinationQueue = (end: Destination): QueueId | undefined => (end > 0 ? queueId(end) : undefined);
/** Undefined for a queue. */
export const destinationExchange = (end: Destination): number | undefined => (end < 0 ? -end : undefined);

export interface BindingRecord {
  readonly id: number;
  /** The id of the exchange that the binding belongs to. */
  readonly source: number;
  readonly destination: Destination;
  /** The binding key. */
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** Ids are given in ascending order and never again; they are part of the replicated state. */
export interface TopologyCounters {
  readonly nextQueue: QueueId;
  readonly nextExchange: number;
  readonly nextBinding: number;
}

export type TopologyChange =
  | { readonly kind: 'vhost-declared' | 'vhost-removed'; readonly vhost: string }
  | { readonly kind: 'exchange-declared' | 'exchange-removed'; readonly exchange: ExchangeRecord }
  | { readonly kind: 'queue-declared' | 'queue-removed'; readonly queue: QueueRecord }
  | { readonly kind: 'bound' | 'unbound'; readonly binding: BindingRecord };

/** Told of each change before it is made, so that what is about to change can still be copied (R14). */
export interface TopologyObserver {
  beforeChange(change: TopologyChange): void;
}
