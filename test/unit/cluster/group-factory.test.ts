import { describe, expect, it } from 'vitest';
import type { GroupListener } from '../../../src/cluster/group/group-driver.ts';
import { GroupFactory } from '../../../src/cluster/group/group-factory.ts';
import type { NodeStore } from '../../../src/cluster/group/node-store.ts';
import { groupId, nodeId } from '../../../src/lib/ids.ts';
import { SeededRandom } from '../../../src/lib/random.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { GroupWrite, RecoveredGroup } from '../../../src/raft/log-store.ts';
import { NO_MEMBERS } from '../../../src/raft/membership.ts';
import type { Membership } from '../../../src/raft/messages.ts';
import { DEFAULT_OPTIONS } from '../../scenario/replica.ts';

const group = groupId(4);
const VOTERS = { voters: [nodeId(1), nodeId(2), nodeId(3)], outgoing: [], learners: [] };

const found = (given: Partial<RecoveredGroup>): RecoveredGroup => ({
  group,
  hardState: { term: 0, vote: undefined, commit: 0 },
  base: { last: { term: 0, index: 0 }, membership: NO_MEMBERS, generation: 0 },
  log: [],
  configurations: [],
  damaged: false,
  ...given,
});

/** The replica that begins from what recovery found, and what it writes as it begins. */
function begin(recovered: RecoveredGroup | undefined, initial: Membership = VOTERS, { isLost = false } = {}) {
  const writes: GroupWrite[] = [];
  const store = {
    recovered: new Map(recovered === undefined ? [] : [[group, recovered]]),
    journal: {
      append: (write: GroupWrite) => void writes.push(write),
      allocate: (_group: number, bytes: number) => new Uint8Array(bytes),
      accounted: () => {},
    },
    writtenState: () => recovered,
  } as unknown as NodeStore;
  const factory = new GroupFactory(
    { raft: DEFAULT_OPTIONS, entryBytesMax: 1_024, proposalBytesMax: 4_096, inflightEntriesMax: 4, sliceMs: 8 },
    { store, random: new SeededRandom(1), send: () => {}, wake: () => {}, monotonicMs: () => 0 },
  );
  const driver = factory.driver<ShardEffects>(
    {
      group,
      id: nodeId(1),
      machine: new ShardMachine(),
      restored: (isLost ? undefined : recovered?.base.last) ?? { term: 0, index: 0 },
      isLost,
      listener: { roleChanged: () => {} } as unknown as GroupListener<ShardEffects>,
      proposals: factory.proposals(group, 8, () => {}),
      entryTimeMs: () => 0,
    },
    initial,
  );
  return { raft: driver.raft, driver, writes };
}

describe('a replica that the factory makes', () => {
  it('begins with the members that it is given, and writes them down, where there is nothing', () => {
    for (const nothing of [undefined, found({})]) {
      const { raft, writes } = begin(nothing);
      expect(raft.membership).toEqual(VOTERS);
      expect(writes.map(({ base }) => base?.membership)).toEqual([VOTERS]);
    }
  });

  it('keeps the term, the vote and the log of a replica that joins and had not heard of its members at the base', () => {
    const hardState = { term: 7, vote: nodeId(2), commit: 12 };
    const log = [{ term: 6, first: 11, last: 14 }];
    const base = { last: { term: 6, index: 10 }, membership: NO_MEMBERS, generation: 0 };
    const configurations = [{ index: 13, membership: VOTERS }];
    const { raft, writes } = begin(found({ hardState, base, log, configurations }), NO_MEMBERS);
    expect(raft.status()).toMatchObject({ term: 7, vote: 2, last: { term: 6, index: 14 }, membership: VOTERS });
    expect(raft.base).toEqual(base.last);
    expect(writes).toEqual([]);
  });

  it('begins with the members of the first entry where its log is lost, not with those of its last base', () => {
    const hardState = { term: 7, vote: undefined, commit: 12 };
    const later = { voters: [nodeId(1), nodeId(4), nodeId(5)], outgoing: [], learners: [] };
    const base = { last: { term: 6, index: 10 }, membership: later, generation: 0 };
    const { raft, driver, writes } = begin(found({ hardState, base }), VOTERS, { isLost: true });
    expect(raft.membership).toEqual(VOTERS);
    const entries = [{ index: 1, term: 1, kind: 1 as const, payload: new Uint8Array(0) }];
    const ids = { from: nodeId(2), to: nodeId(1) };
    const append = { type: 'append-request', previous: { term: 0, index: 0 }, entries, commit: 0 } as const;
    for (const term of [8, 9, 10]) driver.step({ ...append, ...ids, term });
    driver.process();
    expect(writes.find(({ base: written }) => written !== undefined)?.base?.membership).toEqual(VOTERS);
  });

  it('does not keep the chunk in which an entry came from its leader', () => {
    const { raft, driver } = begin(undefined);
    const chunk = new Uint8Array(65_536).fill(7);
    const entries = [1, 2].map(index => ({
      index,
      term: 3,
      kind: 1 as const,
      payload: chunk.subarray(index, index + 5),
    }));
    const ids = { from: nodeId(2), to: nodeId(1), term: 3 };
    driver.step({ type: 'append-request', ...ids, previous: { term: 0, index: 0 }, entries, commit: 0 });
    for (const index of [1, 2]) {
      const payload = raft.payloadAt(index)!;
      expect([...payload]).toEqual([7, 7, 7, 7, 7]);
      expect(payload.buffer).not.toBe(chunk.buffer);
    }
  });

  it('keeps a vote that was given before anything was stored', () => {
    const { raft } = begin(found({ hardState: { term: 7, vote: nodeId(2), commit: 0 } }), NO_MEMBERS);
    expect(raft.status()).toMatchObject({ term: 7, vote: 2 });
  });
});
