import type { ByteWriter } from '../lib/bytes.ts';
import type { ConsumerId, QueueId } from '../lib/ids.ts';
import type { Consume, Credit, QueueConfig, Settlement } from '../queue/commands.ts';
import type { MessageFields } from '../queue/message-block.ts';
import type { Outcome } from '../queue/outcomes.ts';
import type { AccessGateway } from './access/administration.ts';
import type { NodeLoad } from './access/load.ts';
import type { Result } from './broker.ts';
import type { Router } from './router.ts';
import type { BindRequest, DeclareExchange, DeclareQueue, TopologyView } from './topology.ts';
import type { ConnectionOwner, NodeStart, QueueHome, QueueRecord } from './topology-records.ts';

/**
 * What a command came to. `abandoned`: nobody will ever say, because this node lost its place in the cluster before the
 * shard answered. `home-gone`: a volatile home ended with its node, and its queues with it. A publish with either is not
 * confirmed.
 */
export type Decision = Outcome | { readonly kind: 'abandoned' | 'home-gone' };

/** What happens when a shard has decided; undefined is the default outcome: accepted, done. */
export type OnOutcome = (outcome: Decision | undefined) => void;

/** Waits for its publishes. */
export interface PublishOrigin {
  published(first: number, last: number, outcome: Decision | undefined): void;
}

/** Where a consumer's deliveries go. */
export interface ConsumerReceiver {
  /** `offset`: in a stream; `NO_OFFSET` in other queues. */
  deliver(
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void;
  cancelled(): void;
}

/**
 * This node's ordered stream of commands to the home of some queues, a shard or a volatile log, wherever it is led (R1).
 * Nothing is lost on the way and nothing is done twice; answers come when the home has decided.
 */
export interface HomeStream {
  /** At its bound: publishers are to be held until `hasRoom`. */
  readonly isFull: boolean;
  readonly hasRoom: boolean;
  /** Why it may be full, worth telling the client: most of the nodes that hold the home have little memory left. */
  readonly isShortOfMemory: boolean;
  /** Must come before the first command to a queue (R3). Cheap when it was said before. */
  introduce(queue: QueueId, config: QueueConfig): void;
  publish(queues: readonly QueueId[], message: MessageFields, origin: PublishOrigin | undefined, number: number): void;
  /** Count, purge, delete, get. */
  request(write: (out: ByteWriter) => void, onOutcome: OnOutcome | undefined): void;
  consume(
    consumer: ConsumerId,
    command: Omit<Consume, 'kind' | 'consumer'>,
    receiver: ConsumerReceiver,
    onOutcome: OnOutcome,
  ): void;
  /** Makes a pseudo consumer for `get` known on this node. */
  register(consumer: ConsumerId, receiver: ConsumerReceiver): void;
  credit(consumer: ConsumerId, credit: Credit): void;
  settle(consumer: ConsumerId, how: Settlement, ranges: readonly number[]): void;
  cancel(consumer: ConsumerId, onOutcome: OnOutcome): void;
  release(consumer: ConsumerId, onOutcome?: OnOutcome): void;
}

/** The cluster, as the broker needs it. */
export interface ClusterGateway extends AccessGateway {
  /** What limits of connections and channels are compared with. */
  readonly load: NodeLoad;
  readonly topology: TopologyView;
  readonly router: Router;
  /** This start of this node. */
  readonly self: NodeStart;
  /** Undefined: the home is gone with its node; its queues are about to leave the topology. */
  stream(home: QueueHome): HomeStream | undefined;
  /** Whether this node may route by the topology that it knows, at this very moment (R2). */
  mayRoute(): boolean;
  nextConsumerId(): ConsumerId;
  nextConnectionNumber(): number;

  /** Changes of the topology. Answered when every node that may route has applied them (R2). */
  declareExchange(request: DeclareExchange): Promise<Result<void>>;
  deleteExchange(request: {
    readonly vhost: string;
    readonly name: string;
    readonly ifUnused: boolean;
  }): Promise<Result<void>>;
  declareQueue(request: DeclareQueue): Promise<Result<{ readonly queue: QueueRecord; readonly created: boolean }>>;
  bind(request: BindRequest): Promise<Result<void>>;
  unbind(request: BindRequest): Promise<Result<void>>;
  /** The shard has decided that the queue is gone (R3). */
  removeQueue(queue: QueueId): Promise<Result<void>>;
  /** Removes the connection's exclusive queues; repeated until it has happened or the node's incarnation has ended. */
  connectionClosed(owner: ConnectionOwner): Promise<Result<void>>;
}
