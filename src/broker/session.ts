import { writeCount, writeDeleteQueue, writePurge } from '../queue/commands.ts';
import type { AheadBudget } from './ahead-budget.ts';
import type {
  BindingRequest,
  BrokerSession,
  ConsumeRequest,
  ConsumerHandle,
  Delivery,
  ExchangeBindingRequest,
  ExchangeDeclare,
  GetResult,
  Publish,
  PublishResult,
  QueueDeclare,
  QueueDeclared,
  Result,
  SessionListener,
  SettleHow,
} from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import type { ChannelRow, ListedSession } from './client-listing.ts';
import { Consumer, type ConsumerListener } from './consumer.ts';
import { EMPTY_TABLE } from './field-table.ts';
import type { ClusterGateway, Decision, HomeStream } from './gateway.ts';
import { checkNameLength, replyQueueName } from './names.ts';
import { checkConsumerArguments, consumerPriority, expiresMs, isQuorumQueue } from './queue-arguments.ts';
import { SessionGetters } from './session-getters.ts';
import { SessionPrefetch } from './session-prefetch.ts';
import { queueConfig, SessionPublisher } from './session-publisher.ts';
import { checkReplyQueue, exchangeBinding, isReplyQueue, queueBinding, replyQueue } from './session-requests.ts';
import { streamOffset } from './stream-arguments.ts';
import { checkNotStream, checkReader, checkServerNamed, tooManyReaders } from './stream-requests.ts';
import type { ConnectionOwner, QueueRecord } from './topology-records.ts';
import { untilKnown } from './until-known.ts';

export interface SessionOptions {
  readonly vhost: string;
  readonly owner: ConnectionOwner;
  readonly bodyBytesMax: number;
  readonly ahead: AheadBudget;
  /** The client's number for it. */
  readonly channel: number;
  /** Ascending with each session of the connection. */
  readonly serial: number;
}

export interface SessionDependencies {
  readonly gateway: ClusterGateway;
  readonly listener: SessionListener;
  readonly backlog: (stream: HomeStream) => void;
  /** 16 random bytes as a queue name. */
  readonly generateQueueName: () => string;
  /** A delivery was handed over: the connection counts it for its marks. */
  readonly delivered: (consumer: Consumer) => void;
  /** The connection may own queues from now on, which end with it. */
  readonly exclusiveDeclared: () => void;
  readonly closed: (session: Session) => void;
}

const failed = (error: BrokerError): { readonly ok: false; readonly error: BrokerError } => ({ ok: false, error });

/** A channel's worth of work: checks names against the topology, speaks to the homes of queues, keeps its consumers. */
export class Session implements BrokerSession, ConsumerListener, ListedSession {
  readonly #options: SessionOptions;
  readonly #deps: SessionDependencies;
  readonly #publisher: SessionPublisher;
  readonly #prefetch = new SessionPrefetch((consumer, delivery) => this.#handOver(consumer, delivery));
  readonly #consumers = new Map<ConsumerHandle, Consumer>();
  /** Cancelled by their clients, with deliveries still to be settled. */
  readonly #lingering = new Map<ConsumerHandle, Consumer>();
  readonly #getters: SessionGetters;
  /** Homes that may hold deliveries of this session. */
  readonly #homes = new Set<HomeStream>();
  /** Not answered yet: the connection must not end before it is known which exclusive queues are its own. */
  readonly #declaring = new Set<Promise<unknown>>();
  #prefetchOfConsumers = 0;
  /** Replies wait for nothing: whoever asks may do so because of a message that it has not settled. */
  #replyConsumer: ConsumerHandle | undefined;
  #isClosed = false;

  constructor(options: SessionOptions, deps: SessionDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#publisher = new SessionPublisher(options, deps);
    this.#getters = new SessionGetters(deps.gateway);
  }

  // ---- For the lists of operators ----

  get serial(): number {
    return this.#options.serial;
  }

