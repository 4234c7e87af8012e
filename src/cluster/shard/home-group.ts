import type { QueueHome } from '../../broker/topology-records.ts';
import { type GroupId, groupId, incarnation, type NodeId } from '../../lib/ids.ts';

/** Frames name a volatile home by its incarnation above this; shards count from 1 (R4). */
const VOLATILE_BASE = 2 ** 31;

/** The group that stands for a home in frames between nodes. */
export const groupOfHome = (home: QueueHome): GroupId =>
  home.kind === 'shard' ? home.group : groupId(VOLATILE_BASE + home.incarnation);

/** The home that `host` means by a group. */
export const homeOfGroup = (group: GroupId, host: NodeId): QueueHome =>
  group < VOLATILE_BASE
    ? { kind: 'shard', group }
    : { kind: 'volatile', node: host, incarnation: incarnation(group - VOLATILE_BASE) };
