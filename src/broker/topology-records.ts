import type { GroupId, Incarnation, NodeId, QueueId } from '../lib/ids.ts';
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

export interface BindingRecord {
  readonly id: number;
  /** The exchange's id. */
  readonly exchange: number;
  readonly queue: QueueId;
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
  | { readonly kind: 'vhost-declared'; readonly vhost: string }
  | { readonly kind: 'exchange-declared' | 'exchange-removed'; readonly exchange: ExchangeRecord }
  | { readonly kind: 'queue-declared' | 'queue-removed'; readonly queue: QueueRecord }
  | { readonly kind: 'bound' | 'unbound'; readonly binding: BindingRecord };

/** Told of each change before it is made, so that what is about to change can still be copied (R14). */
export interface TopologyObserver {
  beforeChange(change: TopologyChange): void;
}
