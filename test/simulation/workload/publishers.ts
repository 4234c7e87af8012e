import type { Decision, PublishOrigin } from '../../../src/broker/gateway.ts';
import { assert } from '../../../src/lib/assert.ts';
import type { GroupId } from '../../../src/lib/ids.ts';
import type { Random } from '../../../src/lib/random.ts';
import type { SimNode } from '../sim-node.ts';
import { drawTtl } from './expiry.ts';
import { fieldsOf, type Message } from './message.ts';
import type { End, WorkloadPart } from './part.ts';
import type { QueueRecord } from './topology.ts';
import type { Connection as NodeConnection, Workload } from './workload.ts';

const RECONNECT_MS_MAX = 300;
const CALM_PUBLISH_MS = { min: 1, max: 5 };

interface Outstanding {
  readonly message: Message;
  /** Shards that have not answered. */
  missing: number;
  isRefused: boolean;
}

/** A client connection: its publishes keep their order, and their outcomes are unknown when it breaks. */
interface Connection extends NodeConnection {
  readonly id: number;
  readonly outstanding: Map<number, Outstanding>;
  readonly origins: Map<GroupId, PublishOrigin>;
}

/** A client that publishes, waits for confirms, and publishes again whatever has no certain outcome. */
class Publisher {
  readonly #workload: Workload;
  readonly #random: Random;
  #connection: Connection | undefined;
  /** Publishes that are to be repeated, as new messages: their outcome is not known. */
  #repeats = 0;
  /** Queues that still get a last message, to prove that they deliver. */
  #probes: string[] = [];
  #isCalm = false;

  constructor(workload: Workload, index: number) {
    this.#workload = workload;
    this.#random = workload.cluster.world.random(`publisher:${index}`);
    this.#schedule();
  }

  pending(): string | undefined {
    const connection = this.#connection;
    const [first] = connection?.outstanding.values() ?? [];
    if (first !== undefined) {
      const { id, queues } = first.message;
      return `has no confirm of message ${id} to queue ${queues.join(', ')} from node ${connection!.node.id}`;
    }
    if (this.#repeats > 0) return `has ${this.#repeats} messages to publish again`;
    return this.#probes.length > 0 ? `has a last message for ${this.#probes[0]}` : undefined;
  }

  /** One message to every queue, to see that it arrives; nothing else that is new. */
  calmDown(): void {
    this.#isCalm = true;
    this.#probes = [...this.#workload.names];
  }

  /** Publishes so many in one go. */
  burst(count: number): void {
    for (let i = 0; i < count; i++) this.#publish();
  }

  nodeLost(node: SimNode): void {
    if (this.#connection?.node !== node) return;
    const { size } = this.#connection.outstanding;
    this.#workload.cluster.statistics.unknownOutcomes += size;
    this.#repeats += size;
    this.#connection = undefined;
  }

  #schedule(): void {
    const { publishMs } = this.#workload.swarm;
    const { min, max } = this.#isCalm ? CALM_PUBLISH_MS : publishMs;
    const isReconnecting = this.#connection === undefined;
    const delayMs = isReconnecting ? this.#random.next() * RECONNECT_MS_MAX : min + (max - min) * this.#random.next();
    this.#workload.cluster.world.after(delayMs, () => {
      this.#connection ??= this.#connect();
      if (this.#repeats > 0 || this.#probes.length > 0 || !this.#isCalm) this.#publish();
      this.#schedule();
    });
  }

  #connect(): Connection | undefined {
    const connection = this.#workload.connect(this.#random);
    if (connection === undefined) return undefined;
    return { ...connection, id: this.#workload.nextConnection(), outstanding: new Map(), origins: new Map() };
  }

  /** By the topology that the node knows when it gets to it, which may be after a pause. */
  #publish(): void {
    const connection = this.#connection;
    connection?.node.enter(() => {
      if (this.#connection === connection) this.#publishBy(connection);
    });
  }

