import type { BrokerError } from './broker-error.ts';
import type { FieldTable } from './field-table.ts';
import type { Routable } from './route-collector.ts';

export { NO_OFFSET } from '../queue/effects.ts';

/**
 * The one port of the broker that protocol adapters speak to (DESIGN section 7). Control operations answer with promises;
 * the ways of a message (publish, deliver, settle) are plain calls, because they happen once per message.
 */
export interface Broker {
  /** What adapters show to clients. */
  readonly identity: BrokerIdentity;
  /** Answers whether the user may enter, before a vhost is chosen. */
  authenticate(user: string, password: string, peerAddress: string): BrokerError | undefined;
  /** Enters a vhost. The connection ends with `close()`, or with `listener.closed` when the node decides so (R24). */
  connect(request: ConnectRequest, listener: ConnectionListener): Promise<Result<BrokerConnection>>;
}

export interface BrokerIdentity {
  readonly clusterName: string;
  readonly nodeName: string;
  readonly version: string;
}

export type Result<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: BrokerError };

export interface ConnectRequest {
  readonly user: string;
  readonly vhost: string;
  readonly protocol: string;
  readonly peerAddress: string;
  /** The client's own name for its connection, shown to operators. */
  readonly clientName: string | undefined;
  readonly details?: ConnectionDetails;
}

/** What operators see of a connection beside: what the client says it is, and what was agreed with it. */
export interface ConnectionDetails {
  readonly product?: string | undefined;
  readonly version?: string | undefined;
  readonly platform?: string | undefined;
  readonly heartbeatSeconds: number;
  readonly channelMax: number;
  readonly frameBytesMax: number;
}

export interface ConnectionListener {
  /** Publishers of this connection must wait: `publish` must not be called until `resumed`. Reason is shown to clients on an alarm. */
  held(reason: HoldReason): void;
  resumed(): void;
  /** The node can no longer serve this connection (it lost its lease, or is stopping): close it with 320. */
  closed(reason: string): void;
  /** Whoever administers the broker has ended the connection, which the text explains: close it with 320. */
  dismissed(text: string): void;
}

/** `alarm` is worth telling the client (connection.blocked); the others pass within moments. */
export type HoldReason =
  | { readonly kind: 'no-routing-lease' }
  | { readonly kind: 'backlog' }
  | { readonly kind: 'alarm'; readonly text: string };

/** Who publishes. The user id of a message, if it has one, must be this user's name. */
export interface Author {
  readonly user: string;
  /** Unless the user publishes for others and says in whose name (RabbitMQ's tag `impersonator`). */
  readonly mayImpersonate: boolean;
}

export interface BrokerConnection extends Author {
  /** Why publishes are held at the moment; `held` tells only of what comes later. */
  readonly hold: HoldReason | undefined;
  /** False while publishes are held. May turn false only between two turns of the event loop, or by a publish of this connection. */
  readonly mayPublish: boolean;
  /** Why the connection's user may have no further session: to be asked before `openSession`. */
  mayOpenSession(): BrokerError | undefined;
  /** `channel` is the client's number for it, shown to operators. */
  openSession(listener: SessionListener, channel?: number): BrokerSession;
  /** A mark for everything that was handed to `deliver` on this connection so far. */
  deliveredMark(): number;
  /**
   * Everything up to the mark has left for the operating system's socket buffer: automatic acknowledgements are made and
   * new credit is granted (R26). An adapter whose socket is full does not call this, and so bounds what is sent ahead.
   */
  flushed(mark: number): void;
  /** Returns unsettled messages, deletes exclusive queues. Repeated calls do nothing. */
  close(): Promise<void>;
}

/** Callbacks of one session. Those of a closed session are no longer called. */
export interface SessionListener {
  /** Publishes `first` to `last` are safe (DESIGN section 1, promise 1). Ranges do not overlap; their order is free. */
  confirmed(first: number, last: number): void;
  /** Publishes `first` to `last` were refused (basic.nack). */
  rejected(first: number, last: number): void;
  /** Valid during the call only: copy what is to be kept (R20). */
  deliver(delivery: Delivery): void;
  /** The queue is gone or the consumer was taken away: basic.cancel. Its unsettled deliveries were returned. */
  consumerCancelled(consumer: ConsumerHandle): void;
}

export interface Publish extends Routable {
  readonly exchange: string;
  /** AMQP 0-9-1 property flags and property list, as in a content header: the common form of all protocols. */
  readonly properties: Uint8Array;
  /** The body in parts, copied before `publish` returns. */
  readonly body: readonly Uint8Array[];
  readonly bodyBytes: number;
  /** How long it waits in a queue at most: the number in `expiration`. */
  readonly expirationMs: number | undefined;
  /** Per session ascending from 1; 0 when no confirm is wanted. */
  readonly sequence: number;
}

/**
 * `routed`: taken; a confirm follows for a sequence above 0. `unroutable`: no queue matched; it is over, and counts as
 * confirmed (no callback follows). Errors as values; the message was not taken.
 */
