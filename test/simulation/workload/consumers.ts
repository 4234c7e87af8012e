import type { Random } from '../../../src/lib/random.ts';
import { Settlement } from '../../../src/queue/commands.ts';
import type { SimNode } from '../sim-node.ts';
import type { End, Gone, WorkloadPart } from './part.ts';
import { drawOffset } from './streams.ts';
import { Subscription } from './subscription.ts';
import type { Workload } from './workload.ts';

const RECONNECT_MS_MAX = 500;
const CALM_ANSWER_MS_MAX = 5;
const EXCLUSIVE_RATE = 0.03;
const PRIORITIES = [-3, 0, 0, 2];

/** What all consumers have asked for, by delivery. */
interface Asked {
  readonly ends: Map<string, End>;
  /** Consumers whose client went, by the beginning of their deliveries' keys. */
  readonly released: Set<string>;
}

/** A client that consumes one queue: it settles, returns and discards what it gets, forgets some, and goes and comes. */
class Consumer {
  readonly name: string;
  readonly #workload: Workload;
  readonly #asked: Asked;
  readonly #random: Random;
  #subscription: Subscription | undefined;
  /** Cancelled ones that still hold something. */
  #cancelled: Subscription[] = [];
  /** Deliveries that it does not answer, until the consumer goes or a later one is answered with all before it. */
  readonly #forgotten = new Set<string>();
  #isCalm = false;

  constructor(workload: Workload, index: number, name: string, asked: Asked) {
    this.#workload = workload;
    this.name = name;
    this.#asked = asked;
    this.#random = workload.cluster.world.random(`consumer:${index}`);
    this.#reconnectLater();
  }

  pending(): string | undefined {
    return this.#subscription === undefined ? `has no subscription to ${this.name}` : this.#subscription.pending();
  }

