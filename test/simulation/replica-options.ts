import type { GroupFactoryOptions } from '../../src/cluster/group/group-factory.ts';
import type { ReplicaHostingOptions } from '../../src/cluster/group/host-replica.ts';
import type { LimitSwarm, Swarm } from './swarm.ts';

const HEARTBEAT_TICKS = 2;
const SLICE_MS = 8;
const CHECKPOINT_IDLE_MS = 5_000;
const CATCH_UP_SEGMENTS = 4;
const SNAPSHOT_CHUNKS_AHEAD = 2;
const SNAPSHOT_REPEAT_MS = 1_500;
const SNAPSHOT_IDLE_MS = 10_000;

export function groupOptions({ limits, electionTicks }: Swarm): GroupFactoryOptions {
  return {
    raft: {
      electionTimeoutTicks: electionTicks,
      heartbeatTicks: HEARTBEAT_TICKS,
      inflightEntriesMax: limits.inflightEntriesMax,
      inflightBytesMax: limits.inflightEntriesMax * limits.entryBytesMax,
      appendBytesMax: limits.appendBytesMax,
      cachedBytesMax: limits.cachedBytesMax,
    },
    entryBytesMax: limits.entryBytesMax,
    proposalBytesMax: limits.proposalBytesMax,
    inflightEntriesMax: limits.inflightEntriesMax,
    sliceMs: SLICE_MS,
  };
}

export function hostingOptions(limits: LimitSwarm): ReplicaHostingOptions {
  const { segmentBytes, pageBytesMax: pageBytes } = limits;
  return {
    checkpoints: {
      entries: limits.checkpointEntries,
      bytes: limits.checkpointEntries * limits.entryBytesMax,
      idleMs: CHECKPOINT_IDLE_MS,
      trailingEntries: limits.trailingEntries,
      trailingBytesMax: segmentBytes,
      catchUpBytesMax: CATCH_UP_SEGMENTS * segmentBytes,
      offeredBytesMax: 2 * CATCH_UP_SEGMENTS * segmentBytes,
      pageBytes,
    },
    snapshots: {
      chunkBytes: limits.snapshotChunkBytes,
      chunksAhead: SNAPSHOT_CHUNKS_AHEAD,
      pageBytes,
      pinnedBytesMax: 2 * CATCH_UP_SEGMENTS * segmentBytes,
      repeatMs: SNAPSHOT_REPEAT_MS,
      idleMs: SNAPSHOT_IDLE_MS,
    },
  };
}
