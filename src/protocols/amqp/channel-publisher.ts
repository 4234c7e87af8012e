import type { PublishResult } from '../../broker/broker.ts';
import { type AmqpError, amqpError, isAmqpError } from './amqp-error.ts';
import type { ChannelContext } from './channel-context.ts';
import { ChannelTransaction } from './channel-transaction.ts';
import { ConfirmLedger } from './confirm-ledger.ts';
import { ContentAssembler } from './content-assembler.ts';
import { toAmqpError } from './error-text.ts';
import type { Frame } from './frame-parser.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from './properties.ts';
import { PublishView } from './publish-view.ts';
import { copyKeys, PublishedProperties, withoutBlindCopies } from './published-properties.ts';
import { REPLIES } from './spec.ts';
import { decodeText } from './text.ts';

const NOTHING: Uint8Array = new Uint8Array(0);
/** Class, method and the reserved short in front of the exchange. */
const TARGET_OFFSET = 6;
const MANDATORY = 1;
const IMMEDIATE = 2;

/** The publishing side of a channel: basic.publish with its content, basic.return, publisher confirms, transactions. */
export class ChannelPublisher {
  readonly #context: ChannelContext;
  readonly #assembler: ContentAssembler;
  readonly #publish: PublishView;
  readonly #published = new PublishedProperties();
  #confirms: ConfirmLedger | undefined;
  #transaction: ChannelTransaction | undefined;
  /** Exchange and routing key as they came last, and what they decode to: most publishers repeat them. */
  #target = NOTHING;
  #exchange = '';
  #routingKey = '';
  #isMandatory = false;

  constructor(context: ChannelContext) {
    this.#context = context;
    this.#assembler = new ContentAssembler(context.limits.messageBytesMax, context.contentMemory);
    this.#publish = new PublishView(this.#assembler.parts);
  }

  /** Undefined before tx.select. */
  get transaction(): ChannelTransaction | undefined {
    return this.#transaction;
  }

  /** Why a method other than basic.publish must not come now. */
  refuseMethod(): AmqpError | undefined {
    return this.#assembler.refuseMethod();
  }

