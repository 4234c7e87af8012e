import { beforeEach, describe, expect, it } from 'vitest';
import type { GroupDriver, GroupListener } from '../../../src/cluster/group/group-driver.ts';
import { GroupFactory } from '../../../src/cluster/group/group-factory.ts';
import { hostReplica } from '../../../src/cluster/group/host-replica.ts';
import type { HostedReplica } from '../../../src/cluster/group/hosted-replica.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import { SeededRandom } from '../../../src/lib/random.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { RaftMessage } from '../../../src/raft/messages.ts';
import { DEFAULT_OPTIONS } from '../../scenario/replica.ts';
import { disk } from '../../support/journal-fixture.ts';
import { StoreLife } from '../../support/store-life.ts';

const group = groupId(4);
const [SELF, LEADER, OTHER] = [nodeId(1), nodeId(2), nodeId(3)];
const membership = { voters: [SELF, LEADER, OTHER], outgoing: [], learners: [] };
const snapshot = { last: { term: 2, index: 40 }, membership };
const FROM_LEADER = { from: LEADER, to: SELF, term: 3 };
const HEARTBEAT: RaftMessage = { ...FROM_LEADER, type: 'heartbeat', commit: 0, readRound: 0 };
const CHECKPOINTS = {
  ...{ entries: 1_000, bytes: 1_000_000, idleMs: 1_000_000, pageBytes: 1_000 },
  ...{ trailingEntries: 10, trailingBytesMax: 10_000, catchUpBytesMax: 10_000, offeredBytesMax: 10_000 },
};
const SNAPSHOTS = {
  ...{ chunkBytes: 1_000, pageBytes: 1_000, pinnedBytesMax: 1_000_000, idleMs: 1_000_000 },
  ...{ chunksAhead: 4, repeatMs: 1_000_000 },
};

describe('a follower that hears of its peers', () => {
  let life: StoreLife;
  let driver: GroupDriver<ShardEffects>;
  let replica: HostedReplica<ShardEffects>;
  let sent: RaftMessage[];
  let wakes: number;

  beforeEach(async () => {
    life = await StoreLife.begin(disk());
    sent = [];
    wakes = 0;
    const { store } = life;
    const clock = { monotonicMs: () => 0, random: new SeededRandom(1), wake: () => void wakes++ };
    const factory = new GroupFactory(
      { raft: DEFAULT_OPTIONS, entryBytesMax: 1_024, proposalBytesMax: 4_096, inflightEntriesMax: 4, sliceMs: 8 },
      { ...clock, store, send: message => void sent.push(message) },
    );
    const machine = new ShardMachine();
    driver = factory.driver<ShardEffects>(
      {
        ...{ group, id: SELF, machine, restored: { term: 0, index: 0 }, isLost: false, entryTimeMs: () => 0 },
        // The test installs the snapshot itself.
        listener: { roleChanged: () => {}, install: () => {} } as unknown as GroupListener<ShardEffects>,
        proposals: factory.proposals(group, 8, () => {}),
      },
      membership,
    );
    replica = hostReplica(
      driver,
      machine,
      { liveReferences: () => [], prepare: () => () => {} },
      { checkpoints: CHECKPOINTS, snapshots: SNAPSHOTS },
      {
        ...{ ...clock, store, sendSnapshot: () => {}, nextTurn: () => Promise.resolve() },
        logger: { info: () => {}, warn: () => {}, error: () => {} },
      },
    );
    replica.step(HEARTBEAT);
    await turn();
  });

  const turn = async (): Promise<void> => {
    replica.process();
    life.store.flush();
    await life.settle();
  };

  const beginSwitch = async (): Promise<void> => {
    replica.step({ ...FROM_LEADER, type: 'snapshot-offer', snapshot });
    await turn();
    expect(driver.switchTo(driver.raft.installing!.snapshot, 1, () => {})).toBe(true);
    sent.length = 0;
  };

  it('campaigns soon when its leader is gone', async () => {
    wakes = 0;
    replica.peerGone(LEADER);
    expect(wakes).toBe(1);
    for (let ticks = 0; ticks < 5; ticks++) replica.tick();
    await turn();
    expect(sent.map(message => [message.type, message.to])).toContainEqual(['pre-vote-request', OTHER]);
  });

  it('does not step the core while it switches to a snapshot, and tells its leader of the snapshot', async () => {
    await beginSwitch();
    const before = driver.raft.status();
    replica.peerGone(LEADER);
    replica.peerConnected(LEADER);
    for (let ticks = 0; ticks < 5; ticks++) replica.tick();
    expect(driver.raft.status()).toEqual(before);
    await turn();
    await turn();
    expect(driver.applied).toEqual(snapshot.last);
    expect(sent).toEqual([
      { ...FROM_LEADER, type: 'snapshot-response', from: SELF, to: LEADER, installed: true, match: 40 },
    ]);
  });

  it('does nothing any more when it has stopped', async () => {
    await replica.stop();
    const before = driver.raft.status();
    replica.peerGone(LEADER);
    expect(driver.raft.status()).toEqual(before);
  });
});
