import type { ConsumerReceiver, Decision, HomeStream, OnOutcome, PublishOrigin } from '../../broker/gateway.ts';
import type { ByteWriter } from '../../lib/bytes.ts';
import type { ConsumerId, Incarnation, QueueId } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import {
  type Consume,
  type Credit,
  type QueueConfig,
  type Settlement,
  writeCancel,
  writeConsume,
  writeCredit,
  writeRelease,
  writeSettle,
} from '../../queue/commands.ts';
import type { BatchRefusal } from '../../queue/effects.ts';
import type { MessageFields } from '../../queue/message-block.ts';
import type { Outcome } from '../../queue/outcomes.ts';
import type { ShardLeaderPort, ShardLink } from './shard-link.ts';
import { ShardOutbox, type ShardOutboxOptions } from './shard-outbox.ts';

/** How many times longer than at first an answer to an attach is waited for in the end. */
const ATTACH_BACKOFF_MAX = 16;

interface Consumer {
  readonly receiver: ConsumerReceiver;
  /** Last delivery that arrived; the next one taken is one more (R25). */
  last: number;
  /** The shard has said that it has this consumer. */
  isKnown: boolean;
}

export interface ShardClientOptions extends ShardOutboxOptions {
  /** An attach that is not answered is repeated after this. */
  readonly attachTimeoutMs: number;
  /** A stream that falls silent tells the shard after this what it has seen. */
  readonly reportAfterMs: number;
}

export interface ShardClientDependencies {
  readonly topologyIndex: () => number;
  /** The shard's leader as far as this node knows, ready to be talked to; undefined while there is none. */
  readonly leader: () => ShardLeaderPort | undefined;
  readonly isShortOfMemory: () => boolean;
  readonly wake: () => void;
  readonly monotonicMs: () => number;
  /** Whether this node's lease holds at this very moment: what it delivers later may be somebody else's by then (R24). */
  readonly mayServe: () => boolean;
  /** The shard refuses this node's incarnation: the node must not go on serving clients (R24). */
  readonly fenced: () => void;
}

/**
 * One shard as this node sees it: an ordered stream of commands to whoever leads it (R1), and its consumers here. It
 * attaches to each new leader, tells it what arrived, and repeats what was not answered.
 */
export class ShardClient implements ShardLink, HomeStream {
  readonly #options: ShardClientOptions;
  readonly #deps: ShardClientDependencies;
  readonly outbox: ShardOutbox;
  readonly #consumers = new Map<ConsumerId, Consumer>();
  /** The leader that this client is attached to, or attaching to. */
  #leader: ShardLeaderPort | undefined;
  #state: 'detached' | 'attaching' | 'attached' = 'detached';
  #attach = 0;
  /** Not before this time. */
  #nextAttachMs = Number.NEGATIVE_INFINITY;
  #attachTimeoutMs: number;
  /** When the news are due of a stream that has nothing else to say. */
  #reportMs: number | undefined;
  /** Nobody will answer any more: what is asked from now on has this outcome. */
  #ended: Decision | undefined;

  constructor(options: ShardClientOptions, deps: ShardClientDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#attachTimeoutMs = options.attachTimeoutMs;
    this.outbox = new ShardOutbox(options, { topologyIndex: deps.topologyIndex, wake: deps.wake });
  }

  /** What a consumer here may be given is bounded by its credit. */
  readonly isCongested = false;

  /** The leader whose words count at the moment. */
  get leader(): ShardLeaderPort | undefined {
    return this.#leader;
  }

  get isAttached(): boolean {
    return this.#state === 'attached';
  }

  /** Waits for something that may come about without anybody telling: look again with the next tick. */
  get isWaiting(): boolean {
    return this.#state !== 'attached' || this.outbox.hasUnsent || this.outbox.hasNews;
  }

  get isFull(): boolean {
    return this.outbox.isFull || this.isShortOfMemory;
  }

  get hasRoom(): boolean {
    return this.outbox.hasRoom && !this.isShortOfMemory;
  }

  get isShortOfMemory(): boolean {
    return this.#deps.isShortOfMemory();
  }

