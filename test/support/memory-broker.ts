import type {
  BindingRequest,
  Broker,
  BrokerConnection,
  BrokerSession,
  ConnectionListener,
  ConnectRequest,
  ConsumeRequest,
  ConsumerHandle,
  ExchangeBindingRequest,
  ExchangeDeclare,
  GetResult,
  HoldReason,
  Publish,
  PublishResult,
  QueueDeclare,
  QueueDeclared,
  Result,
  SessionListener,
  SettleHow,
} from '../../src/broker/broker.ts';
import type { BrokerError } from '../../src/broker/broker-error.ts';
import { ByteWriter, utf8Encode } from '../../src/lib/bytes.ts';
import { type MemoryConsumer, MemoryQueue } from './memory-queue.ts';

const AHEAD_MESSAGES_MAX = 2000;
const VHOST = '/';

const good = <Value>(value: Value): Result<Value> => ({ ok: true, value });
const bad = (error: BrokerError): { readonly ok: false; readonly error: BrokerError } => ({ ok: false, error });
const noQueue = (name: string): BrokerError => ({ code: 'no-queue', vhost: VHOST, name });
const noExchange = (name: string): BrokerError => ({ code: 'no-exchange', vhost: VHOST, name });

interface MemoryExchange {
  readonly type: string;
  readonly bindings: { readonly queue: string; readonly routingKey: string }[];
}

/**
 * The broker's port in one process and in memory, for tests of protocol adapters: default, direct and fanout exchanges,
 * queues in arrays. Control operations answer in order when `answer` lets them (at once, unless `delayAnswers`).
 */
export class MemoryBroker implements Broker {
  readonly identity = { clusterName: 'test', nodeName: 'test-0', version: '0.1.0' };
  readonly queues = new Map<string, MemoryQueue>();
  readonly exchanges = new Map<string, MemoryExchange>([
    ['amq.direct', { type: 'direct', bindings: [] }],
    ['amq.fanout', { type: 'fanout', bindings: [] }],
  ]);
  readonly connections = new Set<MemoryConnection>();
  /** Names of queues from which nothing is returned or discarded, and whose deliveries have offsets; otherwise they are as others. */
  readonly streams = new Set<string>();
  /** Calls that tests look at: settlements as `settle 1 1-3`. */
  readonly calls: string[] = [];
  /** What `publish` answers instead of routing, when set. */
  publishAnswer: PublishResult | undefined;
  /** Sees every message. */
  published: (publish: Publish) => void = () => {};
  held: HoldReason | undefined;
  #delayed: (() => void)[] | undefined;
  #generated = 0;

  authenticate(user: string, password: string): BrokerError | undefined {
    if (user === 'guest' && password === 'guest') return undefined;
    return { code: 'access-refused', text: `user '${user}' refused` };
  }

  connect(request: ConnectRequest, listener: ConnectionListener): Promise<Result<BrokerConnection>> {
    if (request.vhost === 'forbidden') {
      const text = `access to vhost 'forbidden' refused for user '${request.user}'`;
      return this.answer<Result<BrokerConnection>>(() => bad({ code: 'access-refused', text }));
    }
    return this.answer<Result<BrokerConnection>>(() => {
      if (request.vhost !== VHOST) return bad({ code: 'no-vhost', vhost: request.vhost });
      const connection = new MemoryConnection(this, listener);
      this.connections.add(connection);
      return good(connection);
    });
  }

  /** Control operations wait until `releaseAnswers`. */
  delayAnswers(): void {
    this.#delayed ??= [];
  }

  releaseAnswers(): void {
    const delayed = this.#delayed ?? [];
    this.#delayed = undefined;
    for (const run of delayed) run();
  }

  hold(reason: HoldReason): void {
    this.held = reason;
    for (const connection of this.connections) connection.listener.held(reason);
  }

  resume(): void {
    this.held = undefined;
    for (const connection of this.connections) connection.listener.resumed();
  }

