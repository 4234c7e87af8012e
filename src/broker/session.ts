import type { ConsumerId } from '../lib/ids.ts';
import { Settlement, writeCount, writeDeleteQueue, writeGet, writePurge } from '../queue/commands.ts';
import type {
  BindingRequest,
  BrokerSession,
  ConsumeRequest,
  ConsumerHandle,
  Delivery,
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
import { type AheadLimits, Consumer, type ConsumerListener } from './consumer.ts';
import type { ClusterGateway, ConsumerReceiver, Decision, HomeStream } from './gateway.ts';
import { queueConfig, SessionPublisher } from './session-publisher.ts';
import type { ConnectionOwner, QueueRecord } from './topology-records.ts';

export interface SessionOptions {
  readonly vhost: string;
  readonly owner: ConnectionOwner;
  readonly bodyBytesMax: number;
  readonly ahead: AheadLimits;
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

/** A message taken with `get`: which pseudo consumer of which home holds it, under which number. */
interface Got {
  readonly handle: ConsumerHandle;
  readonly stream: HomeStream;
  readonly consumer: ConsumerId;
  readonly number: number;
}

const SETTLEMENTS = { settle: Settlement.settle, return: Settlement.return, discard: Settlement.discard } as const;
const failed = (error: BrokerError): { readonly ok: false; readonly error: BrokerError } => ({ ok: false, error });

/** A channel's worth of work: checks names against the topology, speaks to the homes of queues, keeps its consumers. */
export class Session implements BrokerSession, ConsumerListener {
  readonly #options: SessionOptions;
  readonly #deps: SessionDependencies;
  readonly #publisher: SessionPublisher;
  readonly #consumers = new Map<ConsumerHandle, Consumer>();
  /** Cancelled by their clients, with deliveries still to be settled. */
  readonly #lingering = new Map<ConsumerHandle, Consumer>();
  /** Pseudo consumers for `get`, by queue. */
  readonly #getters = new Map<QueueRecord, ConsumerId>();
  readonly #got = new Map<number, Got>();
  /** Not answered yet: the connection must not end before it is known which exclusive queues are its own. */
  readonly #declaring = new Set<Promise<unknown>>();
  #lastGot = 0;
  #prefetchOfConsumers = 0;
  #prefetchOfSession = 0;
  #isClosed = false;

  constructor(options: SessionOptions, deps: SessionDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#publisher = new SessionPublisher(options, deps);
  }

  publish(publish: Publish): PublishResult {
    return this.#publisher.publish(publish);
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
    if (request.passive) {
      const found = this.#queue(request.name);
      return found.ok ? this.#count(found.value) : found;
    }
    if (request.exclusive) this.#deps.exclusiveDeclared();
    const serverNamed = request.name === '';
    const declaring = this.#deps.gateway.declareQueue({
      ...request,
      name: serverNamed ? this.#deps.generateQueueName() : request.name,
      serverNamed,
      vhost: this.#options.vhost,
      owner: this.#options.owner,
    });
    this.#declaring.add(declaring);
    const declared = await declaring;
    this.#declaring.delete(declaring);
    if (!declared.ok) return declared;
    const { queue, created } = declared.value;
    if (created) return { ok: true, value: { name: queue.name, messageCount: 0, consumerCount: 0 } };
    return this.#count(queue);
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
    if (outcome?.kind === 'abandoned') return this.#gone(queue, outcome);
    const removed = await this.#deps.gateway.removeQueue(queue.id);
    if (!removed.ok) return removed;
    return { ok: true, value: { messageCount: outcome?.kind === 'deleted' ? outcome.messages : 0 } };
  }

  async purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>> {
    const found = this.#queue(name);
    if (!found.ok) return found;
    const outcome = await this.#ask(
      found.value,
      stream => onOutcome => stream.request(out => writePurge(out, found.value.id), onOutcome),
    );
    if (outcome?.kind !== 'purged') return this.#gone(found.value, outcome);
    return { ok: true, value: { messageCount: outcome.messages } };
  }

  bindQueue(request: BindingRequest): Promise<Result<void>> {
    return this.#deps.gateway.bind({ ...request, vhost: this.#options.vhost, owner: this.#options.owner });
  }

  unbindQueue(request: BindingRequest): Promise<Result<void>> {
    return this.#deps.gateway.unbind({ ...request, vhost: this.#options.vhost, owner: this.#options.owner });
  }

  // ---- Consuming ----

  async consume(request: ConsumeRequest): Promise<Result<void>> {
    const found = this.#queue(request.queue);
    if (!found.ok) return found;
    const queue = found.value;
    const stream = this.#stream(queue);
    if (stream === undefined) return this.#gone(queue);
    const consumer = new Consumer(
      {
        handle: request.consumer,
        id: this.#deps.gateway.nextConsumerId(),
        autoAck: request.autoAck,
        prefetch: request.window ?? this.#prefetchOfConsumers,
        ahead: this.#options.ahead,
      },
      stream,
      this,
    );
    // Known before the answer: the first deliveries may come with it.
    this.#consumers.set(request.consumer, consumer);
    const outcome = await new Promise<Decision | undefined>(resolve => {
      const { tag, exclusive } = request;
      stream.consume(consumer.id, { queue: queue.id, tag, exclusive, ...consumer.credit }, consumer, resolve);
    });
    if (outcome !== undefined) {
      this.#consumers.delete(request.consumer);
      const { vhost, name } = queue;
      return outcome.kind === 'exclusive-refused'
        ? failed({ code: 'exclusive-consumer', vhost, name })
        : this.#gone(queue, outcome);
    }
    if (this.#isClosed) await consumer.release();
    else this.#sharePrefetch();
    return { ok: true, value: undefined };
  }

  async cancel(handle: ConsumerHandle): Promise<void> {
    const consumer = this.#consumers.get(handle);
    if (consumer === undefined) return;
    await consumer.cancel();
    if (!this.#consumers.delete(handle)) return;
    this.#sharePrefetch();
    if (consumer.isFinished) await consumer.release();
    else this.#lingering.set(handle, consumer);
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    if (scope === 'consumer') {
      this.#prefetchOfConsumers = count;
      return;
    }
    this.#prefetchOfSession = count;
    this.#sharePrefetch();
  }

  setWindow(handle: ConsumerHandle, messages: number): void {
    this.#consumers.get(handle)?.setPrefetch(messages);
  }

  /** A prefetch for the whole session is divided evenly among its consumers, at least one each. */
  #sharePrefetch(): void {
    const whole = this.#prefetchOfSession;
    const share = whole === 0 ? 0 : Math.max(1, Math.floor(whole / this.#consumers.size));
    for (const consumer of this.#consumers.values()) consumer.setShare(share);
  }

  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    const consumer = this.#consumers.get(handle) ?? this.#lingering.get(handle);
    if (consumer === undefined) {
      this.#settleGot(handle, first, last, how);
      return;
    }
    consumer.settle(first, last, how);
  }

  deliver(
    consumer: Consumer,
    number: number,
    deliveryCount: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    if (this.#isClosed) return;
    this.#deps.delivered(consumer);
    const redelivered = deliveryCount > 0;
    this.#deps.listener.deliver({ consumer: consumer.handle, number, redelivered, deliveryCount, content, more });
  }

  cancelled(consumer: Consumer): void {
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
    const stream = this.#stream(queue);
    if (stream === undefined) return this.#gone(queue);
    let id = this.#getters.get(queue);
    if (id === undefined) {
      id = this.#deps.gateway.nextConsumerId();
      this.#getters.set(queue, id);
    }
    const taken = await takeOne(stream, queue, id, request.autoAck);
    if (taken.outcome?.kind === 'empty') return { ok: true, value: { empty: true } };
    if (taken.outcome?.kind !== 'message' || taken.content === undefined) return this.#gone(queue, taken.outcome);
    const number = ++this.#lastGot;
    if (!request.autoAck) {
      this.#got.set(number, { handle: request.consumer, stream, consumer: id, number: taken.outcome.number });
    }
    const { deliveryCount, readyLeft } = taken.outcome;
    const delivery: Delivery = {
      consumer: request.consumer,
      number,
      redelivered: deliveryCount > 0,
      deliveryCount,
      content: taken.content,
      more: taken.more,
    };
    return { ok: true, value: { empty: false, delivery, messagesLeft: readyLeft } };
  }

  #settleGot(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    for (let number = first; number <= last; number++) {
      const got = this.#got.get(number);
      if (got?.handle !== handle) continue;
      this.#got.delete(number);
      got.stream.settle(got.consumer, SETTLEMENTS[how], [got.number, got.number]);
    }
  }

  // ---- The end ----

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const releases = [...this.#consumers.values(), ...this.#lingering.values()].map(consumer => consumer.release());
    for (const [queue, id] of this.#getters) {
      const stream = this.#stream(queue);
      if (stream !== undefined) releases.push(new Promise(resolve => stream.release(id, () => resolve())));
    }
    this.#consumers.clear();
    this.#lingering.clear();
    this.#getters.clear();
    this.#got.clear();
    this.#deps.closed(this);
    await Promise.all([...releases, ...this.#declaring]);
  }

  // ---- Inside ----

  #queue(name: string): Result<QueueRecord> {
    return this.#deps.gateway.topology.checkQueue(this.#options.vhost, name, this.#options.owner);
  }

  /** The stream to the queue's home, which knows the queue from then on. */
  #stream(queue: QueueRecord): HomeStream | undefined {
    const stream = this.#deps.gateway.stream(queue.home);
    stream?.introduce(queue.id, queueConfig(queue));
    return stream;
  }

  #ask(
    queue: QueueRecord,
    request: (stream: HomeStream) => (onOutcome: (outcome: Decision | undefined) => void) => void,
  ): Promise<Decision | undefined> {
    const stream = this.#stream(queue);
    if (stream === undefined) return Promise.resolve({ kind: 'no-such-queue' });
    return new Promise(resolve => request(stream)(resolve));
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
    return failed({ code: 'no-queue', vhost: queue.vhost, name: queue.name });
  }
}

/** Asks for one message and waits for both: the decision, and the body that comes as a delivery of the pseudo consumer. */
function takeOne(
  stream: HomeStream,
  queue: QueueRecord,
  consumer: ConsumerId,
  autoSettle: boolean,
): Promise<{ outcome: Decision | undefined; content: Uint8Array | undefined; more: Uint8Array[] }> {
  return new Promise(resolve => {
    let outcome: Decision | undefined;
    let content: Uint8Array | undefined;
    let more: Uint8Array[] = [];
    const finish = (): void => {
      if (outcome?.kind === 'message' && content === undefined) return;
      if (outcome !== undefined) resolve({ outcome, content, more });
    };
    const receiver: ConsumerReceiver = {
      deliver(_number, _deliveryCount, block, parts) {
        content = block.slice();
        more = parts.map(part => part.slice());
        finish();
      },
      cancelled() {
        outcome = { kind: 'no-such-queue' };
        finish();
      },
    };
    stream.register(consumer, receiver);
    stream.request(
      out => writeGet(out, { queue: queue.id, consumer, autoSettle }),
      answer => {
        outcome = answer ?? { kind: 'no-such-queue' };
        finish();
      },
    );
  });
}