export type PublishResult = 'routed' | 'unroutable' | BrokerError;

/** One delivery. `content` is the message block: see `queue/message-block.ts`; further parts of a large body follow in `more`. */
export interface Delivery {
  readonly consumer: ConsumerHandle;
  /** 1, 2, 3 ... per consumer: settled by this number. */
  readonly number: number;
  readonly redelivered: boolean;
  /** Failed deliveries before this one. */
  readonly deliveryCount: number;
  /** In a stream; `NO_OFFSET` in other queues. */
  readonly offset: number;
  /** The queue was declared as a quorum queue: RabbitMQ's clients find the count in a header. */
  readonly isOfQuorumQueue: boolean;
  /** u8 exchange length, exchange, u8 routing key length, routing key, u32 properties length, properties, body. */
  readonly content: Uint8Array;
  readonly more: readonly Uint8Array[];
}

/** Chosen by the adapter for its consumers, unique within the session. */
export type ConsumerHandle = number;

export type SettleHow = 'settle' | 'return' | 'discard';

/** One AMQP channel, one gRPC stream. Control operations of a session run one at a time, in call order. */
export interface BrokerSession {
  publish(publish: Publish): PublishResult;
  /** Why `publish` would refuse the message now, for adapters that keep it until later. */
  checkPublish(publish: Publish): BrokerError | undefined;

  declareExchange(request: ExchangeDeclare): Promise<Result<void>>;
  deleteExchange(request: { readonly name: string; readonly ifUnused: boolean }): Promise<Result<void>>;
  declareQueue(request: QueueDeclare): Promise<Result<QueueDeclared>>;
  deleteQueue(request: {
    readonly name: string;
    readonly ifUnused: boolean;
    readonly ifEmpty: boolean;
  }): Promise<Result<{ readonly messageCount: number }>>;
  purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>>;
  bindQueue(request: BindingRequest): Promise<Result<void>>;
  unbindQueue(request: BindingRequest): Promise<Result<void>>;
  bindExchange(request: ExchangeBindingRequest): Promise<Result<void>>;
  unbindExchange(request: ExchangeBindingRequest): Promise<Result<void>>;

  consume(request: ConsumeRequest): Promise<Result<void>>;
  /** Opens a queue of the session's own for replies, which ends with its consumer, and consumes from it without acknowledgement. */
  consumeReplies(request: {
    readonly consumer: ConsumerHandle;
    readonly tag: string;
  }): Promise<Result<{ readonly queue: string }>>;
  /** No more deliveries after the answer. What is unsettled stays with the session and can be settled. */
  cancel(consumer: ConsumerHandle): Promise<void>;
  /** Prefetch for consumers opened later (`consumer`) or for the whole session together (`session`); 0 is unlimited. */
  setPrefetch(scope: 'consumer' | 'session', count: number): void;
  /** Replaces a live consumer's credit window, for protocols whose clients grant credit themselves; or says why not. */
  setWindow(consumer: ConsumerHandle, messages: number): BrokerError | undefined;
  /**
   * Why a consumer's deliveries can be neither returned nor discarded, for adapters to ask before they do. `what` is the
   * protocol's word for it, with which the text begins.
   */
  checkReturn(consumer: ConsumerHandle, what: string): BrokerError | undefined;
  /** Settles deliveries `first` to `last` of a consumer. Numbers that are not outstanding are the adapter's error. */
  settle(consumer: ConsumerHandle, first: number, last: number, how: SettleHow): void;
  /** One message without a consumer (basic.get). It is settled with `settle(getConsumer, number, ...)`. */
  get(request: {
    readonly queue: string;
    readonly autoAck: boolean;
    readonly consumer: ConsumerHandle;
  }): Promise<Result<GetResult>>;
  /** Resolves when every publish that wants a confirm and every settlement of this session so far is decided. */
  settled(): Promise<void>;
  /** Waits until everything asked of the shards by this session so far is answered; AMQP's close needs it. */
  close(): Promise<void>;
}

export interface ExchangeDeclare {
  readonly name: string;
  readonly type: string;
  readonly passive: boolean;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export interface QueueDeclare {
  /** Empty: the broker makes a name, `amq.gen-` and 22 characters. */
  readonly name: string;
  readonly passive: boolean;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

export interface QueueDeclared {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

export interface BindingRequest {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export interface ExchangeBindingRequest {
  /** Where the messages go. */
  readonly destination: string;
  readonly source: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export interface ConsumeRequest {
  readonly queue: string;
  readonly consumer: ConsumerHandle;
  /** The client's name of the consumer, for operators. */
  readonly tag: string;
  readonly autoAck: boolean;
  readonly exclusive: boolean;
  readonly arguments: FieldTable;
  /** Undefined: the session's prefetch for consumers. */
  readonly window: number | undefined;
}

export type GetResult =
  | { readonly empty: true }
  | { readonly empty: false; readonly delivery: Delivery; readonly messagesLeft: number };
