import { describe, expect, it } from 'vitest';
import { chooseShard, initialShards } from '../../../src/cluster/metadata/placement.ts';
import { type GroupId, groupId, type NodeId, nodeId } from '../../../src/lib/ids.ts';

const nodes = (count: number): NodeId[] => Array.from({ length: count }, (_, i) => nodeId(i + 1));
const tally = (values: readonly number[]): number[] => {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts.values()];
};

describe('the shards of a new cluster', () => {
  it.each([1, 2, 3, 4, 5, 7, 10])('are spread evenly over %i nodes', count => {
    const shards = initialShards(nodes(count), 2);
    expect(shards.map(shard => shard.group)).toEqual(Array.from({ length: 2 * count }, (_, i) => i + 1));
    const replicaCount = Math.min(3, count);
    for (const shard of shards) {
      expect(new Set(shard.replicas).size).toBe(replicaCount);
      expect(shard.replicas).toContain(shard.preferredLeader);
    }
    expect(tally(shards.map(shard => shard.preferredLeader))).toEqual(Array(count).fill(2));
    expect(tally(shards.flatMap(shard => shard.replicas))).toEqual(Array(count).fill(2 * replicaCount));
  });
});

describe('the shard for a new queue', () => {
  const shards = initialShards(nodes(3), 2);
  const counts = (...values: number[]): Map<GroupId, number> =>
    new Map(values.map((value, i) => [groupId(i + 1), value]));

  it('is the preferred one, unless that is above its share', () => {
    expect(chooseShard(shards, counts(0, 0, 0, 0, 0, 0), groupId(4))).toBe(4);
    expect(chooseShard(shards, counts(10, 10, 10, 12, 10, 10), groupId(4))).toBe(4);
    expect(chooseShard(shards, counts(10, 10, 9, 100, 9, 10), groupId(4))).toBe(3);
  });

  it('is the one with the fewest queues when none is preferred', () => {
    expect(chooseShard(shards, counts(3, 2, 3, 1, 1, 2), undefined)).toBe(4);
    expect(chooseShard(shards, counts(3, 2, 3, 1, 1, 2), groupId(99))).toBe(4);
  });

  it('is none without shards', () => {
    expect(chooseShard([], new Map(), groupId(1))).toBeUndefined();
  });

  it('stays balanced when one node declares everything', () => {
    const filled = counts();
    for (let i = 0; i < 6000; i++) {
      const chosen = chooseShard(shards, filled, groupId(1))!;
      filled.set(chosen, (filled.get(chosen) ?? 0) + 1);
    }
    expect(Math.max(...filled.values())).toBeLessThan(1.3 * 1000);
    expect(Math.min(...filled.values())).toBeGreaterThan(0.9 * 1000);
  });
});
