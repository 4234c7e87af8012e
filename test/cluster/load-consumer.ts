import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import type { History } from './history.ts';
import { parseMessageName } from './load-publisher.ts';
import { delay, nowMs } from './waiting.ts';
import type { WarrenCluster } from './warren-cluster.ts';

const RECONNECT_PAUSE_MS = 20;
/** Every so many messages one is settled late, so that there are always deliveries whose ack is still to come. */
const LATE_EVERY = 10;
const LATE_MS = 50;

export interface ConsumerOptions {
  readonly queue: string;
  readonly prefetch: number;
}

/** Consumes with manual acks and goes to another node when its connection ends or the broker cancels it. */
export class LoadConsumer {
  readonly #cluster: WarrenCluster;
  readonly #history: History;
  readonly #options: ConsumerOptions;
  #client: ChannelModel | undefined;
  #connection = -1;
  #node = '';
  #deliveries = 0;
  #unsettled = 0;
  #lastDeliveryMs = 0;
  #stopped = false;

  constructor(cluster: WarrenCluster, history: History, options: ConsumerOptions) {
    this.#cluster = cluster;
    this.#history = history;
    this.#options = options;
  }

  get node(): string {
    return this.#node;
  }

  get deliveries(): number {
    return this.#deliveries;
  }

  /** How long nothing has arrived. */
  get quietMs(): number {
    return nowMs() - this.#lastDeliveryMs;
  }

  start(node: string): Promise<void> {
    this.#lastDeliveryMs = nowMs();
    return this.#connect(node);
  }

  async moveTo(node: string): Promise<void> {
    if (this.#node === node && this.#client !== undefined) return;
    await this.#disconnect('moved');
    await this.#connect(node);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const deadline = nowMs() + 2_000;
    while (this.#unsettled > 0 && nowMs() < deadline) await delay(5);
    await this.#disconnect('stopped');
  }

  async #connect(first: string): Promise<void> {
    for (let node = first; !this.#stopped; node = this.#another(node)) {
      let client: ChannelModel | undefined;
      try {
        client = await connect(this.#cluster.url(node), { timeout: 2_000, noDelay: true });
        await this.#consume(client, node);
        return;
      } catch {
        client?.close().catch(() => {});
        await delay(RECONNECT_PAUSE_MS);
      }
    }
  }

  async #consume(client: ChannelModel, node: string): Promise<void> {
    const lost = { reason: '' };
    client.on('error', error => {
      lost.reason = error.message;
    });
    const channel = await client.createChannel();
    channel.on('error', error => {
      lost.reason = `channel: ${error.message}`;
      client.close().catch(() => {});
    });
    await channel.prefetch(this.#options.prefetch);
    const connection = this.#history.connected('consumer', node);
    client.on('close', () => this.#lost(connection, lost.reason));
    this.#client = client;
    this.#connection = connection;
    this.#node = node;
    this.#unsettled = 0;
    try {
      await channel.consume(this.#options.queue, message => this.#take(channel, connection, message));
    } catch (error) {
      this.#history.ended(connection, `could not consume: ${String(error)}`);
      this.#forget();
      throw error;
    }
  }

  #take(channel: Channel, connection: number, message: ConsumeMessage | null): void {
    if (connection !== this.#connection) return;
    if (message === null) {
      this.#client?.close().catch(() => {});
      return;
    }
    const { publisher, sequence } = parseMessageName(message.content);
    this.#history.delivered(connection, publisher, sequence, message.fields.redelivered);
    this.#lastDeliveryMs = nowMs();
    this.#unsettled++;
    const settle = (): void => {
      if (connection !== this.#connection) return;
      this.#unsettled--;
      this.#history.settled(connection, publisher, sequence);
      try {
        channel.ack(message);
      } catch {
        // The connection is closing; its end is about to be reported.
      }
    };
    if (++this.#deliveries % LATE_EVERY === 0) setTimeout(settle, LATE_MS);
    else settle();
  }

  #lost(connection: number, reason: string): void {
    this.#history.ended(connection, reason);
    if (connection !== this.#connection) return;
    this.#forget();
    if (!this.#stopped) void this.#connect(this.#another(this.#node));
  }

  async #disconnect(reason: string): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    this.#history.ended(this.#connection, reason);
    this.#forget();
    await client.close().catch(() => {});
  }

  #forget(): void {
    this.#client = undefined;
    this.#connection = -1;
    this.#unsettled = 0;
  }

  #another(node: string): string {
    const others = this.#cluster.nodes.filter(candidate => candidate.name !== node);
    return others[Math.floor(Math.random() * others.length)]!.name;
  }
}
