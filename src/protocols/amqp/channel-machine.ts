import type {
  BrokerConnection,
  BrokerSession,
  ConsumerHandle,
  Delivery,
  SessionListener,
} from '../../broker/broker.ts';
import { type AmqpError, amqpError, endsConnection, isAmqpError, replyCode, replyText } from './amqp-error.ts';
import { ChannelConsumers } from './channel-consumers.ts';
import type { ChannelContext, ConnectionFacts, Waiter } from './channel-context.ts';
import { ChannelPublisher } from './channel-publisher.ts';
import { ChannelTopology } from './channel-topology.ts';
import type { ChannelTransaction, TransactionMemory } from './channel-transaction.ts';
import type { ContentMemory } from './content-memory.ts';
import type { Frame } from './frame-parser.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { AmqpLimits } from './limits.ts';
import { decodeMethod, type Method } from './methods.ts';
import { readU32, readU64, SHORTSTR_BYTES_MAX } from './primitives.ts';
import { FRAME_METHOD, methodId } from './spec.ts';
import { shortened } from './text.ts';
import { WaitingFrames } from './waiting-frames.ts';

const PUBLISH = methodId('basic.publish');
const ACK = methodId('basic.ack');
const NACK = methodId('basic.nack');
const REJECT = methodId('basic.reject');
const TX_COMMIT = methodId('tx.commit');
const CHANNEL_CLOSE = methodId('channel.close');
const CHANNEL_CLOSE_OK = methodId('channel.close-ok');
/** Octets of a method frame's payload: class, method, delivery tag, flags. */
const ANSWER_BYTES = 13;

/** What a channel asks of its connection. */
export interface ChannelOwner extends ConnectionFacts, Waiter {
  /** The channel number is free again. */
  channelEnded(channel: AmqpChannel): void;
  /** A reply that ends the connection. */
  connectionFailed(error: AmqpError, method: number): void;
  /** One line for the operator. */
  report(error: AmqpError, channel: number): void;
  /** `writeConfirms` is wanted before the next flush. */
  confirmsPending(channel: AmqpChannel): void;
  /** `endOfInput` is wanted when the bytes at hand are used up. */
  touched(channel: AmqpChannel): void;
  /** The channel no longer keeps the connection from being read. */
  inputMayGoOn(): void;
}

/**
 * One channel: frames in, calls of the broker's session and frames out. While a request is under way later frames wait, so
 * everything happens in the order in which the client sent it.
 *
 * open -> closing (our channel.close is out; everything but close-ok is dropped) -> ended
 * open -> leaving (the client's channel.close waits for the session) -> ended
 */
export class AmqpChannel implements ChannelContext, SessionListener {
  readonly number: number;
  readonly session: BrokerSession;
  readonly #owner: ChannelOwner;
  readonly #publisher: ChannelPublisher;
  readonly #consumers: ChannelConsumers;
  readonly #topology: ChannelTopology;
  readonly #waiting = new WaitingFrames();
  #state: 'open' | 'closing' | 'leaving' | 'ended' = 'open';
  #isBusy = false;
  /** Consumers that the broker cancelled meanwhile. */
  readonly #cancelled: ConsumerHandle[] = [];
  #isTouched = false;
  #owesConfirms = false;
  /** Class and method id of the method under way, for the reply that ends the channel. */
  #method = 0;

  constructor(number: number, owner: ChannelOwner) {
    this.number = number;
    this.#owner = owner;
    this.session = owner.broker.openSession(this, number);
    this.#publisher = new ChannelPublisher(this);
    this.#consumers = new ChannelConsumers(this);
    this.#topology = new ChannelTopology(this);
  }

  get broker(): BrokerConnection {
    return this.#owner.broker;
  }

  get writer(): FrameWriter {
    return this.#owner.writer;
  }

  get limits(): AmqpLimits {
    return this.#owner.limits;
  }

  get contentMemory(): ContentMemory {
    return this.#owner.contentMemory;
  }

  get transactionMemory(): TransactionMemory {
    return this.#owner.transactionMemory;
  }

  get transaction(): ChannelTransaction | undefined {
    return this.#publisher.transaction;
  }

  get replyTo(): string | undefined {
    return this.#consumers.replyTo;
  }

  get wantsCancelNotify(): boolean {
    return this.#owner.wantsCancelNotify;
  }

  /** Too much waits here: the connection must not be read. */
  get isCongested(): boolean {
    return this.#waiting.bytes > this.limits.waitingBytesMax;
  }

  /** False when the frame was not taken because publishes are held: it must come again. */
  feed(frame: Frame): boolean {
    if (!this.#isTouched) {
      this.#isTouched = true;
      this.#owner.touched(this);
    }
    if (this.#state === 'open' && (this.#isBusy || !this.#waiting.isEmpty)) {
      this.#waiting.push(frame);
      return true;
    }
    return this.#process(frame);
  }

