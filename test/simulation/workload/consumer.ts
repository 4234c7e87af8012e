import type { ConsumerReceiver } from '../../../src/broker/gateway.ts';
import type { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import { type ConsumerId, consumerId, type QueueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import { Settlement, writeSettle } from '../../../src/queue/commands.ts';
import { deliveryKey } from '../auditor.ts';
import type { SimGateway } from '../sim-gateway.ts';
import type { SimNode } from '../sim-node.ts';
import type { Workload } from './workload.ts';

const RECONNECT_MS_MAX = 500;
const BYTES_UNLIMITED = 2 ** 40;
const CALM_ANSWER_MS_MAX = 5;

/** One subscription: it ends with the connection, and what it holds then goes back. */
interface Subscription extends ConsumerReceiver {
  readonly id: ConsumerId;
  readonly node: SimNode;
  readonly gateway: SimGateway;
  readonly client: ShardClient;
  readonly prefetch: number;
  /** Credit was granted up to this delivery. */
  granted: number;
  last: number;
  /** Deliveries that it will never answer. */
  forgotten: number;
}

/** A client that consumes one queue: it settles, returns and discards what it gets, forgets some, and goes and comes. */
export class Consumer {
  readonly queue: QueueId;
  readonly #workload: Workload;
  readonly #random: Random;
  #subscription: Subscription | undefined;
  #isCalm = false;

  constructor(workload: Workload, index: number, queue: QueueId) {
    this.#workload = workload;
    this.queue = queue;
    this.#random = workload.cluster.world.random(`consumer:${index}`);
    this.#reconnectLater();
  }

  /** From now on everything is settled at once. */
  calmDown(): void {
    this.#isCalm = true;
    if ((this.#subscription?.forgotten ?? 0) > 0) this.disconnect();
  }

  /** The client's connection breaks: its node gives everything back for it. */
  disconnect(): void {
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    this.#subscription = undefined;
    subscription.node.enter(() => subscription.client.release(subscription.id));
    this.#reconnectLater();
  }

  nodeLost(node: SimNode): void {
    if (this.#subscription?.node !== node) return;
    this.#subscription = undefined;
    this.#reconnectLater();
  }

  /** Tries until it has a subscription: a node that takes the request may be gone before it looks at it. */
  #reconnectLater(): void {
    this.#workload.cluster.world.after(this.#random.next() * RECONNECT_MS_MAX, () => {
      if (this.#subscription !== undefined) return;
      const node = this.#workload.pickNode(this.#random);
      node?.enter(() => this.#connect(node));
      this.#reconnectLater();
    });
  }

  #connect(node: SimNode): void {
    const { gateway } = node;
    if (gateway === undefined || this.#subscription !== undefined) return;
    const client = gateway.client(this.#workload.groupOf(this.queue));
    const prefetch = this.#random.integer(1, this.#workload.swarm.prefetchMax);
    const subscription: Subscription = {
      id: consumerId(this.#workload.nextConsumer()),
      node,
      gateway,
      client,
      prefetch,
      granted: prefetch,
      last: 0,
      forgotten: 0,
      deliver: (number, deliveryCount, content) => this.#deliver(subscription, number, deliveryCount, content),
      cancelled: () => this.#cancelled(subscription),
    };
    this.#subscription = subscription;
    this.#workload.introduce(client, this.queue);
    const credit = { prefetch, deliverThrough: prefetch, bytesThrough: BYTES_UNLIMITED };
    client.consume(
      subscription.id,
      { queue: this.queue, tag: 'simulated', exclusive: false, ...credit },
      subscription,
      outcome => {
        if (outcome !== undefined) this.#cancelled(subscription);
      },
    );
  }

  #cancelled(subscription: Subscription): void {
    if (this.#subscription !== subscription) return;
    this.#subscription = undefined;
    this.#reconnectLater();
  }

  #deliver(subscription: Subscription, number: number, deliveryCount: number, content: Uint8Array): void {
    const { node, gateway, id } = subscription;
    const key = deliveryKey(node.id, gateway.incarnation, id, number);
    const message = this.#workload.auditor.delivered(key, this.queue, deliveryCount, content);
    if (this.#subscription !== subscription) return;
    subscription.last = number;
    this.#grant(subscription);
    const { answerMs, forgets } = this.#workload.swarm;
    if (!this.#isCalm && forgets !== undefined && this.#random.next() < forgets) {
      subscription.forgotten++;
      return;
    }
    const delayMs = this.#isCalm
      ? this.#random.next() * CALM_ANSWER_MS_MAX
      : answerMs.min + (answerMs.max - answerMs.min) * this.#random.next();
    this.#workload.cluster.world.after(delayMs, () => node.enter(() => this.#answer(subscription, number, message)));
  }

  /** Room for as many more as are held at most; asked for when half of it is used up. */
  #grant(subscription: Subscription): void {
    const { prefetch, last, granted, client, id } = subscription;
    if (granted - last > prefetch / 2) return;
    subscription.granted = last + prefetch;
    client.credit(id, { prefetch, deliverThrough: subscription.granted, bytesThrough: BYTES_UNLIMITED });
  }

  #answer(subscription: Subscription, number: number, message: number): void {
    if (this.#subscription !== subscription) return;
    const { client, id } = subscription;
    const how = this.#pickAnswer();
    const { auditor, cluster } = this.#workload;
    client.request(
      out => writeSettle(out, how, id, [number, number]),
      () => {
        if (how === Settlement.settle) cluster.statistics.settled++;
        else if (how === Settlement.discard) cluster.statistics.discarded++;
        else cluster.statistics.returned++;
        if (how !== Settlement.return) auditor.answered(this.queue, message);
      },
    );
  }

  #pickAnswer(): Settlement {
    if (this.#isCalm) return Settlement.settle;
    const { returns = 0, discards = 0 } = this.#workload.swarm;
    const drawn = this.#random.next();
    if (drawn < returns) return Settlement.return;
    return drawn < returns + discards ? Settlement.discard : Settlement.settle;
  }
}
