import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIMITS } from '../../src/config.ts';
import { Flood } from '../support/flood.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/** What the kernel keeps of a loopback connection on its two sides, and what is being parsed. */
const ON_THE_WAY_BYTES = 12 * 1024 * 1024;
const BODY_BYTES = 64 * 1024;
const MESSAGES = 1_000;

let cluster: RunningCluster;

beforeAll(async () => {
  cluster = await RunningCluster.start(3);
}, 60_000);

afterAll(() => cluster.stop());

it('does not read a publisher that is faster than the cluster, and serves the others meanwhile', async () => {
  const guest = await cluster.connect('guest');
  const channel = await guest.createConfirmChannel();
  await channel.assertQueue('flooded');
  await channel.assertQueue('calm');
  const flood = new Flood(cluster.ports[0]!.amqp, 'flooded', { bodyBytes: BODY_BYTES, messages: MESSAGES });
  let roundTrips = 0;
  while (!flood.isDone) {
    channel.sendToQueue('calm', Buffer.from('x'), { persistent: true });
    await channel.waitForConfirms();
    roundTrips++;
  }
  await flood.done;
  flood.close();
  expect(flood.stops).toBeGreaterThan(0);
  expect(flood.mostUnconfirmedBytes).toBeLessThan(LIMITS.outboxBytesMax + ON_THE_WAY_BYTES);
  expect(roundTrips).toBeGreaterThan(10);
  expect(await channel.checkQueue('calm')).toMatchObject({ messageCount: roundTrips });
  expect(await channel.checkQueue('flooded')).toMatchObject({ messageCount: MESSAGES });
}, 120_000);
