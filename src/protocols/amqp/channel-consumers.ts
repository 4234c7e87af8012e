import type { ConsumerHandle, Delivery, GetResult, Result, SettleHow } from '../../broker/broker.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import { REPLY_QUEUE } from '../../broker/names.ts';
import { assert } from '../../lib/assert.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import type { ChannelContext } from './channel-context.ts';
import type { ChannelTransaction } from './channel-transaction.ts';
import { DeliveryLedger, GONE_CONSUMER, type Settled } from './delivery-ledger.ts';
import { toAmqpError } from './error-text.ts';
import { deliverHead } from './frame-writer.ts';
import type { MethodOf } from './methods.ts';
import { SettleRanges } from './settle-ranges.ts';

interface Consumer {
  readonly tag: string;
  readonly handle: ConsumerHandle;
  readonly isAutoAck: boolean;
  readonly deliverHead: Uint8Array;
  /** Whether the client still is to be told of its success (basic.consume-ok). */
  owesConsumeOk: boolean;
}

/** Handles of basic.get kept per queue; beyond it they are forgotten, which costs a new handle each. */
const GET_HANDLES_MAX = 256;

/** The consuming side of a channel: consumers, basic.get, prefetch, deliveries and their acknowledgement. */
export class ChannelConsumers {
  readonly #context: ChannelContext;
  readonly #ledger = new DeliveryLedger();
  readonly #ranges: SettleRanges;
  readonly #byTag = new Map<string, Consumer>();
  readonly #byHandle = new Map<ConsumerHandle, Consumer>();
  readonly #getHandles = new Map<string, ConsumerHandle>();
  #lastConsumer: Consumer | undefined;
  #nextHandle = 1;
  #replies: { readonly consumer: Consumer; readonly queue: string } | undefined;
  /** What the broker says to returning or discarding one of the deliveries at hand. */
  #refusal: BrokerError | undefined;
  readonly #settle: Settled = (consumer, number, tag) => this.#settled(consumer, number, tag, 'settle');
  readonly #return: Settled = (consumer, number, tag) => {
    if (this.#mayReturn(consumer, 'basic.nack and basic.reject')) this.#settled(consumer, number, tag, 'return');
  };
  readonly #discard: Settled = (consumer, number, tag) => {
    if (this.#mayReturn(consumer, 'basic.nack and basic.reject')) this.#settled(consumer, number, tag, 'discard');
  };
  readonly #recover: Settled = (consumer, number) => {
    if (this.#mayReturn(consumer, 'basic.recover')) this.#ranges.add(consumer, number, 'return');
  };

  constructor(context: ChannelContext) {
    this.#context = context;
    this.#ranges = new SettleRanges(context.session);
  }

  /** Where replies to this channel are published to. */
  get replyTo(): string | undefined {
    return this.#replies?.queue;
  }

  /** Tells the broker of the settlements gathered. */
  flushSettlements(): void {
    this.#ranges.flush();
  }

  deliver(delivery: Delivery): void {
    const consumer =
      this.#lastConsumer?.handle === delivery.consumer ? this.#lastConsumer : this.#byHandle.get(delivery.consumer);
    if (consumer === undefined) {
      // Its cancellation has been answered; nobody is left to settle this one.
      this.#context.session.settle(delivery.consumer, delivery.number, delivery.number, 'return');
      return;
    }
    this.#lastConsumer = consumer;
    if (consumer.owesConsumeOk) this.#writeConsumeOk(consumer);
    const tag = consumer.isAutoAck ? this.#ledger.skip() : this.#ledger.add(consumer.handle, delivery.number);
    this.#context.writer.deliver(consumer.deliverHead, tag, delivery);
  }

