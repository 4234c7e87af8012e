import type { GroupId, LogIndex } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';
import { hashOf } from './effects.ts';
import { checksumOf, pagesOf } from './pages.ts';

/** A machine that was restored from the pages of a replica and follows the log from there. */
interface Rebuilt {
  readonly machine: ShardMachine;
  applied: LogIndex;
}

/**
 * What a checkpoint leaves out is not missed: a machine that is rebuilt from one, and applies what follows, makes the same of every
 * entry and comes to the same state. Every so many entries the rebuilt one is rebuilt from itself.
 */
export class RebuildingChecker extends Checker {
  readonly title = 'rebuilding';
  readonly #rebuilt = new Map<GroupId, Rebuilt>();
  /** The last entry that anybody has applied. */
  readonly #latest = new Map<GroupId, LogIndex>();

  override onApply(replica: SimReplica, meta: ApplyMeta, payload: Uint8Array, effects: ShardEffects): void {
    const { group } = replica;
    const { index } = meta;
    if (index <= (this.#latest.get(group) ?? 0)) return;
    this.#latest.set(group, index);
    const rebuilt = this.#rebuilt.get(group);
    if (rebuilt === undefined) {
      if (replica.isCuttingSnapshot) return;
      this.#rebuilt.set(group, { machine: this.#rebuild(replica.machine, index), applied: index });
      return;
    }
    rebuilt.applied = index;
    if (hashOf(rebuilt.machine.apply(meta, payload)) !== hashOf(effects))
      this.fail(`entry ${index} of group ${group} comes to something else on a replica that was rebuilt`);
    const isDue = index % this.cluster.swarm.compareStatesEvery === 0;
    if (isDue && !replica.isCuttingSnapshot) this.#compare(replica, rebuilt);
  }

  #compare({ machine, group }: SimReplica, { machine: rebuilt, applied }: Rebuilt): void {
    const machineAgain = this.#rebuild(rebuilt, applied);
    if (checksumOf(pagesOf(machineAgain, applied)) !== checksumOf(pagesOf(machine, applied))) {
      this.fail(
        `group ${group} at ${applied} is another after it was rebuilt from a checkpoint and the entries behind it`,
      );
    }
    this.#rebuilt.set(group, { machine: machineAgain, applied });
  }

  #rebuild(machine: ShardMachine, index: LogIndex): ShardMachine {
    return ShardMachine.restore(pagesOf(machine, index), { term: 0, index }, this.cluster.stepShares);
  }
}
