import type { AheadBudget } from './ahead-budget.ts';
import type { ConsumeRequest, ConsumerHandle, Delivery, Result, SessionListener, SettleHow } from './broker.ts';
import { type BrokerError, failed } from './broker-error.ts';
import type { ChannelRow } from './client-listing.ts';
import { Consumer, type ConsumerListener } from './consumer.ts';
import type { ClusterGateway } from './gateway.ts';
import { checkNameLength } from './names.ts';
import { checkConsumerArguments, consumerPriority, isQuorumQueue } from './queue-arguments.ts';
import { SessionPrefetch } from './session-prefetch.ts';
import type { SessionQueues } from './session-queues.ts';
import { streamOffset } from './stream-arguments.ts';
import { checkNotStream, checkReader, tooManyReaders } from './stream-requests.ts';
import type { QueueRecord } from './topology-records.ts';
import { untilKnown } from './until-known.ts';

export interface SessionConsumersDependencies {
  readonly queues: SessionQueues;
  readonly gateway: Pick<ClusterGateway, 'nextConsumerId'>;
  readonly ahead: AheadBudget;
  readonly listener: SessionListener;
  /** A delivery was handed over: the connection counts it for its marks. */
  readonly delivered: (consumer: Consumer) => void;
}

/** The consumers of a session: what they are given, by their own prefetch and that of all, and what becomes of it. */
export class SessionConsumers implements ConsumerListener {
  readonly #deps: SessionConsumersDependencies;
  readonly #queues: SessionQueues;
  readonly #prefetch = new SessionPrefetch((consumer, delivery) => this.#handOver(consumer, delivery));
  readonly #consumers = new Map<ConsumerHandle, Consumer>();
  /** Cancelled by their clients, with deliveries still to be settled. */
  readonly #lingering = new Map<ConsumerHandle, Consumer>();
  #prefetchOfConsumers = 0;
  /** Replies wait for nothing: whoever asks may do so because of a message that it has not settled. */
  replyConsumer: ConsumerHandle | undefined;
  #isClosed = false;

  constructor(deps: SessionConsumersDependencies) {
    this.#deps = deps;
    this.#queues = deps.queues;
  }

  /** Those that their clients have not cancelled. */
  all(): Iterable<Consumer> {
    return this.#consumers.values();
  }

