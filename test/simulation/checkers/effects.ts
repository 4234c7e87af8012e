import type { NodeId, Term } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** Followers perform no effects; the effects of an entry are performed by one node in one term at most. */
export class EffectsChecker extends Checker {
  readonly title = 'effects';
  readonly #performed = new Map<string, { readonly node: NodeId; readonly life: number }>();

  override onPerform(replica: SimReplica, { index }: ApplyMeta, _effects: ShardEffects): void {
    const { raft, node, group } = replica;
    if (raft.role !== 'leader')
      this.fail(`node ${node.id} performs effects of ${index} in group ${group} as a ${raft.role}`);
    const key = `${group}/${index}/${raft.term satisfies Term}`;
    const known = this.#performed.get(key);
    if (known !== undefined)
      this.fail(`nodes ${known.node} and ${node.id} perform effects of ${index} in term ${raft.term}`);
    this.#performed.set(key, { node: node.id, life: node.life });
  }
}