  answer<Value>(run: () => Value): Promise<Value> {
    return new Promise(resolve => {
      const act = (): void => resolve(run());
      if (this.#delayed === undefined) act();
      else this.#delayed.push(act);
    });
  }

  generateQueueName(): string {
    return `amq.gen-${String(++this.#generated).padStart(22, '0')}`;
  }

  route(exchange: string, routingKey: string): MemoryQueue[] | BrokerError {
    if (exchange === '') {
      const queue = this.queues.get(routingKey);
      return queue === undefined ? [] : [queue];
    }
    const found = this.exchanges.get(exchange);
    if (found === undefined) return noExchange(exchange);
    const names = found.bindings.filter(binding => found.type === 'fanout' || binding.routingKey === routingKey);
    return [...new Set(names.map(({ queue }) => queue))].flatMap(name => this.queues.get(name) ?? []);
  }

  deleteQueue(name: string): number {
    const queue = this.queues.get(name)!;
    this.queues.delete(name);
    for (const exchange of this.exchanges.values()) {
      for (let i = exchange.bindings.length - 1; i >= 0; i--) {
        if (exchange.bindings[i]!.queue === name) exchange.bindings.splice(i, 1);
      }
    }
    for (const consumer of queue.consumers) consumer.session.consumerGone(consumer);
    return queue.ready.length;
  }

  checkout(): void {
    for (const queue of this.queues.values()) queue.checkout();
  }
}

export class MemoryConnection implements BrokerConnection {
  readonly memory: MemoryBroker;
  readonly listener: ConnectionListener;
  readonly sessions = new Set<MemorySession>();
  readonly user = 'guest';
  readonly mayImpersonate = false;
  deliveredCount = 0;
  #flushedCount = 0;

  constructor(broker: MemoryBroker, listener: ConnectionListener) {
    this.memory = broker;
    this.listener = listener;
  }

  get hold(): HoldReason | undefined {
    return this.memory.held;
  }
  get mayPublish(): boolean {
    return this.memory.held === undefined;
  }

  get isAheadOfSocket(): boolean {
    return this.deliveredCount - this.#flushedCount >= AHEAD_MESSAGES_MAX;
  }

  mayOpenSession(): undefined {}

  openSession(listener: SessionListener): BrokerSession {
    const session = new MemorySession(this, listener);
    this.sessions.add(session);
    return session;
  }

  deliveredMark(): number {
    return this.deliveredCount;
  }

  flushed(mark: number): void {
    this.#flushedCount = mark;
    this.memory.checkout();
  }

  close(): Promise<void> {
    return this.memory.answer(() => {
      if (!this.memory.connections.delete(this)) return;
      for (const session of this.sessions) session.closeNow();
      for (const [name, queue] of this.memory.queues) if (queue.owner === this) this.memory.deleteQueue(name);
    });
  }
}

export class MemorySession implements BrokerSession {
  readonly connection: MemoryConnection;
  readonly listener: SessionListener;
  sessionWindow = 0;
  #consumerWindow = 0;
  #isClosed = false;
  #confirmed: number[] = [];
  readonly #consumers = new Map<ConsumerHandle, { readonly queue: MemoryQueue; readonly consumer: MemoryConsumer }>();

  constructor(connection: MemoryConnection, listener: SessionListener) {
    this.connection = connection;
    this.listener = listener;
  }

  get #broker(): MemoryBroker {
    return this.connection.memory;
  }

