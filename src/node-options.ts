import type { ClusterOptions } from './cluster/cluster-options.ts';
import type { LaneBounds } from './cluster/transport/grpc-link.ts';
import { ENTRY_PAYLOAD_BYTES_MAX } from './cluster/transport/raft-wire.ts';
import { FRAME_PAYLOAD_BYTES_MAX } from './cluster/transport/transport.ts';
import { type Config, LIMITS, TIMING } from './config.ts';
import { assert } from './lib/assert.ts';

/** Room that an entry's payload needs in its frame and in an append beside it. */
const APPEND_HEAD_BYTES = 4096;
const appendBytesMax = FRAME_PAYLOAD_BYTES_MAX - APPEND_HEAD_BYTES;

assert(LIMITS.entryBytesMax <= ENTRY_PAYLOAD_BYTES_MAX, 'an entry must fit into one message between nodes');
assert(LIMITS.entryBytesMax <= appendBytesMax, 'an entry must fit into one append');

/** Bytes queued towards a peer on each lane beyond which the link is given up: bounds above keep it far below. */
export const transportBounds: LaneBounds = {
  control: 4 * 1024 * 1024,
  log: 128 * 1024 * 1024,
  clients: 128 * 1024 * 1024,
};

/** The limits and times of `config.ts`, as the cluster layer takes them. */
export function clusterOptions(config: Config): ClusterOptions {
  return {
    factory: {
      raft: {
        electionTimeoutTicks: TIMING.electionTicks,
        heartbeatTicks: TIMING.heartbeatTicks,
        inflightEntriesMax: LIMITS.inflightEntriesMax,
        inflightBytesMax: LIMITS.inflightBytesMax,
        appendBytesMax,
        cachedBytesMax: LIMITS.cachedBytesMax,
      },
      entryBytesMax: LIMITS.entryBytesMax,
      proposalBytesMax: LIMITS.proposalBytesMax,
      inflightEntriesMax: LIMITS.proposedEntriesMax,
      sliceMs: LIMITS.sliceMs,
    },
    metadata: {
      shardsPerNode: config.shardsPerNode,
      routingLeaseMs: TIMING.routingLeaseMs,
      nodeLeaseMs: TIMING.nodeLeaseMs,
      goneGraceMs: TIMING.goneGraceMs,
    },
    checkpoints: {
      entries: LIMITS.checkpointEntries,
      bytes: LIMITS.checkpointBytes,
      idleMs: TIMING.checkpointIdleMs,
      trailingEntries: LIMITS.trailingEntries,
      trailingBytesMax: LIMITS.trailingBytesMax,
      catchUpBytesMax: LIMITS.catchUpBytesMax,
      offeredBytesMax: LIMITS.snapshotPinnedBytesMax,
      pageBytes: LIMITS.checkpointSliceBytes,
    },
    snapshots: {
      chunkBytes: LIMITS.snapshotChunkBytes,
      chunksAhead: LIMITS.snapshotChunksAhead,
      pageBytes: LIMITS.checkpointSliceBytes,
      pinnedBytesMax: LIMITS.snapshotPinnedBytesMax,
      repeatMs: TIMING.snapshotRepeatMs,
      idleMs: TIMING.snapshotIdleMs,
    },
    cleaning: {
      periodMs: TIMING.cleaningPeriodMs,
      batchBytes: LIMITS.stragglerBatchBytes,
      pieceCount: LIMITS.sweepPieceCount,
      deadMax: LIMITS.sweepDeadMax,
      sliceMs: LIMITS.sliceMs,
    },
    session: {
      client: {
        batchBytesMax: LIMITS.batchBytesMax,
        bytesMax: LIMITS.outboxBytesMax,
        commandsMax: LIMITS.outboxCommandsMax,
        attachTimeoutMs: TIMING.attachRepeatMs,
        reportAfterMs: TIMING.reportAfterMs,
      },
      metadata: { repeatMs: TIMING.requestRepeatMs, timeoutMs: TIMING.requestTimeoutMs },
      lease: {
        routingLeaseMs: TIMING.routingLeaseMs,
        nodeLeaseMs: TIMING.nodeLeaseMs,
        marginMs: TIMING.leaseMarginMs,
      },
    },
    volatile: {
      entryBytesMax: LIMITS.entryBytesMax,
      waitingBytesMax: LIMITS.proposalBytesMax,
      memoryBytesMax: LIMITS.volatileBytesMax,
      sliceMs: LIMITS.sliceMs,
    },
    bodyCacheBytesMax: LIMITS.bodyCacheBytesMax,
    queuedBytesMax: LIMITS.peerQueueBytesMax,
    deliveryFrameBytesMax: LIMITS.deliveryFrameBytesMax,
    tickMs: TIMING.tickMs,
    leaseRenewalMs: TIMING.leaseRenewalMs,
    registerRepeatMs: TIMING.registerRepeatMs,
    balanceAfterMs: TIMING.balanceAfterMs,
  };
}