  /** The broker took the consumer away. */
  cancelledByBroker(handle: ConsumerHandle): void {
    this.#ranges.forget(handle);
    this.#ledger.forget(handle);
    this.#context.transaction?.forget(handle);
    const consumer = this.#byHandle.get(handle);
    if (consumer === undefined) return;
    if (consumer.owesConsumeOk) this.#writeConsumeOk(consumer);
    this.#remove(consumer);
    if (!this.#context.wantsCancelNotify) return;
    const method = { name: 'basic.cancel', consumerTag: consumer.tag, noWait: true } as const;
    this.#context.writer.method(this.#context.number, method);
  }

  qos(method: MethodOf<'basic.qos'>): void {
    if (method.prefetchSize !== 0) {
      this.#context.fail(amqpError('not-implemented', `prefetch_size!=0 (${method.prefetchSize})`));
      return;
    }
    this.#context.session.setPrefetch(method.global ? 'session' : 'consumer', method.prefetchCount);
    this.#context.writer.method(this.#context.number, { name: 'basic.qos-ok' });
  }

  consume(method: MethodOf<'basic.consume'>): void {
    const queue = this.#context.queueNamed(method.queue);
    if (queue === undefined) return;
    // Whether there is a consumer of replies already matters more than its tag.
    if (queue === REPLY_QUEUE && (!method.noAck || this.#replies !== undefined)) {
      const text = method.noAck ? 'reply consumer already set' : 'reply consumer cannot acknowledge';
      this.#context.fail(amqpError('precondition-failed', text));
      return;
    }
    if (this.#byTag.has(method.consumerTag)) {
      this.#context.fail(amqpError('not-allowed', `attempt to reuse consumer tag '${method.consumerTag}'`));
      return;
    }
    if (queue === REPLY_QUEUE) {
      this.#consumeReplies(method);
      return;
    }
    const consumer = this.#add(method);
    const answer = this.#context.session.consume({
      queue,
      consumer: consumer.handle,
      tag: consumer.tag,
      autoAck: method.noAck,
      exclusive: method.exclusive,
      arguments: method.arguments,
      window: undefined,
    });
    this.#context.wait(answer, result => {
      if (!result.ok) {
        this.#remove(consumer);
        this.#context.fail(toAmqpError(result.error));
      } else if (consumer.owesConsumeOk) {
        this.#writeConsumeOk(consumer);
      }
    });
  }

  #consumeReplies(method: MethodOf<'basic.consume'>): void {
    const consumer = this.#add(method);
    const { handle, tag } = consumer;
    this.#context.wait(this.#context.session.consumeReplies({ consumer: handle, tag }), result => {
      if (!result.ok) {
        this.#remove(consumer);
        this.#context.fail(toAmqpError(result.error));
        return;
      }
      this.#replies = { consumer, queue: result.value.queue };
      if (consumer.owesConsumeOk) this.#writeConsumeOk(consumer);
    });
  }

  #add(method: MethodOf<'basic.consume'>): Consumer {
    const tag = method.consumerTag === '' ? `amq.ctag-${this.#context.generateName()}` : method.consumerTag;
    const consumer: Consumer = {
      tag,
      handle: this.#newHandle(),
      isAutoAck: method.noAck,
      deliverHead: deliverHead(this.#context.number, tag),
      owesConsumeOk: !method.noWait,
    };
    this.#byTag.set(tag, consumer);
    this.#byHandle.set(consumer.handle, consumer);
    return consumer;
  }

  /** Unknown tags are answered as well, as RabbitMQ does. */
  cancel(method: MethodOf<'basic.cancel'>): void {
    const consumer = this.#byTag.get(method.consumerTag);
    if (consumer === undefined) {
      this.#writeCancelOk(method);
      return;
    }
    this.#context.wait(this.#context.session.cancel(consumer.handle), () => {
      this.#remove(consumer);
      this.#writeCancelOk(method);
    });
  }

  get(method: MethodOf<'basic.get'>): void {
    const queue = this.#context.queueNamed(method.queue);
    if (queue === undefined) return;
    const consumer = this.#getHandle(queue);
    const answer = this.#context.session.get({ queue, autoAck: method.noAck, consumer });
    this.#context.wait(answer, result => this.#gotten(result, method.noAck));
  }

  ack(tag: number, multiple: boolean): AmqpError | undefined {
    return this.#settleTag(tag, multiple, 'settle');
  }

  /** basic.nack and basic.reject. */
  nack(tag: number, multiple: boolean, requeue: boolean): AmqpError | undefined {
    return this.#settleTag(tag, multiple, requeue ? 'return' : 'discard') ?? this.#takeRefusal();
  }

  /** Everything unsettled goes back to its queue. */
  recover(): AmqpError | undefined {
    this.#ledger.settleAll(this.#recover);
    this.#ranges.flush();
    return this.#takeRefusal();
  }

  commit(transaction: ChannelTransaction): void {
    transaction.commit(this.#ranges);
  }

  rollback(transaction: ChannelTransaction): void {
    transaction.rollback(this.#ledger);
  }

  #mayReturn(consumer: ConsumerHandle, what: string): boolean {
    const refusal = this.#context.session.checkReturn(consumer, what);
    this.#refusal ??= refusal;
    return refusal === undefined;
  }

  #takeRefusal(): AmqpError | undefined {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    return refusal && toAmqpError(refusal);
  }

  #settled(consumer: ConsumerHandle, number: number, tag: number, how: SettleHow): void {
    const { transaction } = this.#context;
    if (transaction === undefined) this.#ranges.add(consumer, number, how);
    else transaction.holdSettlement({ tag, consumer, number, how });
  }

  #settleTag(tag: number, multiple: boolean, how: SettleHow): AmqpError | undefined {
    const settled = how === 'settle' ? this.#settle : how === 'return' ? this.#return : this.#discard;
    if (!multiple) {
      if (this.#ledger.settle(tag, settled)) return undefined;
    } else if (tag === 0) {
      this.#ledger.settleAll(settled);
      return undefined;
    } else if (this.#ledger.has(tag)) {
      this.#ledger.settleUpTo(tag, settled);
      return undefined;
    }
    return amqpError('precondition-failed', `unknown delivery tag ${tag}`);
  }

  #gotten(result: Result<GetResult>, isAutoAck: boolean): void {
    const { number, writer } = this.#context;
    if (!result.ok) {
      this.#context.fail(toAmqpError(result.error));
    } else if (result.value.empty) {
      writer.method(number, { name: 'basic.get-empty' });
    } else {
      const { delivery, messagesLeft } = result.value;
      const tag = isAutoAck ? this.#ledger.skip() : this.#ledger.add(delivery.consumer, delivery.number);
      writer.getOk(number, tag, delivery, messagesLeft);
    }
  }

  #writeConsumeOk(consumer: Consumer): void {
    consumer.owesConsumeOk = false;
    this.#context.writer.method(this.#context.number, { name: 'basic.consume-ok', consumerTag: consumer.tag });
  }

  #writeCancelOk(method: MethodOf<'basic.cancel'>): void {
    if (method.noWait) return;
    const answer = { name: 'basic.cancel-ok', consumerTag: method.consumerTag } as const;
    this.#context.writer.method(this.#context.number, answer);
  }

  #remove(consumer: Consumer): void {
    this.#byTag.delete(consumer.tag);
    this.#byHandle.delete(consumer.handle);
    if (this.#lastConsumer === consumer) this.#lastConsumer = undefined;
    if (this.#replies?.consumer === consumer) this.#replies = undefined;
  }

  /** One handle per queue, because a handle's delivery numbers are counted by that queue. */
  #getHandle(queue: string): ConsumerHandle {
    let handle = this.#getHandles.get(queue);
    if (handle === undefined) {
      if (this.#getHandles.size === GET_HANDLES_MAX) this.#getHandles.clear();
      handle = this.#newHandle();
      this.#getHandles.set(queue, handle);
    }
    return handle;
  }

  #newHandle(): ConsumerHandle {
    assert(this.#nextHandle < GONE_CONSUMER, 'consumer handles of a channel are used up');
    return this.#nextHandle++;
  }
}
