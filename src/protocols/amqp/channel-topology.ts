import type { Result } from '../../broker/broker.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import { amqpError } from './amqp-error.ts';
import type { ChannelContext } from './channel-context.ts';
import { toAmqpError } from './error-text.ts';
import type { Method, MethodOf } from './methods.ts';

/** Exchanges, queues and bindings of a channel: each method is one question to the broker and one answer. */
export class ChannelTopology {
  readonly #context: ChannelContext;
  #lastQueue = '';

  constructor(context: ChannelContext) {
    this.#context = context;
  }

  /** 1.7.2.1.2: an empty name means the queue last declared on the channel. */
  queueNamed(name: string): string | undefined {
    if (name !== '') return name;
    if (this.#lastQueue !== '') return this.#lastQueue;
    this.#context.fail(amqpError('not-found', 'no previously declared queue'));
    return undefined;
  }

  declareExchange(method: MethodOf<'exchange.declare'>): void {
    const { exchange: name, ...request } = method;
    const answer = this.#context.session.declareExchange({
      name,
      type: request.type,
      passive: request.passive,
      durable: request.durable,
      autoDelete: request.autoDelete,
      internal: request.internal,
      arguments: request.arguments,
    });
    this.#answer(answer, method.noWait, () => ({ name: 'exchange.declare-ok' }));
  }

  /** What is not there is deleted already, as with RabbitMQ since 3.2; the same holds for queues and bindings. */
  deleteExchange(method: MethodOf<'exchange.delete'>): void {
    const answer = this.#context.session.deleteExchange({ name: method.exchange, ifUnused: method.ifUnused });
    this.#answer(
      answer,
      method.noWait,
      () => ({ name: 'exchange.delete-ok' }),
      error => (error.code === 'no-exchange' ? { name: 'exchange.delete-ok' } : undefined),
    );
  }

  declareQueue(method: MethodOf<'queue.declare'>): void {
    const answer = this.#context.session.declareQueue({
      name: method.queue,
      passive: method.passive,
      durable: method.durable,
      exclusive: method.exclusive,
      autoDelete: method.autoDelete,
      arguments: method.arguments,
    });
    this.#answer(answer, method.noWait, ({ name, messageCount, consumerCount }) => {
      this.#lastQueue = name;
      return { name: 'queue.declare-ok', queue: name, messageCount, consumerCount };
    });
  }

  deleteQueue(method: MethodOf<'queue.delete'>): void {
    const name = this.queueNamed(method.queue);
    if (name === undefined) return;
    const answer = this.#context.session.deleteQueue({ name, ifUnused: method.ifUnused, ifEmpty: method.ifEmpty });
    this.#answer(
      answer,
      method.noWait,
      ({ messageCount }) => ({ name: 'queue.delete-ok', messageCount }),
      error => (error.code === 'no-queue' ? { name: 'queue.delete-ok', messageCount: 0 } : undefined),
    );
  }

  purgeQueue(method: MethodOf<'queue.purge'>): void {
    const name = this.queueNamed(method.queue);
    if (name === undefined) return;
    const answer = this.#context.session.purgeQueue(name);
    this.#answer(answer, method.noWait, ({ messageCount }) => ({ name: 'queue.purge-ok', messageCount }));
  }

  bindQueue(method: MethodOf<'queue.bind'>): void {
    const queue = this.queueNamed(method.queue);
    if (queue === undefined) return;
    const answer = this.#context.session.bindQueue({
      queue,
      exchange: method.exchange,
      routingKey: bindingKey(method, queue),
      arguments: method.arguments,
    });
    this.#answer(answer, method.noWait, () => ({ name: 'queue.bind-ok' }));
  }

  unbindQueue(method: MethodOf<'queue.unbind'>): void {
    const queue = this.queueNamed(method.queue);
    if (queue === undefined) return;
    const answer = this.#context.session.unbindQueue({
      queue,
      exchange: method.exchange,
      routingKey: bindingKey(method, queue),
      arguments: method.arguments,
    });
    this.#answer(
      answer,
      false,
      () => ({ name: 'queue.unbind-ok' }),
      error => (isGone(error) ? { name: 'queue.unbind-ok' } : undefined),
    );
  }

  bindExchange(method: MethodOf<'exchange.bind'>): void {
    const { destination, source, routingKey } = method;
    const request = { destination, source, routingKey, arguments: method.arguments };
    this.#answer(this.#context.session.bindExchange(request), method.noWait, () => ({ name: 'exchange.bind-ok' }));
  }

  unbindExchange(method: MethodOf<'exchange.unbind'>): void {
    const { destination, source, routingKey } = method;
    this.#answer(
      this.#context.session.unbindExchange({ destination, source, routingKey, arguments: method.arguments }),
      method.noWait,
      () => ({ name: 'exchange.unbind-ok' }),
      error => (isGone(error) ? { name: 'exchange.unbind-ok' } : undefined),
    );
  }

  /** `forgive` turns a refusal into an answer. */
  #answer<Value>(
    answer: Promise<Result<Value>>,
    noWait: boolean,
    toMethod: (value: Value) => Method,
    forgive: (error: BrokerError) => Method | undefined = () => undefined,
  ): void {
    this.#context.wait(answer, result => {
      const method = result.ok ? toMethod(result.value) : forgive(result.error);
      if (method !== undefined) {
        if (!noWait) this.#context.writer.method(this.#context.number, method);
      } else if (!result.ok) {
        this.#context.fail(toAmqpError(result.error));
      }
    });
  }
}

/** Nothing is bound to what is not there. */
const isGone = (error: BrokerError): boolean => error.code === 'no-queue' || error.code === 'no-exchange';

/** With queue and routing key empty, both mean the queue declared last (1.7.2.3.3). */
const bindingKey = (method: { readonly queue: string; readonly routingKey: string }, queue: string): string =>
  method.queue === '' && method.routingKey === '' ? queue : method.routingKey;