  /** From now on everything is read and settled, also what was forgotten, and nobody is alone. */
  calmDown(): void {
    this.#isCalm = true;
    this.#forgotten.clear();
    // The others could wait for ever.
    if (this.#subscription?.isExclusive) this.disconnect({ settling: false });
    this.#subscription?.connection.node.enter(() => this.#subscription?.readOn());
    for (const subscription of this.#subscriptions()) {
      for (const number of subscription.held.keys()) this.#answerLater(subscription, number);
    }
  }

  /** The client goes, perhaps with a last word about all that it holds: its node gives back for it what it still has. */
  disconnect({ settling }: { readonly settling: boolean }): void {
    if (this.#subscription !== undefined) this.#workload.cluster.statistics.consumersDisconnected++;
    for (const subscription of this.#subscriptions()) {
      subscription.connection.node.enter(() => {
        if (settling && subscription.held.size > 0) this.#settle(subscription, [...subscription.held.keys()]);
        this.#asked.released.add(subscription.keyOf(0).slice(0, -1));
        subscription.release();
      });
    }
    this.#subscription = undefined;
    this.#cancelled = [];
    this.#reconnectLater();
  }

  /** The client does not read for a while: credit runs out, and what is held stays. */
  stopReading(durationMs: number, options: { readonly withdrawn: boolean }): void {
    const subscription = this.#subscription;
    if (subscription === undefined || this.#isCalm) return;
    const { world } = this.#workload.cluster;
    const { node } = subscription.connection;
    node.enter(() => subscription.stopReading(options));
    world.after(durationMs, () => {
      if (this.#subscription === subscription) node.enter(() => subscription.readOn());
    });
  }

  /** Gets nothing more, goes on with what it holds, and subscribes anew. */
  cancel(): void {
    const subscription = this.#subscription;
    if (subscription === undefined || this.#isCalm) return;
    this.#subscription = undefined;
    this.#cancelled.push(subscription);
    subscription.connection.node.enter(() => subscription.cancel(() => this.#finishCancelled(subscription)));
    this.#reconnectLater();
  }

  nodeLost(node: SimNode): void {
    this.#cancelled = this.#cancelled.filter(({ connection }) => connection.node !== node);
    if (this.#subscription?.connection.node !== node) return;
    this.#subscription = undefined;
    this.#reconnectLater();
  }

  #subscriptions(): Subscription[] {
    return [...this.#cancelled, ...(this.#subscription === undefined ? [] : [this.#subscription])];
  }

  /** Tries until it has a subscription: a node that takes the request may be gone before it looks at it. */
  #reconnectLater(): void {
    this.#workload.cluster.world.after(this.#random.next() * RECONNECT_MS_MAX, () => {
      if (this.#subscription !== undefined) return;
      const connection = this.#workload.connect(this.#random);
      connection?.node.enter(() => this.#connect());
      this.#reconnectLater();
    });
  }

  #connect(): void {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined || this.#subscription !== undefined) return;
    const record = this.#workload.find(connection, this.name);
    if (record === undefined) return;
    const { prefetchMax, bodyBytesMax, priorities } = this.#workload.swarm;
    const isBytewise = this.#random.next() < 0.3;
    const options = {
      prefetch: this.#random.integer(1, prefetchMax),
      bytesAhead: isBytewise ? this.#random.integer(1, 4 * (bodyBytesMax + 50)) : undefined,
      isExclusive: !this.#isCalm && this.#random.next() < EXCLUSIVE_RATE,
      priority: priorities === true ? PRIORITIES[this.#random.integer(0, PRIORITIES.length - 1)]! : 0,
      offset: record.config.stream === undefined ? undefined : drawOffset(this.#workload.cluster.world, this.#random),
    };
    this.#subscription = new Subscription(this.#workload, connection, record, options, {
      delivered: (subscription, number) => this.#delivered(subscription, number),
      cancelled: subscription => this.#lost(subscription),
    });
  }

  /** The shard does not have this consumer. */
  #lost(subscription: Subscription): void {
    this.#cancelled = this.#cancelled.filter(one => one !== subscription);
    if (this.#subscription !== subscription) return;
    this.#subscription = undefined;
    this.#reconnectLater();
  }

  #delivered(subscription: Subscription, number: number): void {
    const { forgets } = this.#workload.swarm;
    if (!this.#isCalm && forgets !== undefined && this.#random.next() < forgets) {
      this.#forgotten.add(subscription.keyOf(number));
    } else {
      this.#answerLater(subscription, number);
    }
  }

  #answerLater(subscription: Subscription, number: number): void {
    const { answerMs } = this.#workload.swarm;
    const delayMs = this.#isCalm
      ? this.#random.next() * CALM_ANSWER_MS_MAX
      : answerMs.min + (answerMs.max - answerMs.min) * this.#random.next();
    const { node } = subscription.connection;
    this.#workload.cluster.world.after(delayMs, () => node.enter(() => this.#answer(subscription, number)));
  }

  #answer(subscription: Subscription, number: number): void {
    const isMine = this.#subscription === subscription || this.#cancelled.includes(subscription);
    if (!isMine || !subscription.held.has(number)) return;
    const { multiples = 0 } = this.#workload.swarm;
    const isMultiple = this.#random.next() < multiples;
    const numbers = isMultiple ? [...subscription.held.keys()].filter(one => one <= number) : [number];
    this.#settle(subscription, numbers);
    this.#finishCancelled(subscription);
  }

  #settle(subscription: Subscription, numbers: readonly number[]): void {
    subscription.answer(this.#pickAnswer(), numbers, (key, end) => this.#asked.ends.set(key, end));
  }

  /** Nothing is left to answer of a cancelled one: the shard may forget it. */
  #finishCancelled(subscription: Subscription): void {
    if (!this.#cancelled.includes(subscription) || subscription.held.size > 0) return;
    this.#cancelled = this.#cancelled.filter(one => one !== subscription);
    this.#asked.released.add(subscription.keyOf(0).slice(0, -1));
    subscription.release();
  }

  #pickAnswer(): Settlement {
    if (this.#isCalm) return Settlement.settle;
    const { returns = 0, discards = 0 } = this.#workload.swarm;
    const drawn = this.#random.next();
    if (drawn < returns) return Settlement.return;
    return drawn < returns + discards ? Settlement.discard : Settlement.settle;
  }
}

export class Consumers implements WorkloadPart {
  readonly departures = ['settled', 'discarded', 'returned'] as const;
  readonly #workload: Workload;
  readonly #consumers: Consumer[];
  readonly #asked: Asked = { ends: new Map(), released: new Set() };

  constructor(workload: Workload) {
    this.#workload = workload;
    const { consumers } = workload.swarm;
    this.#consumers = Array.from({ length: consumers }, (_, i) => this.#create(i, workload.name(i)));
  }

  consumer(number: number): Consumer {
    return this.#consumers[number % this.#consumers.length]!;
  }

  nodeLost(node: SimNode): void {
    for (const consumer of this.#consumers) consumer.nodeLost(node);
  }

  calmDown(): void {
    for (const name of this.#workload.names) {
      if (!this.#consumers.some(consumer => consumer.name === name)) {
        this.#consumers.push(this.#create(this.#consumers.length, name));
      }
    }
    for (const consumer of this.#consumers) consumer.calmDown();
  }

  pending(): string | undefined {
    for (const [i, consumer] of this.#consumers.entries()) {
      const pending = consumer.pending();
      if (pending !== undefined) return `consumer ${i} ${pending}`;
    }
    return undefined;
  }

  objection({ delivery, how }: Gone): string | undefined {
    const key = delivery ?? 'nothing';
    if (this.#asked.ends.get(key) === how) return undefined;
    if (how === 'returned' && this.#asked.released.has(key.slice(0, key.lastIndexOf('/') + 1))) return undefined;
    return `no consumer asked for that with delivery ${key}`;
  }

  #create(index: number, name: string): Consumer {
    return new Consumer(this.#workload, index, name, this.#asked);
  }
}
