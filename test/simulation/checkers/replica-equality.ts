import type { LogIndex } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import type { StoredCheckpoint } from '../sim-store.ts';
import { Checker } from './checker.ts';
import { checksumOf, inOrder, pagesOf } from './pages.ts';

/**
 * Replicas with the same applied index have the same state, byte for byte in the canonical encoding of a checkpoint, whatever
 * checkpoints, restarts and snapshots they went through; and a checkpoint is the state that it was cut from.
 */
export class ReplicaEqualityChecker extends Checker {
  readonly title = 'replica equality';
  readonly #states = new Map<string, number>();

  override onApply(replica: SimReplica, { index }: ApplyMeta, _payload: Uint8Array, _effects: ShardEffects): void {
    if (index % this.cluster.swarm.compareStatesEvery === 0) this.#compare(replica, index);
  }

  override onCut(replica: SimReplica): void {
    this.#compare(replica, replica.applied.index);
  }

  override onCheckpoint(replica: SimReplica, { at, pages }: StoredCheckpoint): void {
    const known = this.#states.get(`${replica.group}/${at.index}`);
    if (known === undefined || known === checksumOf([...pages].sort(inOrder))) return;
    this.fail(
      `the checkpoint of group ${replica.group} at ${at.index} on node ${replica.node.id} is not the state it was cut from`,
    );
  }

  override onInstall(replica: SimReplica): void {
    this.#compare(replica, replica.machine.applied);
  }

  override atEnd(): void {
    for (const replica of this.cluster.replicas()) this.#compare(replica, replica.machine.applied);
  }

  #compare(replica: SimReplica, index: LogIndex): void {
    if (replica.isCuttingSnapshot) return;
    const state = checksumOf(pagesOf(replica.machine, index));
    const key = `${replica.group}/${index}`;
    const known = this.#states.get(key);
    if (known === undefined) this.#states.set(key, state);
    else if (known !== state) {
      this.fail(`the state of group ${replica.group} at ${index} differs on node ${replica.node.id}`);
    }
  }
}
