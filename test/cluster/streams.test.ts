import { type Channel, type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './waiting.ts';
import { ServerCluster } from './warren-cluster.ts';

const TYPE = { 'x-queue-type': 'stream' };
const NAMES = ['warren-0', 'warren-1', 'warren-2'];

let cluster: ServerCluster;
const connections: ChannelModel[] = [];

beforeAll(async () => {
  cluster = await ServerCluster.start({ readyTimeoutMs: 60_000 });
}, 90_000);

afterEach(() => Promise.all(connections.splice(0).map(connection => connection.close().catch(() => {}))));
afterAll(() => cluster?.stop());

async function channelTo(name: string): Promise<ConfirmChannel> {
  const connection = await connect(cluster.url(name), { timeout: 20_000 });
  connection.on('error', () => {});
  connections.push(connection);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  return channel;
}

/** Publishes with a confirm; false when it is not known whether the message was taken. */
const confirmed = (channel: ConfirmChannel, queue: string, body: Buffer): Promise<boolean> =>
  new Promise(resolve => channel.sendToQueue(queue, body, {}, error => resolve(!error)));

interface Read {
  readonly offset: number;
  readonly body: string;
  readonly redelivered: boolean;
}

/** Acknowledges what it reads; resolves with all that it has read so far, which grows. */
async function readFrom(channel: Channel, queue: string, offset: unknown, prefetch = 20): Promise<Read[]> {
  const read: Read[] = [];
  await channel.prefetch(prefetch);
  const take = (message: ConsumeMessage | null): void => {
    if (message === null) return;
    const { headers } = message.properties;
    read.push({
      offset: headers?.['x-stream-offset'] as number,
      body: message.content.toString(),
      redelivered: message.fields.redelivered,
    });
    channel.ack(message);
  };
  await channel.consume(queue, take, { arguments: { 'x-stream-offset': offset } });
  return read;
}

const bodies = (read: readonly Read[]): string[] => read.map(({ body }) => body);
const from = (first: number, read: readonly Read[]): number[] => read.map((_, i) => first + i);

/** Of a new reader, what is in the stream now, once it is what is wanted. */
async function contentOf(
  queue: string,
  name: string,
  wanted: (offsets: readonly number[]) => boolean,
): Promise<Read[]> {
  return eventually(`the wanted messages in ${queue}`, 30_000, async () => {
    const channel = await channelTo(name);
    const { messageCount } = await channel.checkQueue(queue);
    const read = await readFrom(channel, queue, 'first');
    await eventually('the reader to have read all', 10_000, () => read.length >= messageCount);
    await channel.close();
    return wanted(read.map(({ offset }) => offset)) ? read : undefined;
  });
}

describe('a stream of three nodes', () => {
  it('gives every reader everything in order from where it began, over a kill of its leader while it is written', async () => {
    const queue = 'read-by-two';
    await (await channelTo(NAMES[0]!)).assertQueue(queue, { durable: true, arguments: TYPE });
    const victim = await cluster.leaderOf(queue, 30_000);
    const [second, third] = NAMES.filter(name => name !== victim);
    const publisher = await channelTo(second!);
    for (let i = 0; i < 300; i++) void confirmed(publisher, queue, Buffer.from(String(i)));
    await publisher.waitForConfirms();
    const first = await readFrom(await channelTo(third!), queue, 'first');
    const later = await readFrom(await channelTo(second!), queue, 200);
    await eventually('both to be reading', 20_000, () => first.length > 0 && later.length > 0);

    const outcomes: Promise<boolean>[] = [];
    const publishing = (async () => {
      for (let i = 300; i < 1_500; i++) {
        outcomes.push(confirmed(publisher, queue, Buffer.from(String(i))));
        if (i === 600) await cluster.stopNode(victim);
        if (i % 100 === 0) await Promise.all(outcomes);
      }
    })();
    await publishing;
    expect(await Promise.all(outcomes)).toEqual(Array(1_200).fill(true));

    await eventually('both to have read everything', 30_000, () => first.length >= 1_500 && later.length >= 1_300);
    expect(bodies(first)).toEqual(Array.from({ length: 1_500 }, (_, i) => String(i)));
    expect(first.map(({ offset }) => offset)).toEqual(from(0, first));
    expect(bodies(later)).toEqual(Array.from({ length: 1_300 }, (_, i) => String(i + 200)));
    expect(later.map(({ offset }) => offset)).toEqual(from(200, later));
    expect([...first, ...later].filter(({ redelivered }) => redelivered)).toEqual([]);

    cluster.startNode(victim);
    await cluster.serving(victim, 60_000);
    const again = await readFrom(await channelTo(victim), queue, 'first', 500);
    await eventually('a third reader to read everything through the revived node', 30_000, () => again.length >= 1_500);
    expect(again).toEqual(first);
  }, 180_000);

  it('drops its oldest messages when there are too many bytes, or when they are too old, and goes on counting', async () => {
    const [name, other] = [NAMES[0]!, NAMES[1]!];
    const publisher = await channelTo(name);
    const [byBytes, byAge] = ['so-many-bytes', 'so-old'];
    await publisher.assertQueue(byBytes, { durable: true, arguments: { ...TYPE, 'x-max-length-bytes': 20_000 } });
    await publisher.assertQueue(byAge, { durable: true, arguments: { ...TYPE, 'x-max-age': '2s' } });
    for (let i = 0; i < 100; i++) void confirmed(publisher, byBytes, Buffer.alloc(1_000, i));
    void confirmed(publisher, byAge, Buffer.from('old'));
    await publisher.waitForConfirms();
    // A message is 1,000 bytes and some for its names and properties.
    const kept = await contentOf(byBytes, other, offsets => offsets.length === 19);
    expect(kept.map(({ offset }) => offset)).toEqual(from(81, kept));
    await eventually('the old message to go', 30_000, async () => {
      const { messageCount } = await publisher.checkQueue(byAge);
      return messageCount === 0;
    });
    const reader = await readFrom(await channelTo(other), byAge, 'first');
    await confirmed(publisher, byAge, Buffer.from('new'));
    await eventually('the new message', 20_000, () => reader.length > 0);
    expect(reader).toEqual([{ offset: 1, body: 'new', redelivered: false }]);
  }, 90_000);

  it('is no queue of another type when it is declared again through another node', async () => {
    const arguments_ = { ...TYPE, 'x-max-age': '1h' };
    await (await channelTo(NAMES[0]!)).assertQueue('again', { durable: true, arguments: arguments_ });
    const declare = async (received: object): Promise<string> => {
      const channel = await channelTo(NAMES[1]!);
      const declared = channel.assertQueue('again', { durable: true, arguments: received });
      return declared.then(
        () => 'declared',
        (error: Error) => error.message,
      );
    };
    const inequivalent = (argument: string): string =>
      `406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg '${argument}' for queue 'again' in vhost '/': `;
    expect(await declare(arguments_)).toBe('declared');
    expect(await declare({ 'x-queue-type': 'quorum' })).toContain(
      `${inequivalent('x-queue-type')}received 'quorum' but current is 'stream'`,
    );
    expect(await declare({})).toContain(
      `${inequivalent('x-queue-type')}received none but current is the value 'stream' of type 'longstr'`,
    );
    expect(await declare({ ...TYPE, 'x-max-age': '2h' })).toContain(
      `${inequivalent('x-max-age')}received '2h' but current is '1h'`,
    );
  }, 60_000);
});
