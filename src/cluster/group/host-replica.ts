import type { GroupId, LogIndex, NodeId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Random } from '../../lib/random.ts';
import type { Checkpointable } from '../../raft/checkpoint.ts';
import { FrameKind } from '../frames.ts';
import { encodeChunk, encodeRequest } from '../snapshot/snapshot-codec.ts';
import { SnapshotSink, type SnapshotSinkDependencies, type SnapshotSinkOptions } from '../snapshot/snapshot-sink.ts';
import { SnapshotSource, type SnapshotSourceOptions } from '../snapshot/snapshot-source.ts';
import { Checkpointer, type CheckpointerOptions } from './checkpointer.ts';
import type { GroupDriver } from './group-driver.ts';
import { HostedReplica } from './hosted-replica.ts';
import type { CleanableGroup } from './journal-cleaner.ts';
import type { NodeStore } from './node-store.ts';

export type SnapshotOptions = Omit<SnapshotSourceOptions & SnapshotSinkOptions, 'group'>;

export interface ReplicaHostingOptions {
  readonly checkpoints: CheckpointerOptions;
  readonly snapshots: SnapshotOptions;
}

export interface ReplicaHostingDependencies {
  readonly store: NodeStore;
  readonly random: Random;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
  readonly wake: (group: GroupId) => void;
  /** On the `log` lane, behind what was sent before. */
  readonly sendSnapshot: (to: NodeId, kind: FrameKind, group: GroupId, payload: Uint8Array) => void;
  /** Resolves when other work had its turn (R10). */
  readonly nextTurn: () => Promise<void>;
}

/** What snapshots and cleaning have to know of the machine. */
export type MachineParts = Pick<CleanableGroup, 'liveReferences'> & Pick<SnapshotSinkDependencies, 'prepare'>;

/** Gives a driver's replica what keeps it going beside the log: its checkpoints, and both halves of snapshot transfers. */
export function hostReplica<Effects>(
  driver: GroupDriver<Effects>,
  machine: Checkpointable & { readonly applied: LogIndex },
  parts: MachineParts,
  options: ReplicaHostingOptions,
  deps: ReplicaHostingDependencies,
): HostedReplica<Effects> {
  const { store, random, monotonicMs, logger, nextTurn, sendSnapshot, wake } = deps;
  const { group } = driver;
  const { chunkBytes, pageBytes, pinnedBytesMax, idleMs, chunksAhead, repeatMs } = options.snapshots;
  const committedBefore = store.recovered.get(group)?.hardState.commit ?? 0;
  const source = new SnapshotSource(
    { group, chunkBytes, pageBytes, pinnedBytesMax, idleMs },
    {
      driver,
      machine,
      store,
      liveReferences: through => parts.liveReferences(0, through),
      send: (to, chunk) => sendSnapshot(to, FrameKind.snapshotChunk, group, encodeChunk(chunk)),
      wake: () => wake(group),
      nextTurn,
      monotonicMs,
      random: random.fork(`snapshots:${group}`),
      logger,
    },
  );
  const checkpointer = new Checkpointer(options.checkpoints, {
    driver,
    machine,
    store,
    monotonicMs,
    offered: () => source.offered,
  });
  const sink = new SnapshotSink(
    { group, chunksAhead, repeatMs },
    {
      driver,
      checkpointer,
      store,
      committed: () => Math.max(driver.raft.commit, committedBefore),
      prepare: parts.prepare,
      send: (to, request) => sendSnapshot(to, FrameKind.snapshotRequest, group, encodeRequest(request)),
      monotonicMs,
      logger,
    },
  );
  const { liveReferences } = parts;
  return new HostedReplica<Effects>({ driver, checkpointer, source, sink, store, machine, liveReferences });
}
