import type { Publish, PublishResult } from '../../broker/broker.ts';
import type { FieldTable } from '../../broker/field-table.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import type { ChannelContext } from './channel-context.ts';
import { ConfirmLedger } from './confirm-ledger.ts';
import { ContentAssembler } from './content-assembler.ts';
import { toAmqpError } from './error-text.ts';
import type { Frame } from './frame-parser.ts';
import { checkPublished, decodeHeaders } from './properties.ts';
import { REPLIES } from './spec.ts';
import { decodeText } from './text.ts';

const NOTHING: Uint8Array = new Uint8Array(0);
/** Class, method and the reserved short in front of the exchange. */
const TARGET_OFFSET = 6;
const MANDATORY = 1;
const IMMEDIATE = 2;

/** The object handed to the broker: one per channel, filled anew for each message. */
class PublishView implements Publish {
  exchange = '';
  routingKey = '';
  properties = NOTHING;
  readonly body: Uint8Array[];
  bodyBytes = 0;
  sequence = 0;
  readonly headers = (): FieldTable | undefined => decodeHeaders(this.properties);

  constructor(body: Uint8Array[]) {
    this.body = body;
  }
}

/** The publishing side of a channel: basic.publish with its content, basic.return, publisher confirms. */
export class ChannelPublisher {
  readonly #context: ChannelContext;
  readonly #assembler: ContentAssembler;
  readonly #publish: PublishView;
  #confirms: ConfirmLedger | undefined;
  /** Exchange and routing key as they came last, and what they decode to: most publishers repeat them. */
  #target = NOTHING;
  #exchange = '';
  #routingKey = '';
  #isMandatory = false;

  constructor(context: ChannelContext) {
    this.#context = context;
    this.#assembler = new ContentAssembler(context.limits.messageBytesMax);
    this.#publish = new PublishView(this.#assembler.parts);
  }

  /** Why a method other than basic.publish must not come now. */
  refuseMethod(): AmqpError | undefined {
    return this.#assembler.refuseMethod();
  }

  /** From now on publishes are numbered and confirmed. */
  selectConfirms(): void {
    this.#confirms ??= new ConfirmLedger();
  }

  confirmed(first: number, last: number): void {
    this.#confirms?.confirm(first, last);
    this.#context.confirmsPending();
  }

  rejected(first: number, last: number): void {
    this.#confirms?.reject(first, last);
    this.#context.confirmsPending();
  }

  writeConfirms(): void {
    this.#confirms?.flush(this.#context.number, this.#context.writer);
  }

  /** Copies what must outlive the chunk. */
  detach(): void {
    this.#assembler.detach();
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
    const wrong = checkPublished(properties, 0, properties.length, this.#context.user);
    if (wrong !== undefined) return wrong;
    const publish = this.#publish;
    publish.exchange = this.#exchange;
    publish.routingKey = this.#routingKey;
    publish.properties = properties;
    publish.bodyBytes = this.#assembler.bodyBytes;
    publish.sequence = this.#confirms === undefined ? 0 : this.#confirms.take();
    const result = this.#context.session.publish(publish);
    const error = result === 'routed' ? undefined : this.#notRouted(result);
    publish.properties = NOTHING;
    return error;
  }

  #notRouted(result: Exclude<PublishResult, 'routed'>): AmqpError | undefined {
    const { sequence } = this.#publish;
    if (result === 'unroutable') {
      if (this.#isMandatory) this.#writeReturn();
      if (sequence > 0) this.confirmed(sequence, sequence);
      return undefined;
    }
    if (result.code !== 'unavailable' || sequence === 0) return toAmqpError(result);
    this.rejected(sequence, sequence);
    return undefined;
  }

  /** basic.return comes before the confirm of the same message. */
  #writeReturn(): void {
    const { exchange, routingKey, properties, body, bodyBytes } = this.#publish;
    const replyCode = REPLIES['no-route'].code;
    const method = { name: 'basic.return', replyCode, replyText: 'NO_ROUTE', exchange, routingKey } as const;
    this.#context.writer.content(this.#context.number, method, properties, body, bodyBytes);
  }
}
