import { writeDeleteQueue, writePurge } from '../queue/commands.ts';
import type { AheadBudget } from './ahead-budget.ts';
import type {
  BindingRequest,
  BrokerSession,
  ConsumeRequest,
  ConsumerHandle,
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
import { type BrokerError, failed } from './broker-error.ts';
import type { ChannelRow, ListedSession } from './client-listing.ts';
import type { Consumer } from './consumer.ts';
import { EMPTY_TABLE } from './field-table.ts';
import type { ClusterGateway, HomeStream } from './gateway.ts';
import { replyQueueName } from './names.ts';
import { expiresMs } from './queue-arguments.ts';
import { SessionConsumers } from './session-consumers.ts';
import { SessionGetters } from './session-getters.ts';
import { SessionPublisher } from './session-publisher.ts';
import { SessionQueues } from './session-queues.ts';
import { checkReplyQueue, exchangeBinding, isReplyQueue, queueBinding, replyQueue } from './session-requests.ts';
import { checkNotStream, checkServerNamed } from './stream-requests.ts';
import type { ConnectionOwner, QueueRecord } from './topology-records.ts';

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

/** A channel's worth of work: checks names against the topology, speaks to the homes of queues, keeps its consumers. */
export class Session implements BrokerSession, ListedSession {
  readonly #options: SessionOptions;
  readonly #deps: SessionDependencies;
  readonly #publisher: SessionPublisher;
  readonly #queues: SessionQueues;
  readonly #consumers: SessionConsumers;
  readonly #getters: SessionGetters;
  /** Not answered yet: the connection must not end before it is known which exclusive queues are its own. */
  readonly #declaring = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: SessionOptions, deps: SessionDependencies) {
    this.#options = options;
    this.#deps = deps;
    const { gateway, listener, delivered } = deps;
    this.#publisher = new SessionPublisher(options, deps);
    this.#queues = new SessionQueues(options, gateway);
    const { ahead } = options;
    this.#consumers = new SessionConsumers({ queues: this.#queues, gateway, ahead, listener, delivered });
    this.#getters = new SessionGetters(gateway);
  }

  // ---- For the lists of operators ----

  get serial(): number {
    return this.#options.serial;
  }

  row(): Omit<ChannelRow, 'owner' | 'user' | 'vhost'> {
    const { unacked, ...consuming } = this.#consumers.row();
    return {
      channel: this.#options.channel,
      ...consuming,
      unacked: unacked + this.#getters.unsettled,
      unconfirmed: this.#publisher.unconfirmed,
    };
  }

  consumers(): Iterable<Consumer> {
    return this.#consumers.all();
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
      const found = this.#queues.find(request.name);
      return found.ok ? this.#queues.count(found.value) : found;
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
    const counted = await this.#queues.count(queue);
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
    const found = this.#queues.find(request.name);
    // A queue that is not there counts as deleted, as in RabbitMQ.
    if (!found.ok) return found.error.code === 'no-queue' ? { ok: true, value: { messageCount: 0 } } : found;
    const queue = found.value;
    const outcome = await this.#queues.ask(
      queue,
      stream => onOutcome => stream.request(out => writeDeleteQueue(out, { queue: queue.id, ...request }), onOutcome),
    );
    const { vhost, name } = queue;
    if (outcome?.kind === 'in-use') return failed({ code: 'in-use', kind: 'queue', vhost, name });
    if (outcome?.kind === 'not-empty') return failed({ code: 'not-empty', vhost, name });
    if (outcome?.kind === 'abandoned' || outcome?.kind === 'stale-topology') return this.#queues.gone(queue, outcome);
    const removed = await this.#deps.gateway.removeQueue(queue.id);
    if (!removed.ok) return removed;
    return { ok: true, value: { messageCount: outcome?.kind === 'deleted' ? outcome.messages : 0 } };
  }

  async purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>> {
    const found = this.#queues.find(name);
    if (!found.ok) return found;
    const refusal = checkNotStream(found.value, 'queue.purge');
    if (refusal) return failed(refusal);
    const outcome = await this.#queues.ask(
      found.value,
      stream => onOutcome => stream.request(out => writePurge(out, found.value.id), onOutcome),
    );
    if (outcome?.kind !== 'purged') return this.#queues.gone(found.value, outcome);
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

  consume(request: ConsumeRequest): Promise<Result<void>> {
    return this.#consumers.consume(request);
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
    this.#consumers.replyConsumer = consumer;
    const flags = { autoAck: true, exclusive: true, arguments: EMPTY_TABLE, window: undefined };
    const consumed = await this.#consumers.consumeFrom(declared.value.queue, { queue: name, consumer, tag, ...flags });
    return consumed.ok ? { ok: true, value: { queue: name } } : consumed;
  }

  cancel(handle: ConsumerHandle): Promise<void> {
    return this.#consumers.cancel(handle);
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    this.#consumers.setPrefetch(scope, count);
  }

  setWindow(handle: ConsumerHandle, messages: number): BrokerError | undefined {
    return this.#consumers.setWindow(handle, messages);
  }

  checkReturn(handle: ConsumerHandle, what: string): BrokerError | undefined {
    return this.#consumers.checkReturn(handle, what);
  }

  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    if (!this.#consumers.settle(handle, first, last, how)) this.#getters.settle(handle, first, last, how);
  }

  // ---- Getting one message ----

  async get(request: {
    readonly queue: string;
    readonly autoAck: boolean;
    readonly consumer: ConsumerHandle;
  }): Promise<Result<GetResult>> {
    const found = this.#queues.find(request.queue);
    if (!found.ok) return found;
    const queue = found.value;
    const refusal = checkNotStream(queue, 'basic.get');
    if (refusal) return failed(refusal);
    const stream = this.#queues.stream(queue);
    if (stream === undefined) return this.#queues.gone(queue);
    this.#queues.homes.add(stream);
    const taken = await this.#getters.take(stream, queue, request);
    return 'empty' in taken ? { ok: true, value: taken } : this.#queues.gone(queue, taken);
  }

  // ---- The end ----

  /** Homes decide in order (R1): whatever asks for nothing is answered when everything before it is decided. */
  async settled(): Promise<void> {
    const barriers = [...this.#queues.homes].map(
      stream => new Promise<void>(resolve => stream.cancel(this.#deps.gateway.nextConsumerId(), () => resolve())),
    );
    await Promise.all([this.#publisher.answered(), ...barriers]);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const released = [this.#consumers.close(), ...this.#getters.release()];
    this.#deps.closed(this);
    await Promise.all([...released, ...this.#declaring]);
  }

  #hidden(name: string): Promise<Result<void>> | undefined {
    if (!isReplyQueue(name)) return undefined;
    return Promise.resolve(failed({ code: 'no-queue', vhost: this.#options.vhost, name }));
  }
}