  row(): Omit<ChannelRow, 'owner' | 'user' | 'vhost'> {
    let unacked = this.#getters.unsettled;
    for (const consumer of [...this.#consumers.values(), ...this.#lingering.values()]) unacked += consumer.unacked;
    return {
      channel: this.#options.channel,
      consumers: this.#consumers.size,
      unacked,
      unconfirmed: this.#publisher.unconfirmed,
      prefetch: this.#prefetchOfConsumers,
      globalPrefetch: this.#prefetch.limit,
    };
  }

  consumers(): Iterable<Consumer> {
    return this.#consumers.values();
  }

  // ---- Publishing ----

  publish(publish: Publish): PublishResult {
    return this.#publisher.publish(publish);
  }

  checkPublish(publish: Publish): BrokerError | undefined {
    return this.#publisher.check(publish);
  }

  // ---- Topology ----

  async declareExchange(request: ExchangeDeclare): Promise<Result<void>> {
    const { vhost } = this.#options;
    if (!request.passive) return this.#deps.gateway.declareExchange({ ...request, vhost });
    const found = this.#deps.gateway.topology.checkExchange(vhost, request.name);
    return found.ok ? { ok: true, value: undefined } : found;
  }

  deleteExchange(request: { readonly name: string; readonly ifUnused: boolean }): Promise<Result<void>> {
    return this.#deps.gateway.deleteExchange({ ...request, vhost: this.#options.vhost });
  }

  async declareQueue(request: QueueDeclare): Promise<Result<QueueDeclared>> {
    const { topology } = this.#deps.gateway;
    if (isReplyQueue(request.name)) return checkReplyQueue(topology, this.#options.vhost, request.name);
    if (request.passive) {
      const found = this.#queue(request.name);
      return found.ok ? this.#count(found.value) : found;
    }
    const serverNamed = request.name === '';
    const nameless = serverNamed ? checkServerNamed(request.arguments) : undefined;
    if (nameless) return failed(nameless);
    const name = serverNamed ? this.#deps.generateQueueName() : request.name;
    const declared = await this.#declare({ ...request, name }, serverNamed);
    if (!declared.ok) return declared;
    const { queue, created } = declared.value;
    // The home of a queue that expires has to know it: the time without use begins now.
    if (created && expiresMs(queue.arguments) === undefined)
      return { ok: true, value: { name: queue.name, messageCount: 0, consumerCount: 0 } };
    const counted = await this.#count(queue);
    if (counted.ok || counted.error.code !== 'no-queue') return counted;
    // Its home has deleted it already, and its name is on the way out: the declaration makes a new one.
    const removed = await this.#deps.gateway.removeQueue(queue.id);
    return removed.ok ? this.declareQueue(request) : removed;
  }

  async #declare(
    request: QueueDeclare,
    serverNamed: boolean,
  ): Promise<Result<{ readonly queue: QueueRecord; readonly created: boolean }>> {
    if (request.exclusive) this.#deps.exclusiveDeclared();
    const { vhost, owner } = this.#options;
    const declaring = this.#deps.gateway.declareQueue({ ...request, serverNamed, vhost, owner });
    this.#declaring.add(declaring);
    const declared = await declaring;
    this.#declaring.delete(declaring);
    return declared;
  }

  async deleteQueue(request: {
    readonly name: string;
    readonly ifUnused: boolean;
    readonly ifEmpty: boolean;
  }): Promise<Result<{ readonly messageCount: number }>> {
    const found = this.#queue(request.name);
    // A queue that is not there counts as deleted, as in RabbitMQ.
    if (!found.ok) return found.error.code === 'no-queue' ? { ok: true, value: { messageCount: 0 } } : found;
    const queue = found.value;
    const outcome = await this.#ask(
      queue,
      stream => onOutcome => stream.request(out => writeDeleteQueue(out, { queue: queue.id, ...request }), onOutcome),
    );
    const { vhost, name } = queue;
    if (outcome?.kind === 'in-use') return failed({ code: 'in-use', kind: 'queue', vhost, name });
    if (outcome?.kind === 'not-empty') return failed({ code: 'not-empty', vhost, name });
    if (outcome?.kind === 'abandoned' || outcome?.kind === 'stale-topology') return this.#gone(queue, outcome);
    const removed = await this.#deps.gateway.removeQueue(queue.id);
    if (!removed.ok) return removed;
    return { ok: true, value: { messageCount: outcome?.kind === 'deleted' ? outcome.messages : 0 } };
  }

  async purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>> {
    const found = this.#queue(name);
    if (!found.ok) return found;
    const refusal = checkNotStream(found.value, 'queue.purge');
    if (refusal) return failed(refusal);
    const outcome = await this.#ask(
      found.value,
      stream => onOutcome => stream.request(out => writePurge(out, found.value.id), onOutcome),
    );
    if (outcome?.kind !== 'purged') return this.#gone(found.value, outcome);
    return { ok: true, value: { messageCount: outcome.messages } };
  }

