import type { ChannelModel, ConfirmChannel } from 'amqplib';
import type { History } from './history.ts';
import { RoamingConnection } from './roaming-connection.ts';
import { delay, nowMs } from './waiting.ts';
import type { WarrenCluster } from './warren-cluster.ts';

const PACE_MS = 4;

export interface PublisherOptions {
  readonly queue: string;
  readonly perSecond: number;
  readonly bodyBytes: number;
}

/** The text that names a message, at the start of its body. */
export const messageName = (publisher: number, sequence: number): string => `${publisher}-${sequence};`;

/** The names in a body: its publisher's connection and sequence. */
export function parseMessageName(body: Buffer): { publisher: number; sequence: number } {
  const text = body.toString('latin1', 0, Math.min(body.length, 32));
  const [publisher, sequence] = text.slice(0, text.indexOf(';')).split('-').map(Number);
  return { publisher: publisher!, sequence: sequence! };
}

/**
 * Publishes persistent messages with confirms by the clock, not by the broker's answers: while a broker stalls, messages
 * stay due. When its connection ends it goes to another node.
 */
export class LoadPublisher {
  readonly #history: History;
  readonly #options: PublisherOptions;
  readonly #roaming: RoamingConnection;
  #channel: ConfirmChannel | undefined;
  #sequence = 0;
  #unanswered = 0;
  #timer: NodeJS.Timeout | undefined;
  #startMs = 0;
  #offered = 0;

  constructor(cluster: WarrenCluster, history: History, options: PublisherOptions) {
    this.#history = history;
    this.#options = options;
    this.#roaming = new RoamingConnection(cluster, history, 'publisher', {
      opened: client => this.#opened(client),
      lost: () => {
        this.#channel = undefined;
        this.#unanswered = 0;
      },
    });
  }

  get node(): string {
    return this.#roaming.node;
  }

  async start(node: string): Promise<void> {
    await this.#roaming.goTo(node);
    this.resume();
  }

  resume(): void {
    this.#startMs = nowMs();
    this.#offered = 0;
    this.#timer ??= setInterval(() => this.#publishWhatIsDue(), PACE_MS);
  }

  /** Stops offering; what was sent may still be confirmed. */
  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Until everything sent on the open connection is answered, or the time is over. */
  async drained(timeoutMs: number): Promise<void> {
    const deadline = nowMs() + timeoutMs;
    while (this.#unanswered > 0 && nowMs() < deadline) await delay(5);
  }

  async moveTo(node: string): Promise<void> {
    if (this.node === node && this.#channel !== undefined) return;
    this.pause();
    await this.drained(5_000);
    await this.start(node);
  }

  async stop(): Promise<void> {
    this.pause();
    await this.drained(10_000);
    await this.#roaming.stop();
  }

  async #opened(client: ChannelModel): Promise<void> {
    const channel = await client.createConfirmChannel();
    channel.on('error', () => this.#roaming.abandon());
    this.#sequence = 0;
    this.#channel = channel;
  }

  #publishWhatIsDue(): void {
    const due = Math.floor(((nowMs() - this.#startMs) / 1_000) * this.#options.perSecond);
    for (; this.#offered < due; this.#offered++) {
      if (this.#channel === undefined) this.#history.unsent();
      else this.#publish(this.#channel);
    }
  }

  #publish(channel: ConfirmChannel): void {
    const { connection } = this.#roaming;
    const sequence = this.#sequence++;
    const body = Buffer.alloc(this.#options.bodyBytes, '.');
    body.write(messageName(connection, sequence), 'latin1');
    this.#history.published(connection, sequence);
    this.#unanswered++;
    const answer = (error: Error | null): void => {
      if (connection !== this.#roaming.connection) return;
      this.#unanswered--;
      if (error === null) this.#history.confirmed(connection, sequence);
      else if (error.message === 'message nacked') this.#history.refused(connection, sequence);
    };
    try {
      channel.publish('', this.#options.queue, body, { persistent: true }, answer);
    } catch {
      // The connection is closing; its end is about to be reported, and this message was not sent.
    }
  }
}
