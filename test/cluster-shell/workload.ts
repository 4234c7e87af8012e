import type { Random } from '../../src/lib/random.ts';
import type { Received, ShellCluster } from './shell-cluster.ts';
import { ShellClient } from './shell-cluster.ts';

interface Message {
  readonly id: string;
  readonly queue: string;
  outcome: 'unanswered' | 'confirmed' | 'rejected' | 'unknown';
  /** Deliveries without the redelivered flag. */
  firsts: number;
  deliveries: number;
  /** By a client whose node lived on: it must never come again. */
  settledBy: ShellClient | undefined;
}

/** What clients may have seen, and what they may not. */
export class Auditor {
  readonly #messages = new Map<string, Message>();
  readonly violations: string[] = [];

  published(id: string, queue: string): Message {
    const message: Message = { id, queue, outcome: 'unanswered', firsts: 0, deliveries: 0, settledBy: undefined };
    this.#messages.set(id, message);
    return message;
  }

  delivered(queue: string, received: Received): void {
    const message = this.#messages.get(received.body);
    if (message === undefined) {
      this.violations.push(`${received.body} was never published`);
      return;
    }
    message.deliveries++;
    if (message.queue !== queue) this.violations.push(`${message.id} of ${message.queue} came from ${queue}`);
    if (!received.redelivered && ++message.firsts > 1) this.violations.push(`${message.id} was delivered first twice`);
    if (
      message.settledBy !== undefined &&
      message.settledBy.closedReason === undefined &&
      !message.settledBy.node.life.isOver
    ) {
      this.violations.push(`${message.id} came again after it was settled`);
    }
  }

  settled(body: string, client: ShellClient): void {
    const message = this.#messages.get(body);
    if (message !== undefined) message.settledBy = client;
  }

  /** At the end, when every queue is empty. */
  finish(): void {
    for (const { id, outcome, deliveries } of this.#messages.values()) {
      if (outcome === 'confirmed' && deliveries === 0) this.violations.push(`${id} was confirmed and is lost`);
      if (outcome === 'rejected') this.violations.push(`${id} was rejected by a healthy queue`);
    }
  }

  get confirmed(): number {
    return [...this.#messages.values()].filter(({ outcome }) => outcome === 'confirmed').length;
  }
}

/** A client that connects again, to some node, whenever it lost its connection. */
abstract class Worker {
  protected readonly cluster: ShellCluster;
  protected readonly auditor: Auditor;
  protected readonly random: Random;
  protected client: ShellClient | undefined;
  #isConnecting = false;

  constructor(cluster: ShellCluster, auditor: Auditor, random: Random) {
    this.cluster = cluster;
    this.auditor = auditor;
    this.random = random;
  }

  /** Does a little work. */
  step(): void {
    const { client } = this;
    if (client === undefined || client.closedReason !== undefined || client.node.life.isOver) {
      this.lost();
      this.client = undefined;
      this.#connect();
      return;
    }
    if (!client.node.life.isPaused) this.work(client);
  }

  #connect(): void {
    const nodes = this.cluster.running().filter(node => node.broker.service !== undefined && !node.life.isPaused);
    const node = nodes[this.random.integer(0, nodes.length - 1)];
    if (node === undefined || this.#isConnecting) return;
    this.#isConnecting = true;
    void ShellClient.connect(this.cluster, node).then(
      client => {
        this.#isConnecting = false;
        this.client = client;
        this.connected(client);
      },
      () => {
        this.#isConnecting = false;
      },
    );
  }

  protected abstract connected(client: ShellClient): void;
  protected abstract work(client: ShellClient): void;
  protected abstract lost(): void;
}

export class Publisher extends Worker {
  readonly #name: string;
  readonly #queues: readonly string[];
  readonly #pending = new Map<number, Message>();
  #count = 0;
  isActive = true;

  constructor(name: string, queues: readonly string[], cluster: ShellCluster, auditor: Auditor, random: Random) {
    super(cluster, auditor, random);
    this.#name = name;
    this.#queues = queues;
  }

  get unanswered(): number {
    return this.#pending.size;
  }

  protected connected(): void {}

  protected work(client: ShellClient): void {
    this.#collect(client);
    if (!this.isActive || !client.connection.mayPublish) return;
    for (let i = this.random.integer(0, 4); i > 0; i--) {
      const id = `${this.#name}-${this.#count++}`;
      const queue = this.#queues[this.random.integer(0, this.#queues.length - 1)]!;
      const number = client.publish(queue, id);
      if (typeof number === 'number') this.#pending.set(number, this.auditor.published(id, queue));
      if (!client.connection.mayPublish) return;
    }
  }

  #collect(client: ShellClient): void {
    for (const [number, message] of this.#pending) {
      if (client.confirmedNumbers.has(number)) message.outcome = 'confirmed';
      else if (client.rejectedNumbers.has(number)) message.outcome = client.closedReason ? 'unknown' : 'rejected';
      else continue;
      this.#pending.delete(number);
    }
  }

  protected lost(): void {
    if (this.client !== undefined) this.#collect(this.client);
    for (const message of this.#pending.values()) message.outcome = 'unknown';
    this.#pending.clear();
  }
}

export class Subscriber extends Worker {
  readonly #queue: string;
  #unsettled: Received[] = [];
  #handle = 0;
  #isConsuming = false;
  #isCancelling = false;
  /** Also gives some back, leaves some lying for a while, and cancels now and then. */
  isMoody = true;

  constructor(queue: string, cluster: ShellCluster, auditor: Auditor, random: Random) {
    super(cluster, auditor, random);
    this.#queue = queue;
  }

  get unsettledCount(): number {
    return this.#unsettled.length;
  }

  protected connected(client: ShellClient): void {
    client.onDelivery = received => {
      this.auditor.delivered(this.#queue, received);
      if (received.handle !== this.#handle || !this.#isConsuming) {
        this.auditor.violations.push(`${received.body} came to a cancelled consumer`);
      }
      this.#unsettled.push(received);
    };
    this.#isCancelling = false;
    this.#isConsuming = false;
  }

  protected work(client: ShellClient): void {
    if (client.cancelledHandles.includes(this.#handle)) this.auditor.violations.push(`${this.#queue}: cancelled`);
    if (!this.#isConsuming) this.#consume(client);
    const keep = this.isMoody ? this.random.integer(0, 5) : 0;
    while (this.#unsettled.length > keep) {
      const received = this.#unsettled.shift()!;
      if (this.isMoody && this.random.next() < 0.1) {
        client.settle(received, 'return');
      } else {
        this.auditor.settled(received.body, client);
        client.settle(received);
      }
    }
    if (this.isMoody && !this.#isCancelling && this.random.next() < 0.01) this.#cancel(client);
  }

  #consume(client: ShellClient): void {
    if (client.session === undefined) return;
    this.#isConsuming = true;
    const window = this.random.integer(0, 3) * 10;
    const request = { consumer: ++this.#handle, tag: '', autoAck: false, exclusive: false, window };
    void client.session.consume({ queue: this.#queue, arguments: new Map(), ...request }).then(result => {
      if (!result.ok && this.client === client) this.#isConsuming = false;
    });
  }

  #cancel(client: ShellClient): void {
    this.#isCancelling = true;
    void client.session.cancel(this.#handle).then(() => {
      if (this.client !== client) return;
      this.#isCancelling = false;
      this.#isConsuming = false;
    });
  }

  protected lost(): void {
    this.#unsettled = [];
  }
}