  bindQueue(request: BindingRequest): Promise<Result<void>> {
    return this.#hidden(request.queue) ?? this.#deps.gateway.bind(queueBinding(this.#options, request));
  }

  unbindQueue(request: BindingRequest): Promise<Result<void>> {
    return this.#hidden(request.queue) ?? this.#deps.gateway.unbind(queueBinding(this.#options, request));
  }

  bindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return this.#deps.gateway.bind(exchangeBinding(this.#options, request));
  }

  unbindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return this.#deps.gateway.unbind(exchangeBinding(this.#options, request));
  }

  // ---- Consuming ----

  async consume(request: ConsumeRequest): Promise<Result<void>> {
    const tooLong = checkNameLength('consumer tag', request.tag);
    if (tooLong) return failed(tooLong);
    const found = this.#queue(request.queue);
    if (!found.ok) return found;
    const { vhost, name } = found.value;
    const limits = {
      prefetch: this.#prefetchOf(request),
      sharedPrefetch: this.#prefetch.limit,
      autoAck: request.autoAck,
    };
    const wrong =
      checkConsumerArguments({ kind: 'queue', vhost, name }, request.arguments, found.value.arguments) ??
      checkReader(found.value, limits);
    return wrong ? failed(wrong) : this.#consumeFrom(found.value, request);
  }

  async consumeReplies({
    consumer,
    tag,
  }: {
    readonly consumer: ConsumerHandle;
    readonly tag: string;
  }): Promise<Result<{ readonly queue: string }>> {
    const name = replyQueueName(this.#deps.generateQueueName());
    const declared = await this.#declare(replyQueue(name), true);
    if (!declared.ok) return declared;
    this.#replyConsumer = consumer;
    const flags = { autoAck: true, exclusive: true, arguments: EMPTY_TABLE, window: undefined };
    const consumed = await this.#consumeFrom(declared.value.queue, { queue: name, consumer, tag, ...flags });
    return consumed.ok ? { ok: true, value: { queue: name } } : consumed;
  }

  async #consumeFrom(queue: QueueRecord, request: ConsumeRequest): Promise<Result<void>> {
    const stream = this.#stream(queue);
    if (stream === undefined) return this.#gone(queue);
    this.#homes.add(stream);
    // Its first credit is a share already, and the others give theirs up before.
    const share = this.#sharePrefetch(request.autoAck ? 0 : 1);
    const consumer = new Consumer(
      {
        queue,
        request,
        id: this.#deps.gateway.nextConsumerId(),
        isOfQuorumQueue: isQuorumQueue(queue.arguments),
        prefetch: this.#prefetchOf(request),
        share,
        ahead: this.#options.ahead.open(),
      },
      stream,
      this,
    );
    // Known before the answer: the first deliveries may come with it.
    this.#consumers.set(request.consumer, consumer);
    const { tag, exclusive } = request;
    const priority = consumerPriority(request.arguments);
    const offset = streamOffset(request.arguments);
    const outcome = await untilKnown(
      () =>
        new Promise(resolve => {
          if (this.#stream(queue) === undefined) return resolve({ kind: 'no-such-queue' });
          const command = { queue: queue.id, tag, exclusive, priority, offset, ...consumer.credit };
          stream.consume(consumer.id, command, consumer, resolve);
        }),
    );
    if (outcome !== undefined) {
      this.#consumers.delete(request.consumer);
      consumer.refused();
      this.#sharePrefetch();
      const { vhost, name } = queue;
      if (outcome.kind === 'exclusive-refused') return failed({ code: 'exclusive-consumer', vhost, name });
      return outcome.kind === 'too-many-readers' ? failed(tooManyReaders(queue)) : this.#gone(queue, outcome);
    }
    consumer.accepted();
    if (this.#isClosed) await consumer.release();
    return { ok: true, value: undefined };
  }

  async cancel(handle: ConsumerHandle): Promise<void> {
    const consumer = this.#consumers.get(handle);
    if (consumer === undefined) return;
    await consumer.cancel();
    if (!this.#consumers.delete(handle)) return;
    for (const number of this.#prefetch.takeParked(consumer)) consumer.settle(number, number, 'return');
    this.#sharePrefetch();
    if (consumer.isFinished) await consumer.release();
    else this.#lingering.set(handle, consumer);
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    if (scope === 'consumer') {
      this.#prefetchOfConsumers = count;
      return;
    }
    this.#prefetch.setLimit(count);
    this.#sharePrefetch();
  }

  setWindow(handle: ConsumerHandle, messages: number): void {
    this.#consumers.get(handle)?.setPrefetch(messages);
  }

  /** `joining`: so many that are not among the session's consumers yet. Those that acknowledge automatically do not count. */
  #sharePrefetch(joining = 0): number {
    let sharing = joining;
    for (const { autoAck } of this.#consumers.values()) if (!autoAck) sharing++;
    const share = this.#prefetch.share(sharing);
    for (const consumer of this.#consumers.values()) consumer.setShare(share);
    return share;
  }

  checkReturn(handle: ConsumerHandle, what: string): BrokerError | undefined {
    const consumer = this.#consumers.get(handle) ?? this.#lingering.get(handle);
    return consumer && checkNotStream(consumer.queue, what);
  }

  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    const consumer = this.#consumers.get(handle) ?? this.#lingering.get(handle);
    if (consumer === undefined) {
      this.#getters.settle(handle, first, last, how);
      return;
    }
    consumer.settle(first, last, how);
    if (!consumer.autoAck) this.#prefetch.settled(last - first + 1);
  }

  deliver(
    consumer: Consumer,
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    if (this.#isClosed) return;
    const redelivered = deliveryCount > 0;
    const { handle, isOfQuorumQueue } = consumer;
    const delivery = { consumer: handle, number, redelivered, deliveryCount, offset, isOfQuorumQueue, content, more };
    if (handle === this.#replyConsumer) this.#handOver(consumer, delivery);
    else this.#prefetch.delivered(consumer, delivery);
  }

  #handOver(consumer: Consumer, delivery: Delivery): void {
    consumer.handedOver(delivery);
    this.#deps.delivered(consumer);
    this.#deps.listener.deliver(delivery);
  }

  cancelled(consumer: Consumer, unsettled: number): void {
    this.#prefetch.forget(consumer, unsettled);
    this.#lingering.delete(consumer.handle);
    if (this.#consumers.get(consumer.handle) !== consumer) return;
    this.#consumers.delete(consumer.handle);
    if (!this.#isClosed) this.#deps.listener.consumerCancelled(consumer.handle);
  }

  finished(consumer: Consumer): void {
    if (this.#lingering.delete(consumer.handle)) void consumer.release();
  }

  // ---- Getting one message ----

  async get(request: {
    readonly queue: string;
    readonly autoAck: boolean;
    readonly consumer: ConsumerHandle;
  }): Promise<Result<GetResult>> {
    const found = this.#queue(request.queue);
    if (!found.ok) return found;
    const queue = found.value;
    const refusal = checkNotStream(queue, 'basic.get');
    if (refusal) return failed(refusal);
    const stream = this.#stream(queue);
    if (stream === undefined) return this.#gone(queue);
    this.#homes.add(stream);
    const taken = await this.#getters.take(stream, queue, request);
    return 'empty' in taken ? { ok: true, value: taken } : this.#gone(queue, taken);
  }

  // ---- The end ----

  /** Homes decide in order (R1): whatever asks for nothing is answered when everything before it is decided. */
  async settled(): Promise<void> {
    const barriers = [...this.#homes].map(
      stream => new Promise<void>(resolve => stream.cancel(this.#deps.gateway.nextConsumerId(), () => resolve())),
    );
    await Promise.all([this.#publisher.answered(), ...barriers]);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const releases = [...this.#consumers.values(), ...this.#lingering.values()].map(consumer => consumer.release());
    releases.push(...this.#getters.release());
    this.#prefetch.clear();
    this.#consumers.clear();
    this.#lingering.clear();
    this.#deps.closed(this);
    await Promise.all([...releases, ...this.#declaring]);
  }

  // ---- Inside ----

  #prefetchOf(request: ConsumeRequest): number {
    return request.window ?? this.#prefetchOfConsumers;
  }

  #hidden(name: string): Promise<Result<void>> | undefined {
    if (!isReplyQueue(name)) return undefined;
    return Promise.resolve(failed({ code: 'no-queue', vhost: this.#options.vhost, name }));
  }

  #queue(name: string): Result<QueueRecord> {
    if (isReplyQueue(name)) return failed({ code: 'no-queue', vhost: this.#options.vhost, name });
    return this.#deps.gateway.topology.checkQueue(this.#options.vhost, name, this.#options.owner);
  }

  /**
   * The stream to the queue's home, which knows the queue from then on. Undefined for one that is gone, though its record is
   * still in somebody's hand: the home may have forgotten that it deleted it, and would make it anew (R3).
   */
  #stream(queue: QueueRecord): HomeStream | undefined {
    if (this.#deps.gateway.topology.isRemoved(queue.id)) return undefined;
    const stream = this.#deps.gateway.stream(queue.home);
    stream?.introduce(queue.id, queueConfig(queue));
    return stream;
  }

  #ask(
    queue: QueueRecord,
    request: (stream: HomeStream) => (onOutcome: (outcome: Decision | undefined) => void) => void,
  ): Promise<Decision | undefined> {
    return untilKnown(() => {
      const stream = this.#stream(queue);
      if (stream === undefined) return Promise.resolve({ kind: 'no-such-queue' });
      return new Promise(resolve => request(stream)(resolve));
    });
  }

  async #count(queue: QueueRecord): Promise<Result<QueueDeclared>> {
    const outcome = await this.#ask(
      queue,
      stream => onOutcome => stream.request(out => writeCount(out, queue.id), onOutcome),
    );
    if (outcome?.kind !== 'counted') return this.#gone(queue, outcome);
    return { ok: true, value: { name: queue.name, messageCount: outcome.ready, consumerCount: outcome.consumers } };
  }

  /** Of an outcome that is none of those that the request can have while queue and node are well. */
  #gone(queue: QueueRecord, outcome?: Decision): { readonly ok: false; readonly error: BrokerError } {
    if (outcome?.kind === 'abandoned') return failed({ code: 'unavailable', text: 'this node left the cluster' });
    if (outcome?.kind === 'stale-topology') return failed({ code: 'unavailable', text: 'this node is catching up' });
    return failed({ code: 'no-queue', vhost: queue.vhost, name: queue.name });
  }
}