  get unsettledCount(): number {
    let count = 0;
    for (const { consumer } of this.#consumers.values()) count += consumer.unsettled.size;
    return count;
  }

  publish(publish: Publish): PublishResult {
    if (!this.connection.mayPublish) throw new Error('publish while publishes are held');
    this.#broker.published(publish);
    if (this.#broker.publishAnswer !== undefined) return this.#broker.publishAnswer;
    const queues = this.#broker.route(publish.exchange, publish.routingKey);
    if (!Array.isArray(queues)) return queues;
    if (queues.length === 0) return 'unroutable';
    const content = messageBlock(publish);
    if (publish.sequence > 0) this.#confirmLater(publish.sequence);
    for (const queue of queues) queue.enqueue(content);
    return 'routed';
  }

  checkPublish(publish: Publish): BrokerError | undefined {
    const queues = this.#broker.route(publish.exchange, publish.routingKey);
    return Array.isArray(queues) ? undefined : queues;
  }

  consumeReplies({
    consumer,
    tag,
  }: {
    readonly consumer: ConsumerHandle;
    readonly tag: string;
  }): Promise<Result<{ readonly queue: string }>> {
    return this.#broker.answer(() => {
      const name = `amq.rabbitmq.reply-to.${this.#broker.generateQueueName().slice(8)}`;
      const flags = { durable: false, exclusive: true, autoDelete: true, passive: false, arguments: new Map() };
      const queue = new MemoryQueue({ ...flags, name }, this.connection);
      this.#broker.queues.set(name, queue);
      queue.consumers.push(this.#consumerOf({ ...GETTER, queue: name, consumer, tag, autoAck: true }, queue));
      return good({ queue: name });
    });
  }

  /** Confirms go out first. */
  settled(): Promise<void> {
    return this.#broker.answer(() => {
      this.#broker.calls.push('settled');
      this.#confirm();
    });
  }

  /** After the turn's other work, as a range per turn. */
  #confirmLater(sequence: number): void {
    this.#confirmed.push(sequence);
    if (this.#confirmed.length > 1) return;
    queueMicrotask(() => this.#confirm());
  }

  #confirm(): void {
    const confirmed = this.#confirmed;
    this.#confirmed = [];
    if (!this.#isClosed) for (const number of confirmed) this.listener.confirmed(number, number);
  }

  declareExchange(request: ExchangeDeclare): Promise<Result<void>> {
    return this.#broker.answer(() => {
      const { name, type } = request;
      const existing = this.#broker.exchanges.get(name);
      if (existing === undefined && request.passive) return bad(noExchange(name));
      if (existing === undefined) this.#broker.exchanges.set(name, { type, bindings: [] });
      else if (existing.type !== type && !request.passive) {
        const [received, current] = [`'${type}'`, `'${existing.type}'`];
        return bad({ code: 'inequivalent', kind: 'exchange', vhost: VHOST, name, argument: 'type', received, current });
      }
      return good(undefined);
    });
  }

  deleteExchange({ name }: { readonly name: string; readonly ifUnused: boolean }): Promise<Result<void>> {
    return this.#broker.answer(() => (this.#broker.exchanges.delete(name) ? good(undefined) : bad(noExchange(name))));
  }

  declareQueue(request: QueueDeclare): Promise<Result<QueueDeclared>> {
    return this.#broker.answer(() => {
      const name = request.name === '' ? this.#broker.generateQueueName() : request.name;
      const existing = this.#broker.queues.get(name);
      if (existing === undefined) {
        if (request.passive) return bad(noQueue(name));
        const owner = request.exclusive ? this.connection : undefined;
        this.#broker.queues.set(name, new MemoryQueue({ ...request, name }, owner));
        return good({ name, messageCount: 0, consumerCount: 0 });
      }
      if (existing.owner !== undefined && existing.owner !== this.connection) {
        return bad({ code: 'locked', vhost: VHOST, name });
      }
      const error = request.passive ? undefined : existing.inequivalent(VHOST, request);
      if (error !== undefined) return bad(error);
      return good({ name, messageCount: existing.ready.length, consumerCount: existing.consumers.length });
    });
  }

  deleteQueue(request: {
    readonly name: string;
    readonly ifUnused: boolean;
    readonly ifEmpty: boolean;
  }): Promise<Result<{ readonly messageCount: number }>> {
    return this.#broker.answer(() => {
      const { name } = request;
      const queue = this.#broker.queues.get(name);
      if (queue === undefined) return bad(noQueue(name));
      if (request.ifUnused && queue.consumers.length > 0) {
        return bad({ code: 'in-use', kind: 'queue', vhost: VHOST, name });
      }
      if (request.ifEmpty && queue.ready.length > 0) return bad({ code: 'not-empty', vhost: VHOST, name });
      return good({ messageCount: this.#broker.deleteQueue(name) });
    });
  }

  purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>> {
    return this.#broker.answer(() => {
      const queue = this.#broker.queues.get(name);
      return queue === undefined ? bad(noQueue(name)) : good({ messageCount: queue.ready.splice(0).length });
    });
  }

  bindQueue(request: BindingRequest): Promise<Result<void>> {
    return this.#broker.answer(() => {
      const exchange = this.#broker.exchanges.get(request.exchange);
      if (!this.#broker.queues.has(request.queue)) return bad(noQueue(request.queue));
      if (exchange === undefined) return bad(noExchange(request.exchange));
      exchange.bindings.push({ queue: request.queue, routingKey: request.routingKey });
      return good(undefined);
    });
  }

  unbindQueue({ queue, exchange, routingKey }: BindingRequest): Promise<Result<void>> {
    return this.#broker.answer(() => {
      const bindings = this.#broker.exchanges.get(exchange)?.bindings;
      if (bindings === undefined) return bad(noExchange(exchange));
      const at = bindings.findIndex(binding => binding.queue === queue && binding.routingKey === routingKey);
      if (at >= 0) bindings.splice(at, 1);
      return good(undefined);
    });
  }

  bindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return this.#broker.answer(() => {
      this.#broker.calls.push(`bind ${request.source} ${request.destination}`);
      return this.#checkExchanges(request);
    });
  }

  unbindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return this.#broker.answer(() => {
      this.#broker.calls.push(`unbind ${request.source} ${request.destination}`);
      return this.#checkExchanges(request);
    });
  }

  #checkExchanges({ source, destination }: ExchangeBindingRequest): Result<void> {
    const missing = [source, destination].find(name => !this.#broker.exchanges.has(name));
    return missing === undefined ? good(undefined) : bad(noExchange(missing));
  }

  consume(request: ConsumeRequest): Promise<Result<void>> {
    return this.#broker.answer(() => {
      const queue = this.#broker.queues.get(request.queue);
      if (queue === undefined) return bad(noQueue(request.queue));
      if (queue.consumers.some(other => other.request.exclusive || request.exclusive)) {
        return bad({ code: 'exclusive-consumer', vhost: VHOST, name: request.queue });
      }
      const consumer = this.#consumerOf(request, queue);
      queue.consumers.push(consumer);
      queue.checkout();
      return good(undefined);
    });
  }

  cancel(handle: ConsumerHandle): Promise<void> {
    return this.#broker.answer(() => {
      const found = this.#consumers.get(handle);
      if (found !== undefined) found.queue.consumers = found.queue.consumers.filter(other => other !== found.consumer);
    });
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    if (scope === 'session') this.sessionWindow = count;
    else this.#consumerWindow = count;
  }

  setWindow(): undefined {
    throw new Error('windows of live consumers are not part of this broker');
  }

  checkReturn(handle: ConsumerHandle, what: string): BrokerError | undefined {
    const name = this.#consumers.get(handle)?.queue.declared.name ?? '';
    if (!this.#broker.streams.has(name)) return undefined;
    return { code: 'not-implemented', text: `${what} not supported by stream queues queue '${name}'` };
  }

  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    const found = this.#consumers.get(handle);
    if (found === undefined) throw new Error(`no consumer ${handle}`);
    this.#broker.calls.push(`${how} ${handle} ${first}-${last}`);
    // Returned in reverse, so that they stand in the queue as before.
    for (let number = how === 'return' ? last : first; number >= first && number <= last; ) {
      found.queue.settle(found.consumer, number, how);
      number += how === 'return' ? -1 : 1;
    }
    queueMicrotask(() => this.#broker.checkout());
  }

  get(request: {
    readonly queue: string;
    readonly autoAck: boolean;
    readonly consumer: ConsumerHandle;
  }): Promise<Result<GetResult>> {
    return this.#broker.answer<Result<GetResult>>(() => {
      const queue = this.#broker.queues.get(request.queue);
      if (queue === undefined) return bad(noQueue(request.queue));
      if (queue.ready.length === 0) return good({ empty: true });
      const { consumer } = this.#consumers.get(request.consumer) ?? { consumer: undefined };
      const getter = consumer ?? this.#consumerOf({ ...GETTER, ...request }, queue);
      const delivery = queue.take(getter, request.autoAck);
      return good({ empty: false, delivery, messagesLeft: queue.ready.length });
    });
  }

  close(): Promise<void> {
    return this.#broker.answer(() => {
      this.#confirm();
      this.closeNow();
    });
  }

  closeNow(): void {
    this.#isClosed = true;
    for (const { queue, consumer } of this.#consumers.values()) {
      queue.consumers = queue.consumers.filter(other => other !== consumer);
      queue.returnAll(consumer);
    }
    this.#consumers.clear();
    this.connection.sessions.delete(this);
    this.#broker.checkout();
  }

  consumerGone(consumer: MemoryConsumer): void {
    this.#consumers.delete(consumer.request.consumer);
    if (!this.#isClosed) this.listener.consumerCancelled(consumer.request.consumer);
  }

  #consumerOf(request: ConsumeRequest, queue: MemoryQueue): MemoryConsumer {
    const window = request.window ?? this.#consumerWindow;
    const consumer = { session: this, request, window, lastNumber: 0, unsettled: new Map() };
    this.#consumers.set(request.consumer, { queue, consumer });
    return consumer;
  }
}

const GETTER = { tag: '', exclusive: false, arguments: new Map(), window: undefined };

function messageBlock(publish: Publish): Uint8Array {
  const writer = new ByteWriter();
  const [exchange, routingKey] = [utf8Encode(publish.exchange), utf8Encode(publish.routingKey)];
  writer.u8(exchange.length);
  writer.bytes(exchange);
  writer.u8(routingKey.length);
  writer.bytes(routingKey);
  writer.block(publish.properties);
  let bytes = 0;
  for (const part of publish.body) {
    writer.bytes(part);
    bytes += part.length;
  }
  if (bytes !== publish.bodyBytes) throw new Error(`body of ${bytes} bytes announced as ${publish.bodyBytes}`);
  return writer.finish();
}
