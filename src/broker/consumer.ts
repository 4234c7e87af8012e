import type { ConsumerId } from '../lib/ids.ts';
import { Settlement } from '../queue/commands.ts';
import type { AheadWindow } from './ahead-budget.ts';
import type { ConsumeRequest, ConsumerHandle, Delivery, SettleHow } from './broker.ts';
import type { ConsumerRow, ListedConsumer } from './client-listing.ts';
import { encodedTable } from './field-table-codec.ts';
import type { ConsumerReceiver, HomeStream } from './gateway.ts';
import { isSingleActive } from './queue-arguments.ts';
import type { QueueRecord } from './topology-records.ts';

export interface ConsumerOptions {
  readonly queue: QueueRecord;
  readonly request: ConsumeRequest;
  readonly id: ConsumerId;
  readonly isOfQuorumQueue: boolean;
  /** Unsettled messages at most; 0 is unlimited. */
  readonly prefetch: number;
  /** Of the session's prefetch; 0 is unlimited. */
  readonly share: number;
  readonly ahead: AheadWindow;
}

/** What a consumer tells its session. */
export interface ConsumerListener {
  deliver(
    consumer: Consumer,
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void;
  /** By the shard: the `unsettled` messages that it had are no longer its own. */
  cancelled(consumer: Consumer, unsettled: number): void;
  /** Nothing is left to settle of a consumer that its client has cancelled. */
  finished(consumer: Consumer): void;
}

/** What a client's word means to the shard. */
export const SETTLEMENTS = {
  settle: Settlement.settle,
  return: Settlement.return,
  discard: Settlement.discard,
} as const;

/**
 * One consumer of one session. Grants the shard credit in messages and bytes out of what has left for the socket, so that
 * a client that does not read costs a bounded buffer and nobody else anything (R26).
 */
export class Consumer implements ConsumerReceiver, ListedConsumer {
  readonly #options: ConsumerOptions;
  readonly #stream: HomeStream;
  readonly #listener: ConsumerListener;
  #share: number;
  #prefetch: number;
  #delivered = 0;
  #deliveredBytes = 0;
  #flushed = 0;
  #deliverThrough: number;
  #bytesThrough: number;
  /** Delivered and not settled. */
  #outstanding = 0;
  #isAccepted = false;
  #cancelled = false;

  constructor(options: ConsumerOptions, stream: HomeStream, listener: ConsumerListener) {
    this.#options = options;
    this.#stream = stream;
    this.#listener = listener;
    this.#prefetch = options.prefetch;
    this.#share = options.share;
    this.#deliverThrough = options.ahead.messages;
    this.#bytesThrough = options.ahead.bytes;
  }

