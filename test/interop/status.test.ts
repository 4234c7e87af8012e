import { toBinary } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AdminClient } from '../../src/cli/admin-client.ts';
import { type GetStatusResponse, GetStatusResponseSchema } from '../../src/gen/warren/v1/admin_pb.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/** Queues with names as long as they may be: an answer with them in it would have 75 KB. */
const QUEUES = 300;
const STATUS_BYTES_MAX = 2_000;

let cluster: RunningCluster;
const channels: ConfirmChannel[] = [];

beforeAll(async () => {
  cluster = await RunningCluster.start(3);
  await cluster.administration().putUser({ user: 'worker', password: { clear: 'w' }, tags: [] });
  for (const node of [0, 1, 2]) {
    channels.push(await (await cluster.connect('guest', { node })).createConfirmChannel());
  }
  const names = Array.from({ length: QUEUES }, (_, i) => `${i}`.padEnd(255, '-'));
  await Promise.all(names.map((name, i) => channels[i % 3]!.assertQueue(name)));
}, 120_000);

afterAll(() => cluster.stop());

async function asked<Answer>(user: string, ask: (client: AdminClient) => Promise<Answer>, node = 0): Promise<Answer> {
  const address = `127.0.0.1:${cluster.ports[node]!.grpc}`;
  const client = await AdminClient.connect(new Map(Object.entries({ address, user })));
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

const statusFor = (user: string, node?: number): Promise<GetStatusResponse> =>
  asked(user, client => client.call('getStatus', {}), node);

async function namesFor(user: string): Promise<string[]> {
  return asked(user, async client => {
    const names: string[] = [];
    for await (const { queues } of client.stream('listQueues', {})) names.push(...queues.map(({ name }) => name));
    return names;
  });
}

it('is as small with hundreds of queues as with none, and counts them', async () => {
  for (const node of [0, 1, 2]) {
    const answer = await statusFor('guest:guest', node);
    expect(answer).toMatchObject({ queueCount: QUEUES, ready: 0n, unacked: 0n });
    expect(toBinary(GetStatusResponseSchema, answer).length).toBeLessThan(STATUS_BYTES_MAX);
  }
});

it('counts the messages of all queues, wherever they live', async () => {
  const [first, second] = channels as [ConfirmChannel, ConfirmChannel];
  for (const queue of ['0', '1', '2']) first.sendToQueue(queue.padEnd(255, '-'), Buffer.from('x'));
  await second.assertQueue('own', { exclusive: true });
  for (let i = 0; i < 4; i++) first.sendToQueue('own', Buffer.from('x'));
  await first.waitForConfirms();
  await second.prefetch(1);
  await second.consume('own', () => {});
  // The one that the consumer may have is unacknowledged.
  await expect
    .poll(() => statusFor('guest:guest', 2))
    .toMatchObject({ queueCount: QUEUES + 1, ready: 6n, unacked: 1n });
});

it('is for every user; the names of queues are for those who may list them', async () => {
  expect(await statusFor('worker:w')).toMatchObject({ nodes: [{ up: true }, { up: true }, { up: true }] });
  await expect(namesFor('worker:w')).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  expect((await namesFor('guest:guest')).length).toBeGreaterThanOrEqual(QUEUES);
  await expect(statusFor('worker:wrong')).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
});
