import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RunningCluster } from '../support/running-cluster.ts';

let cluster: RunningCluster;
/** What clients heard, by name. */
let heard: string[];

beforeEach(async () => {
  cluster = await RunningCluster.start(3);
  heard = [];
}, 60_000);

afterEach(() => cluster.stop());

const SHORT = 0.9;

async function client(name: string, node: number): Promise<{ connection: ChannelModel; channel: ConfirmChannel }> {
  const connection = await cluster.connect('guest', { node });
  connection.on('blocked', reason => heard.push(`${name} blocked: ${reason}`));
  connection.on('unblocked', () => heard.push(`${name} unblocked`));
  return { connection, channel: await connection.createConfirmChannel() };
}

async function publish(channel: ConfirmChannel, queue: string): Promise<void> {
  channel.sendToQueue(queue, Buffer.from('x'), { persistent: true });
  await channel.waitForConfirms();
}

it('holds the publishers of the node that is short, and nobody else', async () => {
  const publisher = await client('publisher', 0);
  const consumer = await client('consumer', 0);
  const other = await client('other', 1);
  await publisher.channel.assertQueue('q');
  const received: string[] = [];
  await consumer.channel.consume('q', message => {
    received.push(String(message!.content));
    consumer.channel.ack(message!);
  });
  await publish(publisher.channel, 'q');
  await expect.poll(() => received.length).toBe(1);

  cluster.memory[0]!.share = SHORT;
  await expect.poll(() => heard).toContain('publisher blocked: low on memory');
  publisher.channel.sendToQueue('q', Buffer.from('held'));
  const held = publisher.channel.waitForConfirms();
  await publish(other.channel, 'q');
  // What is published elsewhere is consumed and settled here meanwhile, and queues are counted.
  await expect.poll(() => received).toEqual(['x', 'x']);
  await expect.poll(async () => (await consumer.channel.checkQueue('q')).messageCount).toBe(0);
  const node = (await cluster.nodes[1]!.status())!.nodes.find(({ name }) => name === 'node-0')!;
  expect(node).toMatchObject({ memoryAlarm: true, diskAlarm: false });

  cluster.memory[0]!.share = 0.1;
  await held;
  await expect.poll(() => received).toEqual(['x', 'x', 'held']);
  expect(heard.filter(line => line.startsWith('publisher'))).toEqual([
    'publisher blocked: low on memory',
    'publisher unblocked',
  ]);
  expect(heard.filter(line => line.startsWith('other'))).toEqual([]);
});

it('holds publishers of every node when most replicas of a queue, or the node of a volatile one, are short', async () => {
  const owner = await client('owner', 0);
  const { queue: volatile } = await owner.channel.assertQueue('', { durable: false, autoDelete: true });
  const publisher = await client('publisher', 2);
  const far = await client('far', 2);
  await publisher.channel.assertQueue('q');
  await publish(publisher.channel, 'q');

  cluster.memory[0]!.share = SHORT;
  await expect.poll(() => heard).toContain('owner blocked: low on memory');
  await publish(publisher.channel, 'q');
  // The one that goes there enters, and its connection waits.
  far.channel.sendToQueue(volatile, Buffer.from('x'));
  await expect.poll(() => heard).toContain('far blocked: low on memory');
  expect(heard).not.toContain('publisher blocked: low on memory');

  cluster.memory[1]!.share = SHORT;
  await expect
    .poll(async () => {
      publisher.channel.sendToQueue('q', Buffer.from('x'));
      await Promise.race([publisher.channel.waitForConfirms(), new Promise(resolve => setImmediate(resolve))]);
      return heard;
    })
    .toContain('publisher blocked: low on memory');

  for (const memory of cluster.memory) memory.share = 0.1;
  await publisher.channel.waitForConfirms();
  await far.channel.waitForConfirms();
  await expect
    .poll(() => heard.filter(line => line.endsWith(' unblocked')).sort())
    .toEqual(['far unblocked', 'owner unblocked', 'publisher unblocked']);
});
