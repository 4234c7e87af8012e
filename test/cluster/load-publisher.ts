import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { History } from './history.ts';
import { delay, nowMs } from './waiting.ts';
import type { WarrenCluster } from './warren-cluster.ts';

const PACE_MS = 4;
const RECONNECT_PAUSE_MS = 20;

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
  readonly #cluster: WarrenCluster;
  readonly #history: History;
  readonly #options: PublisherOptions;
  #client: ChannelModel | undefined;
  #channel: ConfirmChannel | undefined;
  #connection = -1;
  #node = '';
  #sequence = 0;
  #unanswered = 0;
  #timer: NodeJS.Timeout | undefined;
  #startMs = 0;
  #offered = 0;
  #stopped = false;

  constructor(cluster: WarrenCluster, history: History, options: PublisherOptions) {
    this.#cluster = cluster;
    this.#history = history;
    this.#options = options;
  }

  /** The node it is connected to, or was last. */
  get node(): string {
    return this.#node;
  }

  get unanswered(): number {
    return this.#unanswered;
  }

  async start(node: string): Promise<void> {
    await this.#connect(node);
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
  async drained(timeoutMs: number): Promise<boolean> {
    const deadline = nowMs() + timeoutMs;
    while (this.#unanswered > 0 && nowMs() < deadline) await delay(5);
    return this.#unanswered === 0;
  }

  async moveTo(node: string): Promise<void> {
    if (this.#node === node && this.#channel !== undefined) return;
    this.pause();
    await this.drained(5_000);
    await this.#disconnect('moved');
    await this.#connect(node);
    this.resume();
  }

  async stop(): Promise<void> {
    this.pause();
    this.#stopped = true;
    await this.drained(10_000);
    await this.#disconnect('stopped');
  }

  #publishWhatIsDue(): void {
    const due = Math.floor(((nowMs() - this.#startMs) / 1_000) * this.#options.perSecond);
    for (; this.#offered < due; this.#offered++) this.#publish();
  }

  #publish(): void {
    const channel = this.#channel;
    if (channel === undefined) {
      this.#history.unsent();
      return;
    }
    const connection = this.#connection;
    const sequence = this.#sequence++;
    const body = Buffer.alloc(this.#options.bodyBytes, 0x2e);
    body.write(messageName(connection, sequence), 'latin1');
    this.#history.published(connection, sequence);
    this.#unanswered++;
    const answer = (error: Error | null): void => {
      if (connection !== this.#connection) return;
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

  async #connect(first: string): Promise<void> {
    for (let node = first; !this.#stopped; node = this.#another(node)) {
      try {
        const client = await connect(this.#cluster.url(node), { timeout: 2_000, noDelay: true });
        const lost = { reason: '' };
        client.on('error', error => {
          lost.reason = error.message;
        });
        const channel = await client.createConfirmChannel();
        const connection = this.#history.connected('publisher', node);
        client.on('close', () => this.#lost(connection, lost.reason));
        channel.on('error', error => {
          lost.reason = `channel: ${error.message}`;
          client.close().catch(() => {});
        });
        this.#client = client;
        this.#channel = channel;
        this.#connection = connection;
        this.#node = node;
        this.#sequence = 0;
        this.#unanswered = 0;
        return;
      } catch {
        await delay(RECONNECT_PAUSE_MS);
      }
    }
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
    this.#channel = undefined;
    this.#connection = -1;
    this.#unanswered = 0;
  }

  #another(node: string): string {
    const others = this.#cluster.nodes.filter(candidate => candidate.name !== node);
    return others[Math.floor(Math.random() * others.length)]!.name;
  }
}