  row(): Pick<ChannelRow, 'consumers' | 'unacked' | 'prefetch' | 'globalPrefetch'> {
    let unacked = 0;
    for (const consumer of [...this.#consumers.values(), ...this.#lingering.values()]) unacked += consumer.unacked;
    return {
      consumers: this.#consumers.size,
      unacked,
      prefetch: this.#prefetchOfConsumers,
      globalPrefetch: this.#prefetch.limit,
    };
  }

  async consume(request: ConsumeRequest): Promise<Result<void>> {
    const tooLong = checkNameLength('consumer tag', request.tag);
    if (tooLong) return failed(tooLong);
    const found = this.#queues.find(request.queue);
    if (!found.ok) return found;
    const { vhost, name } = found.value;
    const limits = {
      prefetch: this.#prefetchOf(request),
      sharedPrefetch: this.#prefetch.limit,
      autoAck: request.autoAck,
    };
    const wrong =
      checkConsumerArguments({ kind: 'queue', vhost, name }, request.arguments, found.value.arguments) ??
      checkReader(found.value, limits);
    return wrong ? failed(wrong) : this.consumeFrom(found.value, request);
  }

  async consumeFrom(queue: QueueRecord, request: ConsumeRequest): Promise<Result<void>> {
    const stream = this.#queues.stream(queue);
    if (stream === undefined) return this.#queues.gone(queue);
    this.#queues.homes.add(stream);
    // Its first credit is a share already, and the others give theirs up before.
    const share = this.#sharePrefetch(request.autoAck ? 0 : 1);
    const consumer = new Consumer(
      {
        queue,
        request,
        id: this.#deps.gateway.nextConsumerId(),
        isOfQuorumQueue: isQuorumQueue(queue.arguments),
        prefetch: this.#prefetchOf(request),
        share,
        ahead: this.#deps.ahead.open(),
      },
      stream,
      this,
    );
    // Known before the answer: the first deliveries may come with it.
    this.#consumers.set(request.consumer, consumer);
    const { tag, exclusive } = request;
    const priority = consumerPriority(request.arguments);
    const offset = streamOffset(request.arguments);
    const outcome = await untilKnown(
      () =>
        new Promise(resolve => {
          if (this.#queues.stream(queue) === undefined) return resolve({ kind: 'no-such-queue' });
          const command = { queue: queue.id, tag, exclusive, priority, offset, ...consumer.credit };
          stream.consume(consumer.id, command, consumer, resolve);
        }),
    );
    if (outcome !== undefined) {
      this.#consumers.delete(request.consumer);
      consumer.refused();
      this.#sharePrefetch();
      const { vhost, name } = queue;
      if (outcome.kind === 'exclusive-refused') return failed({ code: 'exclusive-consumer', vhost, name });
      return outcome.kind === 'too-many-readers' ? failed(tooManyReaders(queue)) : this.#queues.gone(queue, outcome);
    }
    consumer.accepted();
    if (this.#isClosed) await consumer.release();
    return { ok: true, value: undefined };
  }

  async cancel(handle: ConsumerHandle): Promise<void> {
    const consumer = this.#consumers.get(handle);
    if (consumer === undefined) return;
    await consumer.cancel();
    if (!this.#consumers.delete(handle)) return;
    for (const number of this.#prefetch.takeParked(consumer)) consumer.settle(number, number, 'return');
    this.#sharePrefetch();
    if (consumer.isFinished) await consumer.release();
    else this.#lingering.set(handle, consumer);
  }

  setPrefetch(scope: 'consumer' | 'session', count: number): void {
    if (scope === 'consumer') {
      this.#prefetchOfConsumers = count;
      return;
    }
    this.#prefetch.setLimit(count);
    this.#sharePrefetch();
  }

  setWindow(handle: ConsumerHandle, messages: number): BrokerError | undefined {
    const consumer = this.#consumers.get(handle);
    if (consumer === undefined) return undefined;
    const limits = { prefetch: messages, sharedPrefetch: 0, autoAck: consumer.autoAck };
    const refusal = checkReader(consumer.queue, limits);
    if (refusal === undefined) consumer.setPrefetch(messages);
    return refusal;
  }

  /** `joining`: so many that are not among the session's consumers yet. Those that acknowledge automatically do not count. */
  #sharePrefetch(joining = 0): number {
    let sharing = joining;
    for (const { autoAck } of this.#consumers.values()) if (!autoAck) sharing++;
    const share = this.#prefetch.share(sharing);
    for (const consumer of this.#consumers.values()) consumer.setShare(share);
    return share;
  }

  checkReturn(handle: ConsumerHandle, what: string): BrokerError | undefined {
    const consumer = this.#consumers.get(handle) ?? this.#lingering.get(handle);
    return consumer && checkNotStream(consumer.queue, what);
  }

  /** False: there is no such consumer. */
  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): boolean {
    const consumer = this.#consumers.get(handle) ?? this.#lingering.get(handle);
    if (consumer === undefined) return false;
    consumer.settle(first, last, how);
    if (!consumer.autoAck) this.#prefetch.settled(last - first + 1);
    return true;
  }

  deliver(
    consumer: Consumer,
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    if (this.#isClosed) return;
    const redelivered = deliveryCount > 0;
    const { handle, isOfQuorumQueue } = consumer;
    const delivery = { consumer: handle, number, redelivered, deliveryCount, offset, isOfQuorumQueue, content, more };
    if (handle === this.replyConsumer) this.#handOver(consumer, delivery);
    else this.#prefetch.delivered(consumer, delivery);
  }

  #handOver(consumer: Consumer, delivery: Delivery): void {
    consumer.handedOver(delivery);
    this.#deps.delivered(consumer);
    this.#deps.listener.deliver(delivery);
  }

  cancelled(consumer: Consumer, unsettled: number): void {
    this.#prefetch.forget(consumer, unsettled);
    this.#lingering.delete(consumer.handle);
    if (this.#consumers.get(consumer.handle) !== consumer) return;
    this.#consumers.delete(consumer.handle);
    if (!this.#isClosed) this.#deps.listener.consumerCancelled(consumer.handle);
  }

  finished(consumer: Consumer): void {
    if (this.#lingering.delete(consumer.handle)) void consumer.release();
  }

  /** Nothing more is handed over. Resolves when everything unsettled is back in its queue. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const releases = [...this.#consumers.values(), ...this.#lingering.values()].map(consumer => consumer.release());
    this.#prefetch.clear();
    this.#consumers.clear();
    this.#lingering.clear();
    await Promise.all(releases);
  }

  #prefetchOf(request: ConsumeRequest): number {
    return request.window ?? this.#prefetchOfConsumers;
  }
}
