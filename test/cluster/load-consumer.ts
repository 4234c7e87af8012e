import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { History } from './history.ts';
import { parseMessageName } from './load-publisher.ts';
import { RoamingConnection } from './roaming-connection.ts';
import { delay, nowMs } from './waiting.ts';
import type { WarrenCluster } from './warren-cluster.ts';

/** Every so many messages one is settled late, so that there are always deliveries whose ack is still to come. */
const LATE_EVERY = 10;
const LATE_MS = 50;

export interface ConsumerOptions {
  readonly queue: string;
  readonly prefetch: number;
}

/** Consumes with manual acks and goes to another node when its connection ends or the broker cancels it. */
export class LoadConsumer {
  readonly #history: History;
  readonly #options: ConsumerOptions;
  readonly #roaming: RoamingConnection;
  #deliveries = 0;
  #unsettled = 0;
  #lastDeliveryMs = 0;

  constructor(cluster: WarrenCluster, history: History, options: ConsumerOptions) {
    this.#history = history;
    this.#options = options;
    this.#roaming = new RoamingConnection(cluster, history, 'consumer', {
      opened: (client, connection) => this.#opened(client, connection),
      lost: () => {
        this.#unsettled = 0;
      },
    });
  }

  get node(): string {
    return this.#roaming.node;
  }

  /** How long nothing has arrived. */
  get quietMs(): number {
    return nowMs() - this.#lastDeliveryMs;
  }

  start(node: string): Promise<void> {
    this.#lastDeliveryMs = nowMs();
    return this.#roaming.goTo(node);
  }

  moveTo(node: string): Promise<void> {
    return this.#roaming.goTo(node);
  }

  async stop(): Promise<void> {
    const deadline = nowMs() + 2_000;
    while (this.#unsettled > 0 && nowMs() < deadline) await delay(5);
    await this.#roaming.stop();
  }

  async #opened(client: ChannelModel, connection: number): Promise<void> {
    const channel = await client.createChannel();
    channel.on('error', () => this.#roaming.abandon());
    await channel.prefetch(this.#options.prefetch);
    await channel.consume(this.#options.queue, message => this.#take(channel, connection, message));
  }

  #take(channel: Channel, connection: number, message: ConsumeMessage | null): void {
    if (connection !== this.#roaming.connection) return;
    if (message === null) {
      this.#roaming.abandon();
      return;
    }
    const { publisher, sequence } = parseMessageName(message.content);
    this.#history.delivered(connection, publisher, sequence, message.fields.redelivered);
    this.#lastDeliveryMs = nowMs();
    this.#unsettled++;
    const settle = (): void => {
      if (connection !== this.#roaming.connection) return;
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
}
