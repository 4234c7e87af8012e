import { type ConfirmChannel, connect } from 'amqplib';
import { delay, nowMs } from '../cluster/waiting.ts';

/** Publishes and gets one message after the other, and remembers how long the slowest took. */
export class Witness {
  readonly #channel: ConfirmChannel;
  readonly #close: () => Promise<void>;
  #longestMs = 0;
  #isStopping = false;
  #failure: unknown;
  #done: Promise<void> = Promise.resolve();

  private constructor(channel: ConfirmChannel, close: () => Promise<void>) {
    this.#channel = channel;
    this.#close = close;
  }

  static async start(port: number): Promise<Witness> {
    const client = await connect(`amqp://guest:guest@127.0.0.1:${port}`);
    const channel = await client.createConfirmChannel();
    // Whatever ends them ends the round trip too.
    client.on('error', () => {});
    channel.on('error', () => {});
    const { queue } = await channel.assertQueue('', { durable: true });
    const witness = new Witness(channel, () => client.close());
    witness.#done = witness.#run(queue).catch((error: unknown) => {
      witness.#failure = error;
    });
    return witness;
  }

  /** The longest of at least one round trip, in milliseconds. Rejects with what ended them. */
  async stop(): Promise<number> {
    this.#isStopping = true;
    await this.#done;
    if (this.#failure !== undefined) throw this.#failure;
    await this.#close();
    return this.#longestMs;
  }

  async #run(queue: string): Promise<void> {
    do {
      const startMs = nowMs();
      this.#channel.sendToQueue(queue, Buffer.from('witness'));
      await this.#channel.waitForConfirms();
      if ((await this.#channel.get(queue, { noAck: true })) === false)
        throw new Error('a confirmed message is not there');
      this.#longestMs = Math.max(this.#longestMs, nowMs() - startMs);
      await delay(20);
    } while (!this.#isStopping);
    await this.#channel.deleteQueue(queue);
  }
}
