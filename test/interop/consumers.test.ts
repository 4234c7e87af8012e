import type { Channel, ChannelModel, ConsumeMessage, Options } from 'amqplib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../cluster/waiting.ts';
import { GrpcTestClient } from '../support/grpc-client.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/** Consumers of one queue that are connected to different nodes. */
const PATIENCE_MS = 20_000;

let cluster: RunningCluster;

beforeAll(async () => {
  cluster = await RunningCluster.start(3);
}, 60_000);

afterAll(() => cluster?.stop());

/** A client of one node with one channel and one consumer, which remembers what it gets. */
class Worker {
  readonly client: ChannelModel;
  readonly channel: Channel;
  readonly messages: ConsumeMessage[] = [];

  private constructor(client: ChannelModel, channel: Channel) {
    this.client = client;
    this.channel = channel;
  }

  static async at(node: number, queue: string, options: Options.Consume & { prefetch?: number } = {}): Promise<Worker> {
    const client = await cluster.connect('guest', { node });
    const channel = await client.createChannel();
    channel.on('error', () => {});
    const worker = new Worker(client, channel);
    if (options.prefetch !== undefined) await channel.prefetch(options.prefetch);
    await channel.consume(queue, message => message && worker.messages.push(message), options);
    return worker;
  }

  /** Bodies, those that came again with a star. */
  get bodies(): string[] {
    return this.messages.map(({ content, fields }) => `${content.toString()}${fields.redelivered ? '*' : ''}`);
  }

  async has(count: number): Promise<string[]> {
    await eventually(`delivery ${count}`, PATIENCE_MS, () => this.messages.length >= count);
    return this.bodies;
  }
}

async function publisher(
  queue: string,
  args: Record<string, unknown> = {},
): Promise<(...bodies: string[]) => Promise<void>> {
  const channel = await (await cluster.connect('guest')).createConfirmChannel();
  await channel.assertQueue(queue, { durable: true, arguments: args });
  return async (...bodies) => {
    for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
    await channel.waitForConfirms();
  };
}

it('serves consumers with a higher priority first, wherever they are', async () => {
  const publish = await publisher('by-priority');
  const low = await Worker.at(0, 'by-priority', { priority: -1 });
  const high = await Worker.at(1, 'by-priority', { priority: 9, prefetch: 2 });
  const middle = await Worker.at(2, 'by-priority', { prefetch: 1 });
  await publish('1', '2', '3', '4', '5');
  expect(await high.has(2)).toEqual(['1', '2']);
  expect(await middle.has(1)).toEqual(['3']);
  expect(await low.has(2)).toEqual(['4', '5']);
  high.channel.ackAll();
  // Answered behind the acknowledgement.
  await high.channel.checkQueue('by-priority');
  await publish('6');
  expect(await high.has(3)).toEqual(['1', '2', '6']);
});

it('knows the priorities of consumers over gRPC, too', async () => {
  const publish = await publisher('by-any-protocol');
  const usual = await Worker.at(0, 'by-any-protocol');
  const grpc = new GrpcTestClient(cluster.ports[1]!.grpc);
  const preferred = grpc.consume();
  const priority = { value: { case: 'int32', value: 3 } } as const;
  const open = { queue: 'by-any-protocol', window: 1, arguments: { 'x-priority': priority } };
  preferred.send({ request: { case: 'open', value: open } });
  await preferred.until(() => preferred.responses.length === 1);
  await publish('1', '2');
  await preferred.until(() => preferred.responses.length === 2);
  expect(await usual.has(1)).toEqual(['2']);
  grpc.close();
});

it('lets one consumer at a time have the messages of a queue that wants it so', async () => {
  const publish = await publisher('one-at-a-time', { 'x-single-active-consumer': true });
  const first = await Worker.at(0, 'one-at-a-time');
  const second = await Worker.at(1, 'one-at-a-time', { prefetch: 1 });
  const preferred = await Worker.at(2, 'one-at-a-time', { priority: 5 });
  await publish('1', '2', '3');
  expect(await first.has(3)).toEqual(['1', '2', '3']);
  first.channel.ack(first.messages[0]!);
  await publish('4');
  await first.has(4);
  await first.channel.close();
  expect(await preferred.has(3)).toEqual(['2*', '3*', '4*']);
  preferred.channel.ackAll();
  await publish('5');
  await preferred.has(4);
  await preferred.client.close();
  expect(await second.has(1)).toEqual(['5*']);
  await publish('6');
  const third = await Worker.at(0, 'one-at-a-time', { priority: 9 });
  // It has all that its prefetch allows, and still it is the one.
  second.channel.ackAll();
  expect(await second.has(2)).toEqual(['5*', '6']);
  expect(third.bodies).toEqual([]);
});

it('says so when a consumer wants such a queue for itself', async () => {
  await publisher('never-alone', { 'x-single-active-consumer': true });
  await expect(Worker.at(1, 'never-alone', { exclusive: true })).rejects.toThrow(
    "ACCESS_REFUSED - queue 'never-alone' in vhost '/' in exclusive use",
  );
});
