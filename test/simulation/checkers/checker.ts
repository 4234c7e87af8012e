import type { StragglerId } from '../../../src/cluster/group/node-store.ts';
import type { GroupId, NodeId } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { GroupWrite, RecoveredGroup } from '../../../src/raft/log-store.ts';
import type { RaftMessage } from '../../../src/raft/messages.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { Cluster } from '../cluster.ts';
import type { CrashLoss, SimNode } from '../sim-node.ts';
import type { SimReplica } from '../sim-replica.ts';
import type { StoredCheckpoint } from '../sim-store.ts';
import { Violation } from '../violation.ts';

/**
 * An observer that states one promise. It keeps its own record of what it saw and never changes the world. A new checker is a
 * file here and a line in `index.ts`. A `SimReplica` is one life of a replica: after a restart it is another object.
 */
export abstract class Checker {
  /** The promise in two or three words; reports begin with it. */
  abstract readonly title: string;
  readonly cluster: Cluster;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** A message leaves a node. */
  onSend(_replica: SimReplica, _message: RaftMessage): void {}
  /** A message reaches a replica that is up. */
  onDeliver(_replica: SimReplica, _message: RaftMessage): void {}
  /** A write was handed to the journal. */
  onWrite(_replica: SimReplica, _write: GroupWrite): void {}
  /** The journal reported a write as durable; the messages that wait for it have not left. */
  onDurable(_replica: SimReplica, _write: GroupWrite): void {}
  /** The machine applied a command. */
  onApply(_replica: SimReplica, _meta: ApplyMeta, _payload: Uint8Array, _effects: ShardEffects): void {}
  /** The effects of an entry are performed. */
  onPerform(_replica: SimReplica, _meta: ApplyMeta, _effects: ShardEffects): void {}
  /** A tick of the node's clock has passed for the replica. */
  onTick(_replica: SimReplica): void {}
  /** A leader asks for a round that confirms its leadership; the number is unique within a life of the replica. */
  onReadBegun(_replica: SimReplica, _read: number): void {}
  /** That round is confirmed: what is committed here now holds everything that was committed when it began. */
  onReadConfirmed(_replica: SimReplica, _read: number): void {}
  onCrash(_node: NodeId, _loss: CrashLoss): void {}
  /** Recovery read this from the node's disk, before the core starts from it. */
  onRecover(_node: NodeId, _group: GroupId, _recovered: RecoveredGroup | undefined): void {}
  /** A checkpoint of the replica's state as it is now begins. */
  onCut(_replica: SimReplica): void {}
  /** The pages of a checkpoint are durable. */
  onCheckpoint(_replica: SimReplica, _checkpoint: StoredCheckpoint): void {}
  /** A segment of the journal is about to go. */
  onReclaim(_node: SimNode): void {}
  /** Messages that were moved out of the journal are about to be deleted. */
  onStragglersDeleted(_replica: SimReplica, _stragglers: readonly StragglerId[]): void {}
  /** A snapshot became the replica's state. */
  onInstall(_replica: SimReplica): void {}
  /** Between two occurrences, whatever they were. */
  onStep(): void {}
  /** The liveness phase is over and nothing is pending. */
  atEnd(): void {}

  fail(message: string): never {
    throw new Violation(this.title, message);
  }
}
