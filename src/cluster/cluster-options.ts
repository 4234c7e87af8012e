import type { CheckpointerOptions } from './group/checkpointer.ts';
import type { GroupFactoryOptions } from './group/group-factory.ts';
import type { SnapshotOptions } from './group/host-replica.ts';
import type { MetadataGroupOptions } from './metadata/metadata-group.ts';
import type { NodeSessionOptions } from './node-session.ts';
import type { ReplicasOptions } from './replicas.ts';
import type { VolatileShardOptions } from './shard/volatile-shard.ts';

/** Everything of `config.ts` that concerns the cluster layer. Times in milliseconds. */
export interface ClusterOptions {
  readonly factory: GroupFactoryOptions;
  readonly metadata: Omit<MetadataGroupOptions, 'formation'>;
  readonly checkpoints: CheckpointerOptions;
  readonly snapshots: SnapshotOptions;
  readonly cleaning: ReplicasOptions['cleaning'];
  readonly session: Omit<NodeSessionOptions, 'self' | 'startedMs'>;
  readonly volatile: VolatileShardOptions;
  readonly bodyCacheBytesMax: number;
  /** Bytes queued towards a peer above which no more batches are sent there for now. */
  readonly queuedBytesMax: number;
  readonly deliveryFrameBytesMax: number;
  readonly tickMs: number;
  readonly leaseRenewalMs: number;
  readonly registerRepeatMs: number;
  readonly balanceAfterMs: number;
}