  publish(queues: readonly QueueId[], message: MessageFields, origin: PublishOrigin | undefined, number: number): void {
    if (this.#ended === undefined) this.outbox.publish(queues, message, origin, number);
    else origin?.published(number, number, this.#ended);
  }

  introduce(queue: QueueId, config: QueueConfig): void {
    if (this.#ended === undefined) this.outbox.introduce(queue, config);
  }

  /** The queue is gone from the topology; its id will not come again. */
  forget(queue: QueueId): void {
    this.outbox.forget(queue);
  }

  request(write: (out: ByteWriter) => void, onOutcome: OnOutcome | undefined): void {
    this.#request(write, onOutcome);
  }

  consume(
    consumer: ConsumerId,
    command: Omit<Consume, 'kind' | 'consumer'>,
    receiver: ConsumerReceiver,
    onOutcome: OnOutcome,
  ): void {
    const entry: Consumer = { receiver, last: 0, isKnown: false };
    this.#consumers.set(consumer, entry);
    this.#request(
      out => writeConsume(out, { consumer, ...command }),
      outcome => {
        if (outcome === undefined) entry.isKnown = true;
        else this.#consumers.delete(consumer);
        onOutcome(outcome);
      },
    );
  }

  /** A pseudo consumer for `get`: it exists in the shard with its first message. */
  register(consumer: ConsumerId, receiver: ConsumerReceiver): void {
    const known = this.#consumers.get(consumer);
    this.#consumers.set(consumer, { receiver, last: known?.last ?? 0, isKnown: false });
  }

  credit(consumer: ConsumerId, credit: Credit): void {
    this.#request(out => writeCredit(out, { consumer, ...credit }), undefined, 32);
  }

  settle(consumer: ConsumerId, how: Settlement, ranges: readonly number[]): void {
    this.#request(out => writeSettle(out, how, consumer, ranges), undefined, 16 + ranges.length * 6);
  }

  cancel(consumer: ConsumerId, onOutcome: OnOutcome): void {
    this.#request(out => writeCancel(out, consumer), onOutcome);
  }

  /** Deliveries that still arrive are dropped; the shard returns everything unsettled. */
  release(consumer: ConsumerId, onOutcome?: OnOutcome): void {
    if (this.#consumers.delete(consumer)) this.#request(out => writeRelease(out, consumer), onOutcome);
    else onOutcome?.(undefined);
  }

  /** One turn: follow the leader, send what is new. */
  process(): void {
    const leader = this.#deps.leader();
    if (leader !== this.#leader) {
      this.#leader = leader;
      this.#loseAttachment();
      this.#nextAttachMs = Number.NEGATIVE_INFINITY;
      this.#attachTimeoutMs = this.#options.attachTimeoutMs;
    }
    if (leader === undefined || !this.#hasBusiness) return;
    if (this.#state !== 'attached' && this.#deps.monotonicMs() >= this.#nextAttachMs) this.#sendAttach(leader);
    if (this.#state !== 'attached') return;
    this.outbox.flush(batch => leader.batch(batch));
    this.#report(leader);
  }

  get #hasBusiness(): boolean {
    return !this.outbox.isIdle || this.#consumers.size > 0 || this.outbox.hasNews;
  }

  /** At most once per `reportAfterMs`, and only after something happened. */
  #report(leader: ShardLeaderPort): void {
    if (!this.outbox.hasNews) {
      this.#reportMs = undefined;
      return;
    }
    const nowMs = this.#deps.monotonicMs();
    this.#reportMs ??= nowMs + this.#options.reportAfterMs;
    if (nowMs < this.#reportMs) return;
    this.#reportMs = undefined;
    if (!leader.batch(this.outbox.report())) this.outbox.forgetReports();
  }

  /** The stream to the leader broke, or something did not fit: begin again. */
  detach(): void {
    this.#loseAttachment();
    this.#nextAttachMs = Number.NEGATIVE_INFINITY;
    this.#deps.wake();
  }

  /** Whom this client takes for the leader is not, or cannot take batches now: it is asked again a little later. */
  turnedAway(): void {
    reached('client.turned-away');
    if (this.#state === 'attached') this.#nextAttachMs = this.#deps.monotonicMs() + this.#options.attachTimeoutMs;
    this.#loseAttachment();
  }

  /** The leader, on this node, has let go of this client. */
  detached(): void {
    if (this.#state === 'attached') this.detach();
  }

  /**
   * There will be no answers any more: `home-gone` if the home ended with its node and its queues with it, `abandoned` if
   * this node's incarnation ended. All consumers are cancelled.
   */
  abandon(reason: 'home-gone' | 'abandoned'): void {
    reached('client.abandoned');
    const ended = { kind: reason };
    this.#ended = ended;
    this.outbox.abandon(ended);
    const consumers = [...this.#consumers.values()];
    this.#consumers.clear();
    for (const { receiver } of consumers) receiver.cancelled();
  }

  /** What was said last may be lost: commands are repeated by themselves, a report has to be made again. */
  #loseAttachment(): void {
    this.#state = 'detached';
    this.outbox.forgetReports();
  }

  #sendAttach(leader: ShardLeaderPort): void {
    this.#state = 'attaching';
    this.#attach++;
    this.#nextAttachMs = this.#deps.monotonicMs() + this.#attachTimeoutMs;
    // An answer counts for the latest attach only: a leader that takes long must not be asked faster than it answers.
    this.#attachTimeoutMs = Math.min(this.#attachTimeoutMs * 2, this.#options.attachTimeoutMs * ATTACH_BACKOFF_MAX);
    leader.attach({
      node: this.#options.node,
      incarnation: this.#options.incarnation,
      attach: this.#attach,
      answeredThrough: this.outbox.firstUnanswered - 1,
      consumers: [...this.#consumers].map(([consumer, { last }]) => ({ consumer, last })),
    });
  }

  // What a leader says counts only between the answer to the latest attach and the next detach: words to an earlier
  // attach, or to an earlier incarnation of this node, may still be on their way, and the attach has all of it repeated.

  attached(started: Incarnation, attach: number, lastSequence: number, unknown: readonly ConsumerId[]): void {
    if (started !== this.#options.incarnation || attach !== this.#attach || this.#state !== 'attaching') return;
    this.#state = 'attached';
    this.#attachTimeoutMs = this.#options.attachTimeoutMs;
    this.outbox.resendAfter(lastSequence);
    for (const consumer of unknown) {
      // One that was never confirmed is on its way there; one that was is gone with its queue.
      if (this.#consumers.get(consumer)?.isKnown) {
        reached('client.unknown-consumer-cancelled');
        this.consumerCancelled(consumer);
      }
    }
  }

  answered(
    throughSequence: number,
    outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[],
  ): void {
    if (this.#state === 'attached') this.outbox.answered(throughSequence, outcomes);
  }

  deliver(
    consumer: ConsumerId,
    number: number,
    deliveryCount: number,
    offset: number,
    mayLeap: boolean,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    const known = this.#state === 'attached' ? this.#consumers.get(consumer) : undefined;
    if (known === undefined || number <= known.last || !this.#deps.mayServe()) return;
    if (number !== known.last + 1 && !mayLeap) {
      reached('client.delivery-missed');
      this.detach();
      return;
    }
    known.last = number;
    known.receiver.deliver(number, deliveryCount, offset, content, more);
  }

  consumerCancelled(consumer: ConsumerId): void {
    const known = this.#state === 'attached' ? this.#consumers.get(consumer) : undefined;
    if (known === undefined) return;
    this.release(consumer);
    known.receiver.cancelled();
  }

  refused(refusal: BatchRefusal): void {
    if (refusal.incarnation !== this.#options.incarnation) return;
    if (refusal.reason === 'fenced') {
      reached('client.fenced');
      this.#deps.fenced();
    } else if (this.#state === 'attached') this.detach();
  }

  #request(write: (out: ByteWriter) => void, onOutcome: OnOutcome | undefined, bytes?: number): void {
    if (this.#ended === undefined) this.outbox.request(write, onOutcome, bytes);
    else onOutcome?.(this.#ended);
  }
}