  /** From now on publishes are numbered and confirmed. */
  selectConfirms(): AmqpError | undefined {
    if (this.#transaction) return amqpError('precondition-failed', 'cannot switch from tx to confirm mode');
    this.#confirms ??= new ConfirmLedger();
    return undefined;
  }

  /** From now on publishes and settlements wait for tx.commit. */
  selectTransactions(): AmqpError | undefined {
    if (this.#confirms) return amqpError('precondition-failed', 'cannot switch from confirm to tx mode');
    this.#transaction ??= new ChannelTransaction(this.#context, publish => this.#writeReturn(publish));
    return undefined;
  }

  confirmed(first: number, last: number): void {
    if (this.#confirms === undefined) return;
    this.#confirms.confirm(first, last);
    this.#context.confirmsPending();
  }

  rejected(first: number, last: number): void {
    this.#transaction?.rejected();
    if (this.#confirms === undefined) return;
    this.#confirms.reject(first, last);
    this.#context.confirmsPending();
  }

  writeConfirms(): void {
    this.#confirms?.flush(this.#context.number, this.#context.writer);
  }

  /** Copies what must outlive the chunk. */
  detach(): void {
    this.#assembler.detach();
  }

  /** The channel is over. */
  end(): void {
    this.#assembler.reset();
    this.#transaction?.drop();
  }

  /** basic.publish. */
  begin(frame: Frame): AmqpError | undefined {
    const { bytes, end } = frame;
    const targetAt = frame.start + TARGET_OFFSET;
    const routingKeyAt = targetAt + 1 + (bytes[targetAt] ?? 0);
    const flagsAt = routingKeyAt + 1 + (bytes[routingKeyAt] ?? 0);
    if (flagsAt !== end - 1) return amqpError('syntax-error', 'malformed fields of basic.publish');
    const error = this.#assembler.begin();
    if (error !== undefined) return error;
    const flags = bytes[flagsAt]!;
    if (flags & IMMEDIATE) return amqpError('not-implemented', 'immediate=true');
    this.#isMandatory = (flags & MANDATORY) !== 0;
    if (!this.#isSameTarget(bytes, targetAt, flagsAt)) {
      this.#target = bytes.slice(targetAt, flagsAt);
      this.#exchange = decodeText(bytes, targetAt + 1, routingKeyAt);
      this.#routingKey = decodeText(bytes, routingKeyAt + 1, flagsAt);
    }
    return undefined;
  }

  /** A content header or body frame. */
  content(frame: Frame): AmqpError | undefined {
    const assembled = this.#assembler.feed(frame);
    if (assembled === 'incomplete') return undefined;
    if (assembled !== 'complete') {
      this.#assembler.reset();
      return assembled;
    }
    const error = this.#complete();
    this.#publish.release();
    this.#assembler.reset();
    return error;
  }

  #isSameTarget(bytes: Uint8Array, start: number, end: number): boolean {
    const target = this.#target;
    if (target.length !== end - start) return false;
    for (let i = 0; i < target.length; i++) if (target[i] !== bytes[start + i]) return false;
    return true;
  }

  #complete(): AmqpError | undefined {
    const properties = this.#assembler.properties;
    const publish = this.#publish;
    publish.exchange = this.#exchange;
    publish.routingKey = this.#routingKey;
    publish.properties = properties;
    publish.bodyBytes = this.#assembler.bodyBytes;
    const wrong = this.#published.check(properties, 0, properties.length, this.#context.broker);
    if (wrong !== undefined) return this.#refusal(wrong);
    publish.expirationMs = this.#published.expirationMs;
    if (this.#published.hasCopies || this.#published.wantsReplies) {
      const refused = this.#rewrite(properties);
      if (refused !== undefined) return this.#refusal(refused);
    }
    if (this.#transaction !== undefined) return this.#hold(this.#transaction);
    publish.sequence = this.#confirms === undefined ? 0 : this.#confirms.take();
    const result = this.#context.session.publish(publish);
    return result === 'routed' ? undefined : this.#notRouted(result);
  }

  /** An exchange that is not there, or must not be published to, comes before what is wrong with the properties. */
  #refusal(wrong: AmqpError): AmqpError {
    const earlier = this.#context.session.checkPublish(this.#publish);
    return earlier ? toAmqpError(earlier) : wrong;
  }

  /** What the properties ask the broker to do with themselves. */
  #rewrite(bytes: Uint8Array): AmqpError | undefined {
    let properties: BasicProperties = decodeProperties(bytes)!;
    if (this.#published.wantsReplies) {
      const { replyTo } = this.#context;
      if (replyTo === undefined) return amqpError('precondition-failed', 'fast reply consumer does not exist');
      properties = { ...properties, replyTo };
    }
    const keys = copyKeys(properties.headers);
    if (isAmqpError(keys)) return keys;
    this.#publish.moreRoutingKeys = keys;
    this.#publish.properties = encodeProperties(withoutBlindCopies(properties));
    return undefined;
  }

  /** What can be refused is refused now, as without a transaction. */
  #hold(transaction: ChannelTransaction): AmqpError | undefined {
    const refused = this.#context.session.checkPublish(this.#publish);
    return refused ? toAmqpError(refused) : transaction.hold(this.#publish, this.#isMandatory);
  }

  #notRouted(result: Exclude<PublishResult, 'routed'>): AmqpError | undefined {
    const { sequence } = this.#publish;
    if (result === 'unroutable') {
      if (this.#isMandatory) this.#writeReturn(this.#publish);
      if (sequence > 0) this.#confirmNow(sequence);
      return undefined;
    }
    if (result.code !== 'unavailable' || sequence === 0) return toAmqpError(result);
    this.rejected(sequence, sequence);
    return undefined;
  }

  /** As RabbitMQ does for what no queue takes: clients count a confirm per message that comes back. */
  #confirmNow(sequence: number): void {
    this.#confirms!.confirm(sequence, sequence);
    this.writeConfirms();
  }

  /** basic.return comes before the confirm of the same message. */
  #writeReturn({ exchange, routingKey, properties, body, bodyBytes }: PublishView): void {
    const replyCode = REPLIES['no-route'].code;
    const method = { name: 'basic.return', replyCode, replyText: 'NO_ROUTE', exchange, routingKey } as const;
    this.#context.writer.content(this.#context.number, method, properties, body, bodyBytes);
  }
}
