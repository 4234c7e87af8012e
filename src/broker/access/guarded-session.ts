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
  SettleHow,
} from '../broker.ts';
import type { BrokerError } from '../broker-error.ts';
import type { SessionAccess } from './session-access.ts';

/** A session that asks before each operation whether its user may do it. */
export class GuardedSession implements BrokerSession {
  readonly #session: BrokerSession;
  readonly #access: SessionAccess;

  constructor(session: BrokerSession, access: SessionAccess) {
    this.#session = session;
    this.#access = access;
  }

  publish(publish: Publish): PublishResult {
    return this.#access.publish(publish.exchange, publish.routingKey) ?? this.#session.publish(publish);
  }

  checkPublish(publish: Publish): BrokerError | undefined {
    return this.#access.publish(publish.exchange, publish.routingKey) ?? this.#session.checkPublish(publish);
  }

  declareExchange(request: ExchangeDeclare): Promise<Result<void>> {
    return refusal(this.#access.declareExchange(request)) ?? this.#session.declareExchange(request);
  }

  deleteExchange(request: { readonly name: string; readonly ifUnused: boolean }): Promise<Result<void>> {
    return refusal(this.#access.deleteExchange(request.name)) ?? this.#session.deleteExchange(request);
  }

  declareQueue(request: QueueDeclare): Promise<Result<QueueDeclared>> {
    return refusal(this.#access.declareQueue(request)) ?? this.#session.declareQueue(request);
  }

  deleteQueue(request: {
    readonly name: string;
    readonly ifUnused: boolean;
    readonly ifEmpty: boolean;
  }): Promise<Result<{ readonly messageCount: number }>> {
    return refusal(this.#access.queue('configure', request.name)) ?? this.#session.deleteQueue(request);
  }

  purgeQueue(name: string): Promise<Result<{ readonly messageCount: number }>> {
    return refusal(this.#access.queue('read', name)) ?? this.#session.purgeQueue(name);
  }

  bindQueue(request: BindingRequest): Promise<Result<void>> {
    return refusal(this.#access.bindQueue(request)) ?? this.#session.bindQueue(request);
  }

  unbindQueue(request: BindingRequest): Promise<Result<void>> {
    return refusal(this.#access.bindQueue(request)) ?? this.#session.unbindQueue(request);
  }

  bindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return refusal(this.#access.bindExchange(request)) ?? this.#session.bindExchange(request);
  }

  unbindExchange(request: ExchangeBindingRequest): Promise<Result<void>> {
    return refusal(this.#access.bindExchange(request)) ?? this.#session.unbindExchange(request);
  }

  consume(request: ConsumeRequest): Promise<Result<void>> {
    return refusal(this.#access.queue('read', request.queue)) ?? this.#session.consume(request);
  }

  /** Everybody may ask for replies, as in RabbitMQ. */
  consumeReplies(request: {
    readonly consumer: ConsumerHandle;
    readonly tag: string;
  }): Promise<Result<{ readonly queue: string }>> {
    return this.#session.consumeReplies(request);
  }

  cancel(consumer: ConsumerHandle): Promise<void> {
    return this.#session.cancel(consumer);
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    this.#session.setPrefetch(scope, count);
  }

  setWindow(consumer: ConsumerHandle, messages: number): BrokerError | undefined {
    return this.#session.setWindow(consumer, messages);
  }

  checkReturn(consumer: ConsumerHandle, what: string): BrokerError | undefined {
    return this.#session.checkReturn(consumer, what);
  }

  settle(consumer: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    this.#session.settle(consumer, first, last, how);
  }

  get(request: {
    readonly queue: string;
    readonly autoAck: boolean;
    readonly consumer: ConsumerHandle;
  }): Promise<Result<GetResult>> {
    return refusal(this.#access.queue('read', request.queue)) ?? this.#session.get(request);
  }

  settled(): Promise<void> {
    return this.#session.settled();
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

function refusal(
  error: BrokerError | undefined,
): Promise<{ readonly ok: false; readonly error: BrokerError }> | undefined {
  return error === undefined ? undefined : Promise.resolve({ ok: false, error });
}
