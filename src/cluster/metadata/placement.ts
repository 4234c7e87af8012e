import { assert } from '../../lib/assert.ts';
import { type GroupId, groupId, type NodeId } from '../../lib/ids.ts';
import type { ShardRecord } from './shard-map.ts';

export const REPLICAS_PER_SHARD = 3;

/** A shard is above its share with this many times the average number of queues, and the slack on top of that. */
const SHARE_FACTOR = 1.25;
const SHARE_SLACK = 1;

/**
 * The shards of a new cluster: on each node as many preferred leaders as on any other, and as many replicas. In each round
 * the followers of a node are others of the ring, so that a node that goes leaves its work to more than two.
 */
export function initialShards(
  nodes: readonly NodeId[],
  shardsPerNode: number,
  replicasMax = REPLICAS_PER_SHARD,
): ShardRecord[] {
  assert(nodes.length > 0, 'a cluster has at least one node');
  const followerCount = Math.min(replicasMax, nodes.length) - 1;
  const shards: ShardRecord[] = [];
  for (let round = 0; round < shardsPerNode; round++) {
    for (let at = 0; at < nodes.length; at++) {
      const leader = nodes[at]!;
      const others = [...nodes.slice(at + 1), ...nodes.slice(0, at)];
      const replicas = [leader];
      for (let i = 0; i < followerCount; i++) replicas.push(others[(round * followerCount + i) % others.length]!);
      replicas.sort((a, b) => a - b);
      shards.push({ group: groupId(shards.length + 1), replicas, preferredLeader: leader });
    }
  }
  return shards;
}

/**
 * The shard for a new queue (R5): the preferred one unless it is above its share, else the one with the fewest queues, the
 * lowest group of several. Undefined: there is no shard. `shards` ascends by group.
 */
export function chooseShard(
  shards: readonly ShardRecord[],
  queueCounts: ReadonlyMap<GroupId, number>,
  preferred: GroupId | undefined,
): GroupId | undefined {
  let least: GroupId | undefined;
  let leastCount = Number.POSITIVE_INFINITY;
  let preferredCount: number | undefined;
  let total = 1;
  for (const { group } of shards) {
    const count = queueCounts.get(group) ?? 0;
    total += count;
    if (group === preferred) preferredCount = count;
    if (count < leastCount) {
      least = group;
      leastCount = count;
    }
  }
  const share = Math.ceil((SHARE_FACTOR * total) / shards.length) + SHARE_SLACK;
  return preferredCount !== undefined && preferredCount < share ? preferred : least;
}