  #publishBy(connection: Connection): void {
    if (connection.outstanding.size >= this.#workload.swarm.outstandingMax || this.#workload.cluster.isShortOfSpace)
      return;
    const records = this.#route(connection);
    if (records.length === 0 || records.some(({ id }) => this.#workload.client(connection, id).isFull)) return;
    if (this.#repeats > 0) this.#repeats--;
    else if (this.#probes.length > 0) this.#probes = this.#probes.slice(1);
    const groups = new Set(records.map(({ id }) => this.#workload.homeOf(id)));
    const message: Message = {
      id: this.#workload.nextMessage(),
      connection: connection.id,
      queues: records.map(({ id }) => id),
      bodyBytes: this.#random.integer(0, this.#workload.swarm.bodyBytesMax),
      ttlMs: drawTtl(this.#workload.swarm.expiry, this.#random),
    };
    connection.outstanding.set(message.id, { message, missing: groups.size, isRefused: false });
    this.#workload.auditor.published(message);
    for (const group of groups) this.#publishTo(connection, group, message, records);
  }

  #publishTo(connection: Connection, group: GroupId, message: Message, records: readonly QueueRecord[]): void {
    const targets = records.filter(({ id }) => this.#workload.homeOf(id) === group);
    for (const record of targets) this.#workload.stream(connection, record);
    const queues = targets.map(({ id }) => id);
    const origin = originOf(connection, group, this);
    this.#workload.client(connection, queues[0]!).publish(queues, fieldsOf(message), origin, message.id);
  }

  /** One queue, or several, by the topology that the node knows: an unknown name is routed nowhere. */
  #route(connection: Connection): readonly QueueRecord[] {
    const { names, swarm } = this.#workload;
    const isProbe = this.#repeats === 0 && this.#probes.length > 0;
    const name = isProbe ? this.#probes[0]! : names[this.#random.integer(0, names.length - 1)]!;
    const isFanout = swarm.fanout !== undefined && this.#random.next() < swarm.fanout;
    const wanted = isFanout ? names : [name];
    return wanted.flatMap(one => this.#workload.find(connection, one) ?? []);
  }

  decided(connection: Connection, group: GroupId, id: number, outcome: Decision | undefined): void {
    const { auditor, cluster } = this.#workload;
    const outstanding = connection.outstanding.get(id);
    assert(outstanding !== undefined, () => `message ${id} is decided by group ${group} and was decided before`);
    auditor.decided(outstanding.message, group, outcome);
    // A queue that is gone takes nothing more: the publisher's broker confirms that, as it does what is routed nowhere.
    outstanding.isRefused ||= outcome !== undefined && outcome.kind !== 'no-such-queue';
    if (--outstanding.missing > 0) return;
    connection.outstanding.delete(id);
    if (!outstanding.isRefused) cluster.statistics.confirmed++;
    else if (this.#connection === connection) this.#repeats++;
  }
}

function originOf(connection: Connection, group: GroupId, publisher: Publisher): PublishOrigin {
  const known = connection.origins.get(group);
  if (known !== undefined) return known;
  const origin: PublishOrigin = {
    published: (first, last, outcome) => {
      for (let id = first; id <= last; id++) publisher.decided(connection, group, id, outcome);
    },
  };
  connection.origins.set(group, origin);
  return origin;
}

export class Publishers implements WorkloadPart {
  readonly departures: readonly End[] = [];
  readonly #publishers: readonly Publisher[];

  constructor(workload: Workload) {
    this.#publishers = Array.from({ length: workload.swarm.publishers }, (_, i) => new Publisher(workload, i));
  }

  burst(publisher: number, count: number): void {
    this.#publishers[publisher % this.#publishers.length]!.burst(count);
  }

  nodeLost(node: SimNode): void {
    for (const publisher of this.#publishers) publisher.nodeLost(node);
  }

  calmDown(): void {
    for (const publisher of this.#publishers) publisher.calmDown();
  }

  pending(): string | undefined {
    for (const [i, publisher] of this.#publishers.entries()) {
      const pending = publisher.pending();
      if (pending !== undefined) return `publisher ${i} ${pending}`;
    }
    return undefined;
  }

  objection(): string {
    return 'publishers end nothing';
  }
}
