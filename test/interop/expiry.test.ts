import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { utf8Encode } from '../../src/lib/bytes.ts';
import { GrpcTestClient } from '../support/grpc-client.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/** Real clients against three nodes: messages and queues that expire. */
let cluster: RunningCluster;
let client: ChannelModel;
let elsewhere: ChannelModel;

beforeAll(async () => {
  cluster = await RunningCluster.start(3);
  client = await cluster.connect('guest');
  elsewhere = await cluster.connect('guest', { node: 1 });
}, 60_000);

afterAll(() => cluster.stop());

async function open(connection = client): Promise<ConfirmChannel> {
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  return channel;
}

/** Asks again until the answer is the wanted one. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(resolve => setImmediate(resolve));
}

const countOf = async (channel: Channel, queue: string): Promise<number> =>
  (await channel.checkQueue(queue)).messageCount;

/** Publishing is no use of a queue: it tells whether it is there, and does not keep it. */
async function isThere(channel: ConfirmChannel, queue: string): Promise<boolean> {
  let isReturned = false;
  const note = (): void => {
    isReturned = true;
  };
  channel.on('return', note);
  channel.sendToQueue(queue, Buffer.from('x'), { mandatory: true });
  await channel.waitForConfirms();
  channel.off('return', note);
  return !isReturned;
}

const KINDS = [
  ['durable', { durable: true }],
  ['exclusive', { exclusive: true }],
] as const;

describe.each(KINDS)('in a queue that is %s', (kind, options) => {
  it('messages go when the time of their queue is over', async () => {
    const channel = await open();
    const queue = `ttl-${kind}`;
    await channel.assertQueue(queue, { ...options, messageTtl: 100 });
    for (const text of ['a', 'b']) channel.sendToQueue(queue, Buffer.from(text));
    await channel.waitForConfirms();
    await until(async () => (await countOf(channel, queue)) === 0);
    expect(await channel.get(queue)).toBe(false);
  });

  it('messages go when their own time is over, if nothing that stays is before them', async () => {
    const channel = await open();
    const queue = `expiration-${kind}`;
    await channel.assertQueue(queue, options);
    const texts = [
      ['short', '50'],
      ['long', '600000'],
      ['hidden', '50'],
    ] as const;
    for (const [text, expiration] of texts) channel.sendToQueue(queue, Buffer.from(text), { expiration });
    await channel.waitForConfirms();
    await until(async () => (await countOf(channel, queue)) === 2);
    const message = await channel.get(queue);
    expect(message && [message.content.toString(), message.properties.expiration]).toEqual(['long', '600000']);
    expect(await channel.get(queue)).toBe(false);
  });

  it('a message that may not wait is for a waiting consumer only', async () => {
    const channel = await open();
    const queue = `zero-${kind}`;
    await channel.assertQueue(queue, options);
    channel.sendToQueue(queue, Buffer.from('nobody'), { expiration: '0' });
    expect(await channel.get(queue)).toBe(false);
    const received: string[] = [];
    await channel.consume(queue, message => message && received.push(message.content.toString()), { noAck: true });
    channel.sendToQueue(queue, Buffer.from('somebody'), { expiration: '0' });
    await until(async () => received.length > 0);
    expect(received).toEqual(['somebody']);
  });

  it('the queue itself goes when nobody uses it, and one with a consumer stays', async () => {
    const channel = await open();
    const [used, unused] = [`used-${kind}`, `unused-${kind}`];
    for (const queue of [used, unused]) await channel.assertQueue(queue, { ...options, expires: 3_000 });
    await channel.consume(used, () => {});
    await until(async () => !(await isThere(channel, unused)));
    expect(await isThere(channel, used)).toBe(true);
    await channel.assertQueue(unused, { ...options, expires: 60_000 });
    expect(await countOf(channel, unused)).toBe(0);
  });
});

it('a queue that expired is gone for clients of every node', async () => {
  const channel = await open();
  await channel.assertQueue('everywhere', { durable: true, expires: 1_000 });
  const other = await open(elsewhere);
  await until(async () => !(await isThere(other, 'everywhere')));
  await expect(other.checkQueue('everywhere')).rejects.toThrow('404');
});

it('an expiration that is none closes the channel, as do other arguments for the same queue', async () => {
  const failure = async (channel: ConfirmChannel, act: () => unknown): Promise<string> => {
    const failed = new Promise<string>(resolve => channel.once('error', (error: Error) => resolve(error.message)));
    await Promise.resolve(act()).catch(() => {});
    return failed;
  };
  const channel = await open();
  await channel.assertQueue('checked', { durable: true, messageTtl: 60_000 });
  expect(
    await failure(channel, () => channel.sendToQueue('checked', Buffer.from('x'), { expiration: 'soon' })),
  ).toContain("PRECONDITION_FAILED - invalid expiration 'soon': no_integer");
  const other = await open();
  expect(await failure(other, () => other.assertQueue('checked', { durable: true, messageTtl: 1 }))).toContain(
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'checked' in vhost '/': received '1' but current is '60000'",
  );
});

it('means the same through gRPC', async () => {
  const grpc = new GrpcTestClient(cluster.ports[2]!.grpc);
  const channel = await open();
  const ttl = { value: { case: 'int64' as const, value: 600_000n } };
  await grpc.call('declareQueue', { name: 'shared', durable: true, arguments: { 'x-message-ttl': ttl } });
  await channel.assertQueue('shared', { durable: true, messageTtl: 600_000 });
  const publisher = grpc.publish();
  const message = (text: string, expirationMs: bigint) => ({
    routingKey: 'shared',
    body: utf8Encode(text),
    expirationMs,
  });
  publisher.send({ messages: [message('short', 20n), message('long', 60_000n)] });
  await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 2n);
  await until(async () => (await countOf(channel, 'shared')) === 1);
  const left = await channel.get('shared');
  expect(left && [left.content.toString(), left.properties.expiration]).toEqual(['long', '60000']);
  publisher.call.cancel();
  grpc.close();
});
