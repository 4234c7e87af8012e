import type { ConsumerReceiver } from '../../../src/broker/gateway.ts';
import type { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import type { ConsumerId } from '../../../src/lib/ids.ts';
import { type Credit, Settlement, writeSettle } from '../../../src/queue/commands.ts';
import type { StreamOffset } from '../../../src/queue/stream-offset.ts';
import { deliveryKey } from '../auditor.ts';
import type { End } from './part.ts';
import type { QueueRecord } from './topology.ts';
import type { Connection, Workload } from './workload.ts';

const BYTES_UNLIMITED = 2 ** 40;
const ENDS = ['settled', 'returned', 'discarded'] as const satisfies readonly End[];

export interface SubscriptionListener {
  delivered(subscription: Subscription, number: number): void;
  cancelled(subscription: Subscription): void;
}

export interface SubscriptionOptions {
  readonly prefetch: number;
  /** Message bytes ahead of the client; undefined: as many as there are. */
  readonly bytesAhead: number | undefined;
  readonly isExclusive: boolean;
  readonly priority: number;
  /** Of a stream: where it begins. */
  readonly offset: StreamOffset | undefined;
}

/**
 * One consumer at one shard, until it is released or its node goes. It knows what it asked for and what it got, and says so when the two
 * do not agree: nothing comes that there was no credit for, no number is left out, nothing is held above the prefetch.
 */
export class Subscription implements ConsumerReceiver {
  readonly id: ConsumerId;
  readonly record: QueueRecord;
  readonly connection: Connection;
  readonly #options: SubscriptionOptions;
  readonly #workload: Workload;
  readonly #client: ShardClient;
  readonly #listener: SubscriptionListener;
  /** Deliveries that were not answered, with the message's id. */
  readonly held = new Map<number, number>();
  #isReading = true;
  #last = 0;
  #bytes = 0;
  /** The latest that was asked for, and the highest ever: a withdrawal may be overtaken. */
  #credit: Credit;
  #deliverThroughMax: number;

  constructor(
    workload: Workload,
    connection: Connection,
    record: QueueRecord,
    options: SubscriptionOptions,
    listener: SubscriptionListener,
  ) {
    this.#workload = workload;
    this.connection = connection;
    this.record = record;
    this.#options = options;
    this.#listener = listener;
    this.id = workload.nextConsumer();
    this.#credit = this.#wanted();
    this.#deliverThroughMax = this.#credit.deliverThrough;
    this.#client = workload.stream(connection, record);
    const { isExclusive: exclusive, priority, offset } = options;
    const command = { queue: record.id, tag: 'simulated', exclusive, priority, offset, ...this.#credit };
    const done = workload.answerOf(connection, record, 'subscription', outcome => {
      if (outcome !== undefined) listener.cancelled(this);
    });
    this.#client.consume(this.id, command, this, done);
  }

  get isExclusive(): boolean {
    return this.#options.isExclusive;
  }

  get isAlive(): boolean {
    return this.#workload.isAlive(this.connection);
  }

  /** The key of one of its deliveries. */
  keyOf(number: number): string {
    return deliveryKey(this.connection.node.id, this.connection.gateway.incarnation, this.id, number);
  }

  /** Where client and shard do not agree about this consumer, as a sentence. */
  pending(): string | undefined {
    const { node, gateway } = this.connection;
    const model = this.#workload.auditor.model(this.#workload.homeOf(this.record.id));
    const name = `(${this.id} of node ${node.id} on queue ${this.record.id})`;
    const known = model?.members.find(node.id, gateway.incarnation)?.consumers.get(this.id);
    if (known?.state !== 'active' && known?.state !== 'waiting')
      return `${name} believes that it consumes; to its shard it is ${known?.state ?? 'unknown'}`;
    const { deliverThrough } = this.#credit;
    if (known.credit.deliverThrough === deliverThrough) return undefined;
    return `${name} has room for deliveries through ${deliverThrough}; the shard knows of ${known.credit.deliverThrough}`;
  }

  deliver(
    number: number,
    deliveryCount: number,
    offset: number,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    const { auditor } = this.#workload;
    const name = this.keyOf(number);
    if (more.length > 0) auditor.fail(`${name} came in ${more.length + 1} pieces`);
    if (number > this.#deliverThroughMax) {
      auditor.fail(`${name} arrived; never was there credit above ${this.#deliverThroughMax}`);
    }
    for (let missing = this.#last + 1; missing < number; missing++) {
      const delivery = auditor.delivery(this.keyOf(missing));
      if (delivery === undefined || delivery.end === undefined) auditor.fail(`${name} arrived before ${missing}`);
    }
    const id = auditor.arrived(name, this.record.id, deliveryCount, offset, content);
    this.#last = number;
    this.#bytes += content.length;
    this.held.set(number, id);
    const { prefetch } = this.#options;
    if (this.held.size > prefetch) auditor.fail(`${name} is one above the prefetch of ${prefetch}`);
    this.#renew();
    this.#listener.delivered(this, number);
  }

  cancelled(): void {
    const { auditor } = this.#workload;
    if (this.isAlive && !auditor.isDeleted(this.record.id)) {
      auditor.fail(`consumer ${this.id} is told that queue ${this.record.id} is deleted, and it is not`);
    }
    this.#listener.cancelled(this);
  }

  /** Answers deliveries that are held, with one command. `asked` remembers them. */
  answer(how: Settlement, numbers: readonly number[], asked: (key: string, end: End) => void): void {
    const end = ENDS[how]!;
    const { statistics } = this.#workload.cluster;
    const home = this.#workload.homeOf(this.record.id);
    for (const number of numbers) {
      this.held.delete(number);
      asked(this.keyOf(number), end);
    }
    this.#client.request(
      out => writeSettle(out, how, this.id, rangesOf(numbers)),
      outcome => {
        if (outcome !== undefined) return;
        for (const number of numbers) this.#workload.auditor.settlementAnswered(home, this.keyOf(number), end);
        statistics[how === Settlement.discard ? 'discarded' : end === 'settled' ? 'settled' : 'returned'] +=
          numbers.length;
      },
    );
  }

  /** Takes nothing more than was granted; `withdrawn`: not even that, as far as it is not on its way. */
  stopReading(options: { readonly withdrawn: boolean }): void {
    this.#isReading = false;
    if (options.withdrawn) this.#grant({ ...this.#credit, deliverThrough: this.#last });
  }

  readOn(): void {
    this.#isReading = true;
    this.#grant(this.#wanted());
  }

  /** Gets nothing more and keeps what it holds. */
  cancel(done: () => void): void {
    this.#client.cancel(this.id, done);
  }

  /** The client is gone: its node gives everything back for it. */
  release(): void {
    this.#client.release(this.id);
  }

  /** Room for as many more as are held at most; asked for when half of it is used up. */
  #renew(): void {
    if (!this.#isReading) return;
    const { prefetch, bytesAhead } = this.#options;
    const isLow = this.#credit.deliverThrough - this.#last <= prefetch / 2;
    const isBytesLow = bytesAhead !== undefined && this.#credit.bytesThrough - this.#bytes <= bytesAhead / 2;
    if (isLow || isBytesLow) this.#grant(this.#wanted());
  }

  #wanted(): Credit {
    const { prefetch, bytesAhead } = this.#options;
    const bytesThrough = bytesAhead === undefined ? BYTES_UNLIMITED : this.#bytes + bytesAhead;
    return { prefetch, deliverThrough: this.#last + prefetch, bytesThrough };
  }

  #grant(credit: Credit): void {
    this.#credit = credit;
    this.#deliverThroughMax = Math.max(this.#deliverThroughMax, credit.deliverThrough);
    this.#client.credit(this.id, credit);
  }
}

/** First and last of each run of neighbours; `numbers` ascend. */
function rangesOf(numbers: readonly number[]): number[] {
  const ranges: number[] = [];
  for (const number of numbers) {
    if (ranges.length > 0 && ranges.at(-1) === number - 1) ranges[ranges.length - 1] = number;
    else ranges.push(number, number);
  }
  return ranges;
}
