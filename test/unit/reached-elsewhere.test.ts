import { expect, it } from 'vitest';
import { DeliveryPipeline } from '../../src/cluster/shard/delivery-pipeline.ts';
import { ShardClient } from '../../src/cluster/shard/shard-client.ts';
import type { ShardLeaderPort } from '../../src/cluster/shard/shard-link.ts';
import { consumerId, incarnation, nodeId, queueId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { countReached } from '../../src/lib/reached.ts';
import { Settlement, writeContinue } from '../../src/queue/commands.ts';
import { DeliveryList } from '../../src/queue/effects.ts';
import { STEP_SHARES } from '../../src/queue/limits.ts';
import { Raft } from '../../src/raft/raft.ts';
import { DEFAULT_OPTIONS } from '../scenario/replica.ts';
import { REACHED_ELSEWHERE } from '../simulation/reached-marks.ts';
import { ALICE, BOB, consume, declare, enqueue, QUEUE, ShardDriver, settle } from '../support/shard-driver.ts';

const CONSUMER = consumerId(1);
const CREDIT = { prefetch: 0, deliverThrough: 100, bytesThrough: 1_000 };
const PORT: ShardLeaderPort = { attach: () => {}, batch: () => true };

/** A client with one consumer that the shard knows. */
function attachedClient(): ShardClient {
  const client = new ShardClient(
    {
      node: ALICE,
      incarnation: incarnation(1),
      batchBytesMax: 1_000,
      bytesMax: 10_000,
      commandsMax: 100,
      attachTimeoutMs: 100,
      reportAfterMs: 1_000,
    },
    {
      topologyIndex: () => 1,
      leader: () => PORT,
      wake: () => {},
      isShortOfMemory: () => false,
      mayServe: () => true,
      monotonicMs: () => 0,
      fenced: () => {},
    },
  );
  const command = { queue: QUEUE, tag: '', exclusive: false, priority: 0, ...CREDIT };
  client.consume(CONSUMER, command, { deliver: () => {}, cancelled: () => {} }, () => {});
  client.process();
  client.attached(incarnation(1), 1, 0, []);
  client.process();
  client.answered(1, []);
  return client;
}

/** A queue with more messages than one entry may settle or hand out. */
function withBacklog(driver: ShardDriver): ShardDriver {
  const countMax = Math.max(STEP_SHARES.deliveries, STEP_SHARES.settlements) + 10;
  for (let count = 0; count < countMax; ) {
    const batch = Array.from({ length: 1_000 }, () => enqueue('m'));
    driver.run(BOB, ...batch);
    count += batch.length;
  }
  return driver;
}

function followerBehindTheMemory(): void {
  const [ONE, TWO, THREE] = [nodeId(1), nodeId(2), nodeId(3)];
  const raft = new Raft(
    { ...DEFAULT_OPTIONS, id: ONE },
    {
      hardState: { term: 1, vote: undefined, commit: 0 },
      base: { term: 0, index: 0 },
      membership: { voters: [ONE, TWO, THREE], outgoing: [], learners: [] },
      log: [{ term: 1, first: 1, last: 10 }],
      configurations: [],
      applied: 0,
      damaged: false,
    },
    new SeededRandom(1),
  );
  raft.campaign('preferred');
  raft.step({ type: 'pre-vote-response', from: TWO, to: ONE, term: 2, granted: true });
  raft.writeCompleted(raft.takeReady()!.write!.number);
  raft.step({ type: 'vote-response', from: TWO, to: ONE, term: 2, granted: true });
  raft.takeReady();
  const hint = { term: 0, index: 0 };
  raft.step({ type: 'append-response', from: TWO, to: ONE, term: 2, accepted: false, match: 10, hint });
  expect(raft.takeReady()?.fetches).toMatchObject([{ peer: TWO, from: 1 }]);
  raft.entriesFetched(TWO, []);
}

function congestedLink(): void {
  const nothing = (): void => {};
  const link = {
    isCongested: true,
    attached: nothing,
    answered: nothing,
    deliver: nothing,
    consumerCancelled: nothing,
    refused: nothing,
    detached: nothing,
  };
  const driver = new ShardDriver();
  driver.run(ALICE, declare(), consume(1));
  const { deliveries } = driver.run(BOB, enqueue('m'));
  expect(deliveries).toBeInstanceOf(DeliveryList);
  const bodies = { find: () => new Uint8Array(1), load: nothing, lost: nothing };
  new DeliveryPipeline(link, bodies as never, () => true).deliver(deliveries, 0, false);
}

const PATHS: Readonly<Record<string, () => void>> = {
  'client.abandoned': () => attachedClient().abandon('abandoned'),
  'client.delivery-missed': () => attachedClient().deliver(CONSUMER, 2, 0, -1, false, new Uint8Array(1), []),
  'client.unknown-consumer-cancelled': () => {
    const client = attachedClient();
    client.detach();
    client.process();
    client.attached(incarnation(1), 2, 1, [CONSUMER]);
  },
  'leader.delivery-waits-for-network': congestedLink,
  'raft.fetch-failed': followerBehindTheMemory,
  'shard.deliveries-left-over': () => {
    const driver = new ShardDriver();
    driver.run(BOB, declare());
    withBacklog(driver).run(ALICE, consume(1));
  },
  'shard.expiries-left-over': () => {
    const driver = new ShardDriver();
    driver.run(BOB, declare(QUEUE, { messageTtlMs: 1_000 }));
    withBacklog(driver).waitedMs += 2_000;
    driver.lead(writeContinue);
  },
  'shard.due-queues-left-over': () => {
    const driver = new ShardDriver();
    const queues = Array.from({ length: STEP_SHARES.dueQueues + 1 }, (_, i) =>
      declare(queueId(i + 1), { expiresMs: 5 }),
    );
    driver.run(BOB, ...queues);
    driver.waitedMs += 5;
    driver.lead(writeContinue);
  },
  'shard.reading-left-over': () => {
    const driver = new ShardDriver();
    driver.run(BOB, declare(QUEUE, { stream: {} }));
    withBacklog(driver).run(ALICE, consume(1, { offset: { from: 'first' } }));
  },
  'shard.return-work-left-over': () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1));
    withBacklog(driver).run(ALICE, settle(Settlement.settle, 1, 1, STEP_SHARES.settlements + 5));
  },
};

it.each(Object.entries(REACHED_ELSEWHERE))('%s is reached here: %s', mark => {
  const reached = countReached();
  PATHS[mark]!();
  expect(reached.get(mark)).toBeGreaterThan(0);
});