  get handle(): ConsumerHandle {
    return this.#options.request.consumer;
  }
  get id(): ConsumerId {
    return this.#options.id;
  }
  get queue(): QueueRecord {
    return this.#options.queue;
  }
  get autoAck(): boolean {
    return this.#options.request.autoAck;
  }
  get isOfQuorumQueue(): boolean {
    return this.#options.isOfQuorumQueue;
  }
  get stream(): HomeStream {
    return this.#stream;
  }
  /** The last one that went to the client. */
  get delivered(): number {
    return this.#delivered;
  }
  get deliveredBytes(): number {
    return this.#deliveredBytes;
  }
  get credit(): { readonly prefetch: number; readonly deliverThrough: number; readonly bytesThrough: number } {
    return { prefetch: this.#limit, deliverThrough: this.#deliverThrough, bytesThrough: this.#bytesThrough };
  }
  /** Cancelled by its client, and nothing is left to settle: the shard may forget it. */
  get isFinished(): boolean {
    return this.#cancelled && this.#outstanding === 0;
  }

  deliver(
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    if (this.#cancelled) {
      // The answer to its cancellation overtook the delivery: the client is to see nothing more.
      this.#stream.settle(this.id, Settlement.return, [number, number]);
      return;
    }
    this.#outstanding++;
    this.#listener.deliver(this, number, deliveryCount, offset, content, more);
  }

  /** It goes to the client now: what waits for the session's prefetch must not pass for flushed. */
  handedOver({ number, content, more }: Delivery): void {
    this.#delivered = number;
    this.#deliveredBytes += content.length;
    for (const part of more) this.#deliveredBytes += part.length;
  }

  /** Delivered and to be acknowledged by the client. */
  get unacked(): number {
    return this.autoAck ? 0 : this.#outstanding;
  }

  row(): Omit<ConsumerRow, 'owner' | 'channel' | 'vhost'> {
    const { queue, request, id } = this.#options;
    const { tag, autoAck, exclusive } = request;
    return {
      queue: queue.name,
      consumer: id,
      singleActiveOf: isSingleActive(queue.arguments) ? queue.id : undefined,
      tag,
      autoAck,
      exclusive,
      prefetch: this.#limit,
      unacked: this.unacked,
      active: this.#isAccepted && !this.#cancelled,
      arguments: encodedTable(request.arguments),
    };
  }

  /** The shard has taken it. */
  accepted(): void {
    this.#isAccepted = true;
  }

  /** The shard does not want it. */
  refused(): void {
    this.#options.ahead.close();
  }

  cancelled(): void {
    this.#cancelled = true;
    this.#options.ahead.close();
    const unsettled = this.#outstanding;
    this.#outstanding = 0;
    this.#listener.cancelled(this, unsettled);
  }

  /** Deliveries up to `number`, `bytes` in all, are in the socket's buffer: settle automatic ones, renew the credit. */
  flushedThrough(number: number, bytes: number): void {
    if (number <= this.#flushed) return;
    if (this.autoAck) this.settle(this.#flushed + 1, number, 'settle');
    this.#flushed = number;
    const { ahead } = this.#options;
    const messagesLeft = this.#deliverThrough - number;
    const bytesLeft = this.#bytesThrough - bytes;
    if (this.#cancelled || (messagesLeft * 2 > ahead.messages && bytesLeft * 2 > ahead.bytes)) return;
    ahead.grow();
    this.#deliverThrough = number + ahead.messages;
    this.#bytesThrough = bytes + ahead.bytes;
    this.#stream.credit(this.id, this.credit);
  }

  setPrefetch(prefetch: number): void {
    const before = this.#limit;
    this.#prefetch = prefetch;
    this.#limitChanged(before);
  }

  /** What the consumer gets of the session's prefetch; its own one goes on to hold beside it. */
  setShare(share: number): void {
    const before = this.#limit;
    this.#share = share;
    this.#limitChanged(before);
  }

  /** Unsettled messages at most, by both limits; 0 is unlimited. Automatic acknowledgement leaves nothing unsettled. */
  get #limit(): number {
    if (this.autoAck) return 0;
    if (this.#share === 0 || this.#prefetch === 0) return this.#share + this.#prefetch;
    return Math.min(this.#share, this.#prefetch);
  }

  #limitChanged(before: number): void {
    if (this.#limit !== before) this.#stream.credit(this.id, this.credit);
  }

  settle(first: number, last: number, how: SettleHow): void {
    this.#outstanding -= last - first + 1;
    this.#stream.settle(this.id, SETTLEMENTS[how], [first, last]);
    if (this.isFinished) this.#listener.finished(this);
  }

  /** Resolves when the shard hands out nothing more to this consumer. */
  cancel(): Promise<void> {
    return new Promise(resolve => {
      this.#stream.cancel(this.id, () => {
        this.#cancelled = true;
        this.#options.ahead.close();
        resolve();
      });
    });
  }

  /** Everything unsettled goes back to the queue. Resolves when it has. */
  release(): Promise<void> {
    this.#options.ahead.close();
    return new Promise(resolve => this.#stream.release(this.id, () => resolve()));
  }
}
