import type { ConsumerReceiver, HomeStream, OnOutcome, PublishOrigin } from '../broker/gateway.ts';
import type { ByteWriter } from '../lib/bytes.ts';
import type { ConsumerId, QueueId } from '../lib/ids.ts';
import {
  type Credit,
  type QueueConfig,
  type Settlement,
  writeCancel,
  writeConsume,
  writeCredit,
  writeRelease,
  writeSettle,
} from '../queue/commands.ts';
import type { BatchRefusal } from '../queue/effects.ts';
import type { MessageFields } from '../queue/message-block.ts';
import type { Outcome } from '../queue/outcomes.ts';
import type { ShardLeaderPort, ShardLink } from './shard-link.ts';
import { ShardOutbox, type ShardOutboxOptions } from './shard-outbox.ts';

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
}

export interface ShardClientDependencies {
  readonly topologyIndex: () => number;
  /** The shard's leader as far as this node knows, ready to be talked to; undefined while there is none. */
  readonly leader: () => ShardLeaderPort | undefined;
  readonly wake: () => void;
  readonly monotonicMs: () => number;
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
  #attachSentMs = 0;

  constructor(options: ShardClientOptions, deps: ShardClientDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.outbox = new ShardOutbox(options, { topologyIndex: deps.topologyIndex, wake: deps.wake });
  }

  get isAttached(): boolean {
    return this.#state === 'attached';
  }

  get isFull(): boolean {
    return this.outbox.isFull;
  }

  get hasRoom(): boolean {
    return this.outbox.hasRoom;
  }

  publish(queues: readonly QueueId[], message: MessageFields, origin: PublishOrigin | undefined, number: number): void {
    this.outbox.publish(queues, message, origin, number);
  }

  introduce(queue: QueueId, config: QueueConfig): void {
    this.outbox.introduce(queue, config);
  }

  /** The queue is gone from the topology; its id will not come again. */
  forget(queue: QueueId): void {
    this.outbox.forget(queue);
  }

  request(write: (out: ByteWriter) => void, onOutcome: OnOutcome | undefined): void {
    this.outbox.request(write, onOutcome);
  }

  consume(
    consumer: ConsumerId,
    command: { readonly queue: QueueId; readonly tag: string; readonly exclusive: boolean } & Credit,
    receiver: ConsumerReceiver,
    onOutcome: OnOutcome,
  ): void {
    const entry: Consumer = { receiver, last: 0, isKnown: false };
    this.#consumers.set(consumer, entry);
    this.outbox.request(
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
    this.outbox.request(out => writeCredit(out, { consumer, ...credit }), undefined, 32);
  }

  settle(consumer: ConsumerId, how: Settlement, ranges: readonly number[]): void {
    this.outbox.request(out => writeSettle(out, how, consumer, ranges), undefined, 16 + ranges.length * 6);
  }

  cancel(consumer: ConsumerId, onOutcome: OnOutcome): void {
    this.outbox.request(out => writeCancel(out, consumer), onOutcome);
  }

  /** Deliveries that still arrive are dropped; the shard returns everything unsettled. */
  release(consumer: ConsumerId, onOutcome?: OnOutcome): void {
    if (this.#consumers.delete(consumer)) this.outbox.request(out => writeRelease(out, consumer), onOutcome);
    else onOutcome?.(undefined);
  }

  /** One turn: follow the leader, send what is new. */
  process(): void {
    const leader = this.#deps.leader();
    if (leader !== this.#leader) {
      this.#leader = leader;
      this.#state = 'detached';
    }
    if (leader === undefined || (this.outbox.isIdle && this.#consumers.size === 0)) return;
    const waitedMs = this.#deps.monotonicMs() - this.#attachSentMs;
    if (this.#state === 'detached' || (this.#state === 'attaching' && waitedMs > this.#options.attachTimeoutMs)) {
      this.#sendAttach(leader);
    }
    if (this.#state === 'attached') this.outbox.flush(batch => leader.batch(batch));
  }

  /** The stream to the leader broke, or something did not fit: begin again. */
  detach(): void {
    this.#state = 'detached';
    this.#deps.wake();
  }

  /**
   * There will be no answers any more: `no-such-queue` if the home ended with its node and its queues with it,
   * `abandoned` if this node's incarnation ended. All consumers are cancelled.
   */
  abandon(reason: 'no-such-queue' | 'abandoned'): void {
    this.outbox.abandon({ kind: reason });
    const consumers = [...this.#consumers.values()];
    this.#consumers.clear();
    for (const { receiver } of consumers) receiver.cancelled();
  }

  #sendAttach(leader: ShardLeaderPort): void {
    this.#state = 'attaching';
    this.#attach++;
    this.#attachSentMs = this.#deps.monotonicMs();
    leader.attach({
      node: this.#options.node,
      incarnation: this.#options.incarnation,
      attach: this.#attach,
      answeredThrough: this.outbox.firstUnanswered - 1,
      consumers: [...this.#consumers].map(([consumer, { last }]) => ({ consumer, last })),
    });
  }

  attached(attach: number, lastSequence: number, unknown: readonly ConsumerId[]): void {
    if (attach !== this.#attach || this.#state !== 'attaching') return;
    this.#state = 'attached';
    this.outbox.resendAfter(lastSequence);
    for (const consumer of unknown) {
      // One that was never confirmed is on its way there; one that was is gone with its queue.
      if (this.#consumers.get(consumer)?.isKnown) this.consumerCancelled(consumer);
    }
  }

  answered(
    throughSequence: number,
    outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[],
  ): void {
    this.outbox.answered(throughSequence, outcomes);
  }

  deliver(
    consumer: ConsumerId,
    number: number,
    deliveryCount: number,
    mayLeap: boolean,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    const known = this.#consumers.get(consumer);
    if (known === undefined || number <= known.last) return;
    if (number !== known.last + 1 && !mayLeap) {
      this.detach();
      return;
    }
    known.last = number;
    known.receiver.deliver(number, deliveryCount, content, more);
  }

  consumerCancelled(consumer: ConsumerId): void {
    const known = this.#consumers.get(consumer);
    if (known === undefined) return;
    this.release(consumer);
    known.receiver.cancelled();
  }

  refused(refusal: BatchRefusal): void {
    if (refusal.reason === 'fenced') this.#deps.fenced();
    else if (this.#state === 'attached') this.detach();
  }
}