  /** The bytes at hand are used up: nothing may refer to them any more, and the broker learns of all settlements. */
  endOfInput(): void {
    this.#isTouched = false;
    if (this.#state !== 'open') return;
    this.#consumers.flushSettlements();
    this.#publisher.detach();
  }

  /** Takes up waiting frames, after publishes were held. */
  resume(): void {
    if (this.#isBusy || this.#waiting.isEmpty) return;
    this.#drain();
  }

  writeConfirms(): void {
    this.#owesConfirms = false;
    if (this.#isConfirming()) this.#publisher.writeConfirms();
  }

  /** The connection is over. */
  end(): void {
    this.#publisher.end();
    this.#state = 'ended';
  }

  wait<Value>(answer: Promise<Value>, then: (value: Value) => void): void {
    this.#isBusy = true;
    this.#owner.wait(answer, value => {
      if (this.#state === 'ended') return;
      this.#isBusy = false;
      then(value);
      if (!this.#isBusy) for (const consumer of this.#cancelled.splice(0)) this.consumerCancelled(consumer);
      if (!this.#waiting.isEmpty) this.#drain();
    });
  }

  queueNamed(name: string): string | undefined {
    return this.#topology.queueNamed(name);
  }

  generateName(): string {
    return this.#owner.generateName();
  }

  confirmsPending(): void {
    if (this.#owesConfirms) return;
    this.#owesConfirms = true;
    this.#owner.confirmsPending(this);
  }

  fail(error: AmqpError): void {
    if (this.#state !== 'open') return;
    this.#consumers.flushSettlements();
    this.#publisher.writeConfirms();
    if (endsConnection(error)) {
      this.#owner.connectionFailed(error, this.#method);
      return;
    }
    this.#publisher.end();
    this.#state = 'closing';
    this.#owner.report(error, this.number);
    this.writer.method(this.number, {
      name: 'channel.close',
      replyCode: replyCode(error),
      replyText: shortened(replyText(error), SHORTSTR_BYTES_MAX),
      classId: this.#method >>> 16,
      methodId: this.#method & 0xffff,
    });
    this.#owner.wait(this.session.close(), () => {});
  }

  confirmed(first: number, last: number): void {
    if (this.#isConfirming()) this.#publisher.confirmed(first, last);
  }

  rejected(first: number, last: number): void {
    if (this.#isConfirming()) this.#publisher.rejected(first, last);
  }

  deliver(delivery: Delivery): void {
    if (this.#state === 'open') this.#consumers.deliver(delivery);
  }

  /** Behind the answer to the request under way, which may be the one that deletes the queue. */
  consumerCancelled(consumer: ConsumerHandle): void {
    if (this.#isBusy) this.#cancelled.push(consumer);
    else if (this.#state === 'open') this.#consumers.cancelledByBroker(consumer);
  }

  /** Confirms that arrive before the answer to the client's channel.close are still written. */
  #isConfirming(): boolean {
    return this.#state === 'open' || this.#state === 'leaving';
  }

  #drain(): void {
    const wasCongested = this.isCongested;
    while (!this.#isBusy && this.#state !== 'ended') {
      const frame = this.#waiting.first();
      if (frame === undefined || !this.#process(frame)) break;
      this.#waiting.dropFirst();
    }
    this.endOfInput();
    if (wasCongested && !this.isCongested) this.#owner.inputMayGoOn();
  }

  #process(frame: Frame): boolean {
    if (this.#state !== 'open') {
      this.#processWhenClosing(frame);
      return true;
    }
    if (frame.type === FRAME_METHOD) return this.#processMethod(frame);
    if (!this.broker.mayPublish) return false;
    const error = this.#publisher.content(frame);
    if (error !== undefined) this.fail(error);
    return true;
  }

  #processMethod(frame: Frame): boolean {
    const { bytes, start, end } = frame;
    const id = end - start < 4 ? 0 : readU32(bytes, start);
    let error: AmqpError | undefined;
    if (id === PUBLISH) {
      if (!this.broker.mayPublish) return false;
      this.#method = id;
      error = this.#publisher.begin(frame);
    } else {
      error = this.#publisher.refuseMethod();
      if (id === TX_COMMIT && error === undefined && this.transaction?.publishHeld() === false) return false;
      this.#method = id;
      if (error === undefined) error = this.#processOther(frame, id);
    }
    if (error !== undefined) this.fail(error);
    return true;
  }

  #processOther(frame: Frame, id: number): AmqpError | undefined {
    const { bytes, start, end } = frame;
    if ((id === ACK || id === NACK || id === REJECT) && end - start === ANSWER_BYTES) {
      const tag = readU64(bytes, start + 4);
      const flags = bytes[end - 1]!;
      const hasFirst = (flags & 1) !== 0;
      if (id === ACK) return this.#consumers.ack(tag, hasFirst);
      if (id === NACK) return this.#consumers.nack(tag, hasFirst, (flags & 2) !== 0);
      return this.#consumers.nack(tag, false, hasFirst);
    }
    this.#consumers.flushSettlements();
    const method = decodeMethod(bytes, start, end);
    if (isAmqpError(method)) return method;
    return this.#perform(method);
  }

  #perform(method: Method): AmqpError | undefined {
    switch (method.name) {
      case 'exchange.declare':
        this.#topology.declareExchange(method);
        return undefined;
      case 'exchange.delete':
        this.#topology.deleteExchange(method);
        return undefined;
      case 'queue.declare':
        this.#topology.declareQueue(method);
        return undefined;
      case 'queue.delete':
        this.#topology.deleteQueue(method);
        return undefined;
      case 'queue.purge':
        this.#topology.purgeQueue(method);
        return undefined;
      case 'queue.bind':
        this.#topology.bindQueue(method);
        return undefined;
      case 'queue.unbind':
        this.#topology.unbindQueue(method);
        return undefined;
      case 'exchange.bind':
        this.#topology.bindExchange(method);
        return undefined;
      case 'exchange.unbind':
        this.#topology.unbindExchange(method);
        return undefined;
      case 'basic.qos':
        this.#consumers.qos(method);
        return undefined;
      case 'basic.consume':
        this.#consumers.consume(method);
        return undefined;
      case 'basic.cancel':
        this.#consumers.cancel(method);
        return undefined;
      case 'basic.get':
        this.#consumers.get(method);
        return undefined;
      default:
        return this.#performRest(method);
    }
  }

  #performRest(method: Method): AmqpError | undefined {
    switch (method.name) {
      case 'channel.close':
        this.#leave();
        return undefined;
      case 'channel.flow':
        if (!method.active) return amqpError('not-implemented', 'active=false');
        this.writer.method(this.number, { name: 'channel.flow-ok', active: true });
        return undefined;
      case 'confirm.select': {
        const error = this.#publisher.selectConfirms();
        if (error === undefined && !method.noWait) this.writer.method(this.number, { name: 'confirm.select-ok' });
        return error;
      }
      case 'tx.select': {
        const error = this.#publisher.selectTransactions();
        if (error === undefined) this.writer.method(this.number, { name: 'tx.select-ok' });
        return error;
      }
      case 'tx.commit':
      case 'tx.rollback':
        return this.#endTransaction(method.name);
      case 'basic.recover':
      case 'basic.recover-async': {
        if (!method.requeue) return amqpError('not-implemented', 'requeue=false');
        const error = this.#consumers.recover();
        if (error !== undefined) return error;
        if (method.name === 'basic.recover') this.writer.method(this.number, { name: 'basic.recover-ok' });
        return undefined;
      }
      case 'access.request':
        // From AMQP 0-8; old clients ask, and every ticket is as good as another.
        this.writer.method(this.number, { name: 'access.request-ok', ticket: 1 });
        return undefined;
      case 'channel.open':
        return amqpError('channel-error', "second 'channel.open' seen");
      case 'channel.close-ok':
      case 'channel.flow-ok':
        return undefined;
      default:
        return amqpError('command-invalid', `unexpected method ${method.name}`);
    }
  }

  #endTransaction(name: 'tx.commit' | 'tx.rollback'): AmqpError | undefined {
    const { transaction } = this;
    if (transaction === undefined) return amqpError('precondition-failed', 'channel is not transactional');
    if (name === 'tx.commit') this.#consumers.commit(transaction);
    else this.#consumers.rollback(transaction);
    return undefined;
  }

  /** The client closes the channel: everything it asked for before comes first. */
  #leave(): void {
    this.#consumers.flushSettlements();
    this.#state = 'leaving';
    this.#isBusy = true;
    this.#owner.wait(this.session.close(), () => {
      if (this.#state === 'ended') return;
      this.#publisher.writeConfirms();
      this.writer.method(this.number, { name: 'channel.close-ok' });
      this.#ended();
    });
  }

  #processWhenClosing(frame: Frame): void {
    if (this.#state !== 'closing' || frame.type !== FRAME_METHOD || frame.end - frame.start < 4) return;
    const id = readU32(frame.bytes, frame.start);
    if (id === CHANNEL_CLOSE) this.writer.method(this.number, { name: 'channel.close-ok' });
    else if (id === CHANNEL_CLOSE_OK) this.#ended();
  }

  #ended(): void {
    this.#publisher.end();
    this.#state = 'ended';
    this.#owner.channelEnded(this);
  }
}
