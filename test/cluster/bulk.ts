import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import { nowMs } from './waiting.ts';

/** Unconfirmed publishes of a bulk publisher. */
const WINDOW = 2_000;
const PREFETCH = 1_000;
const SETTLE_EVERY = 200;

export interface BulkPublisherOptions {
  readonly queue: string;
  readonly count: number;
  readonly bodyBytes: number;
  /** Stops when nothing was confirmed for so long. */
  readonly patienceMs?: number;
  readonly progress?: (confirmed: number) => void;
}

export interface BulkPublished {
  readonly sent: number;
  readonly confirmed: number;
  /** Numbers of the confirmed messages, when not all were. */
  readonly confirmedNumbers: ReadonlySet<number> | undefined;
}

/** Publishes numbered messages as fast as confirms come back. */
export async function publishInBulk(url: string, options: BulkPublisherOptions): Promise<BulkPublished> {
  const { queue, count, bodyBytes, patienceMs = 60_000 } = options;
  const client = await connect(url, { noDelay: true });
  client.on('error', () => {});
  const channel = await client.createConfirmChannel();
  channel.on('error', () => {});
  await channel.assertQueue(queue, { durable: true });
  const confirmedNumbers = new Set<number>();
  let sent = 0;
  let lastConfirmMs = nowMs();
  const send = (): void => {
    const number = sent++;
    const body = Buffer.alloc(bodyBytes);
    body.writeUInt32BE(number);
    channel.sendToQueue(queue, body, { persistent: true }, error => {
      if (error !== null && error !== undefined) return;
      confirmedNumbers.add(number);
      lastConfirmMs = nowMs();
      if (confirmedNumbers.size % 100_000 === 0) options.progress?.(confirmedNumbers.size);
    });
  };
  while (confirmedNumbers.size < count && nowMs() - lastConfirmMs < patienceMs) {
    while (sent < count && sent - confirmedNumbers.size < WINDOW) send();
    await new Promise(resolve => setImmediate(resolve));
    if (sent - confirmedNumbers.size >= WINDOW) await new Promise(resolve => setTimeout(resolve, 1));
  }
  // Closing would wait for a broker that holds publishes back.
  void client.close().catch(() => {});
  const confirmed = confirmedNumbers.size;
  return { sent, confirmed, confirmedNumbers: confirmed === sent ? undefined : confirmedNumbers };
}

export interface BulkConsumed {
  readonly numbers: Uint32Array;
  readonly inOrder: boolean;
}

/** Takes `count` messages, or as many as come until nothing has come for `patienceMs`. */
export async function consumeInBulk(
  url: string,
  queue: string,
  count: number,
  patienceMs = 20_000,
): Promise<BulkConsumed> {
  const client = await connect(url, { noDelay: true });
  client.on('error', () => {});
  const channel = await client.createChannel();
  await channel.prefetch(PREFETCH);
  const numbers = new Uint32Array(count);
  let taken = 0;
  let inOrder = true;
  let lastMs = nowMs();
  const consumer = await channel.consume(queue, (message: ConsumeMessage | null) => {
    if (message === null || taken === count) return;
    const number = message.content.readUInt32BE(0);
    if (taken > 0 && number <= numbers[taken - 1]!) inOrder = false;
    numbers[taken++] = number;
    lastMs = nowMs();
    if (taken % SETTLE_EVERY === 0 || taken === count) channel.ack(message, true);
  });
  while (taken < count && nowMs() - lastMs < patienceMs) await new Promise(resolve => setTimeout(resolve, 20));
  await channel.cancel(consumer.consumerTag).catch(() => {});
  await client.close().catch(() => {});
  return { numbers: numbers.subarray(0, taken), inOrder };
}

/** A consumer with unlimited prefetch whose socket is not read from now on. */
export async function openDeafConsumer(url: string, queue: string): Promise<ChannelModel> {
  const client = await connect(url);
  client.on('error', () => {});
  const channel: ConfirmChannel = await client.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true });
  await channel.consume(queue, () => {});
  const { stream } = client.connection as unknown as { stream: NodeJS.ReadStream };
  stream.removeAllListeners('readable');
  stream.pause();
  return client;
}
