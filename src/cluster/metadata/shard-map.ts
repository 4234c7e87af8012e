import { assert } from '../../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { type GroupId, groupId, type NodeId, nodeId } from '../../lib/ids.ts';

/** A shard and the nodes that are to hold it. Raft's own configuration follows it. */
export interface ShardRecord {
  readonly group: GroupId;
  /** Ascending, without repeats. */
  readonly replicas: readonly NodeId[];
  /** One of the replicas: leads when it can. */
  readonly preferredLeader: NodeId;
}

export type ShardMapView = Omit<ShardMap, 'set' | 'restore'>;

/** Which shards there are and where. Grows; a shard never goes. */
export class ShardMap {
  #version = 0;
  readonly #shards = new Map<GroupId, ShardRecord>();

  /** Counts changes. */
  get version(): number {
    return this.#version;
  }

  get count(): number {
    return this.#shards.size;
  }

  get(group: GroupId): ShardRecord | undefined {
    return this.#shards.get(group);
  }

  /** Ascending by group. */
  list(): ShardRecord[] {
    return [...this.#shards.values()].sort((a, b) => a.group - b.group);
  }

  /** Of which shards the node is to hold a replica. */
  heldBy(node: NodeId): ShardRecord[] {
    return this.list().filter(shard => shard.replicas.includes(node));
  }

  set(shard: ShardRecord): void {
    assert(shard.replicas.includes(shard.preferredLeader), () => `shard ${shard.group} prefers a leader outside`);
    this.#shards.set(shard.group, { ...shard, replicas: [...shard.replicas].sort((a, b) => a - b) });
    this.#version++;
  }

  encode(out: ByteWriter): void {
    out.u48(this.#version);
    out.u32(this.#shards.size);
    for (const shard of this.list()) writeShard(out, shard);
  }

  restore(reader: ByteReader): void {
    const version = reader.u48();
    const count = reader.u32();
    for (let i = 0; i < count; i++) this.set(readShard(reader));
    this.#version = version;
  }
}

export function writeShard(out: ByteWriter, shard: ShardRecord): void {
  out.u32(shard.group);
  out.u32(shard.preferredLeader);
  out.u8(shard.replicas.length);
  for (const replica of shard.replicas) out.u32(replica);
}

export function readShard(reader: ByteReader): ShardRecord {
  const [group, preferredLeader, count] = [groupId(reader.u32()), nodeId(reader.u32()), reader.u8()];
  return { group, preferredLeader, replicas: Array.from({ length: count }, () => nodeId(reader.u32())) };
}
