import type { ConsumerReceiver, Decision } from '../../../src/broker/gateway.ts';
import type { ConsumerId, QueueId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import { Settlement, writeGet, writeSettle } from '../../../src/queue/commands.ts';
import { deliveryKey } from '../auditor.ts';
import type { SimNode } from '../sim-node.ts';
import type { End, Gone, WorkloadPart } from './part.ts';
import type { QueueRecord } from './topology.ts';
import type { Connection as NodeConnection, Workload } from './workload.ts';

const LIFE_GETS_MAX = 8;
const ANSWER_MS_MAX = 200;
const RETURN_RATE = 0.2;
const AUTO_SETTLE_RATE = 0.5;

/** A channel that gets: one pseudo consumer for each queue. */
interface Connection extends NodeConnection {
  readonly getters: Map<QueueId, ConsumerId>;
  getsLeft: number;
}

interface Asked {
  /** By delivery. */
  readonly ends: Map<string, End>;
  /** Pseudo consumers by the beginning of their deliveries' keys: all of their gets settle by themselves, or none. */
  readonly autoSettling: Set<string>;
  readonly released: Set<string>;
}

/** A client that takes one message at a time, with `basic.get`. */
class Getter {
  readonly #workload: Workload;
  readonly #asked: Asked;
  readonly #random: Random;
  readonly #isAutoSettling: boolean;
  #connection: Connection | undefined;
  /** Bodies that arrived; the answer to the get follows. */
  readonly #arrived = new Set<string>();
  #isCalm = false;

  constructor(workload: Workload, index: number, asked: Asked) {
    this.#workload = workload;
    this.#asked = asked;
    this.#random = workload.cluster.world.random(`getter:${index}`);
    this.#isAutoSettling = this.#random.next() < AUTO_SETTLE_RATE;
    this.#schedule();
  }

  calmDown(): void {
    this.#isCalm = true;
  }

  nodeLost(node: SimNode): void {
    if (this.#connection?.node === node) this.#connection = undefined;
  }

  #schedule(): void {
    const { getMs } = this.#workload.swarm;
    if (getMs === undefined) return;
    const delayMs = getMs.min + (getMs.max - getMs.min) * this.#random.next();
    this.#workload.cluster.world.after(delayMs, () => {
      this.#work();
      if (!this.#isCalm || this.#connection !== undefined) this.#schedule();
    });
  }

  #work(): void {
    this.#connection ??= this.#connect();
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.node.enter(() => {
      if (this.#connection !== connection) return;
      if (this.#isCalm || connection.getsLeft === 0) this.#close(connection);
      else this.#get(connection);
    });
  }

  #connect(): Connection | undefined {
    const connection = this.#isCalm ? undefined : this.#workload.connect(this.#random);
    return connection && { ...connection, getters: new Map(), getsLeft: this.#random.integer(1, LIFE_GETS_MAX) };
  }

  #get(connection: Connection): void {
    const name = this.#workload.name(this.#random.integer(0, this.#workload.names.length - 1));
    const record = this.#workload.find(connection, name);
    if (record === undefined) return;
    connection.getsLeft--;
    const consumer = this.#consumerFor(connection, record);
    this.#workload.ask(
      connection,
      record,
      'get',
      out => writeGet(out, { queue: record.id, consumer, autoSettle: this.#isAutoSettling }),
      outcome => this.#got(connection, record, outcome),
    );
  }

  #consumerFor(connection: Connection, record: QueueRecord): ConsumerId {
    const known = connection.getters.get(record.id);
    if (known !== undefined) return known;
    const id = this.#workload.nextConsumer();
    connection.getters.set(record.id, id);
    if (this.#isAutoSettling) this.#asked.autoSettling.add(this.#keyOf(connection, id, ''));
    const receiver: ConsumerReceiver = {
      deliver: (number, deliveryCount, offset, content) => {
        const key = this.#keyOf(connection, id, number);
        this.#workload.auditor.arrived(key, record.id, deliveryCount, offset, content);
        this.#arrived.add(key);
      },
      cancelled: () => {
        if (this.#workload.isAlive(connection) && !this.#workload.auditor.isDeleted(record.id))
          this.#workload.auditor.fail(`getter ${id} is told that queue ${record.id} is deleted, and it is not`);
        connection.getters.delete(record.id);
      },
    };
    this.#workload.stream(connection, record).register(id, receiver);
    return id;
  }

  #got(connection: Connection, record: QueueRecord, outcome: Decision | undefined): void {
    if (outcome?.kind !== 'message') return;
    const { auditor, cluster } = this.#workload;
    const key = this.#keyOf(connection, outcome.consumer, outcome.number);
    if (this.#connection !== connection) {
      if (this.#isAutoSettling && !this.#arrived.delete(key)) auditor.forgone(key);
      return;
    }
    const isWithdrawn = auditor.delivery(key)?.end === 'deleted';
    if (!this.#arrived.delete(key) && !isWithdrawn) auditor.fail(`get ${key} is answered and its message is not there`);
    if (this.#isAutoSettling) {
      cluster.statistics.settled++;
      return;
    }
    const delayMs = this.#random.next() * ANSWER_MS_MAX;
    const how = this.#random.next() < RETURN_RATE ? Settlement.return : Settlement.settle;
    cluster.world.after(delayMs, () =>
      connection.node.enter(() => this.#answer(connection, record, outcome.consumer, outcome.number, how)),
    );
  }

  #answer(connection: Connection, record: QueueRecord, consumer: ConsumerId, number: number, how: Settlement): void {
    if (this.#connection !== connection || connection.getters.get(record.id) !== consumer) return;
    const key = this.#keyOf(connection, consumer, number);
    const end: End = how === Settlement.settle ? 'settled' : 'returned';
    this.#asked.ends.set(key, end);
    const home = this.#workload.homeOf(record.id);
    this.#workload.client(connection, record.id).request(
      out => writeSettle(out, how, consumer, [number, number]),
      outcome => {
        if (outcome !== undefined) return;
        this.#workload.auditor.settlementAnswered(home, key, end);
        this.#workload.cluster.statistics[end === 'settled' ? 'settled' : 'returned']++;
      },
    );
  }

  /** The channel is closed: what it holds goes back. */
  #close(connection: Connection): void {
    this.#connection = undefined;
    for (const [queue, consumer] of connection.getters) {
      this.#asked.released.add(this.#keyOf(connection, consumer, ''));
      this.#workload.client(connection, queue).release(consumer);
    }
  }

  #keyOf({ node, gateway }: Connection, consumer: ConsumerId, number: number | ''): string {
    return deliveryKey(node.id, gateway.incarnation, consumer, number as number);
  }
}

export class Getters implements WorkloadPart {
  readonly departures = ['settled', 'returned'] as const;
  readonly #getters: readonly Getter[];
  readonly #asked: Asked = { ends: new Map(), autoSettling: new Set(), released: new Set() };

  constructor(workload: Workload) {
    this.#getters = [0, 1].map(i => new Getter(workload, i, this.#asked));
  }

  nodeLost(node: SimNode): void {
    for (const getter of this.#getters) getter.nodeLost(node);
  }

  calmDown(): void {
    for (const getter of this.#getters) getter.calmDown();
  }

  pending(): undefined {
    return undefined;
  }

  objection({ delivery, how }: Gone): string | undefined {
    const key = delivery ?? 'nothing';
    const owner = key.slice(0, key.lastIndexOf('/') + 1);
    if (this.#asked.ends.get(key) === how) return undefined;
    if (how === 'settled' && this.#asked.autoSettling.has(owner)) return undefined;
    if (how === 'returned' && this.#asked.released.has(owner)) return undefined;
    return `no getter asked for that with delivery ${key}`;
  }
}
