import { incarnation, type NodeId } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * Only those are fenced that group 0 has given up, and they for ever: a fenced incarnation gets nothing more, and in the end
 * nothing is left of it (R24).
 */
export class FencingChecker extends Checker {
  readonly title = 'fencing';

  /** By replica and node: through which incarnation it was fenced when the latest entry was applied. */
  readonly #fenced = new Map<SimReplica, Map<NodeId, number>>();

  override onApply(
    replica: SimReplica,
    { index }: ApplyMeta,
    _payload: Uint8Array,
    { deliveries }: ShardEffects,
  ): void {
    let fenced = this.#fenced.get(replica);
    if (fenced === undefined) {
      fenced = new Map();
      this.#fenced.set(replica, fenced);
    }
    for (let i = 0; i < deliveries.length; i++) {
      const { node, incarnation: started, consumer } = deliveries.consumers[i]!;
      if (started <= (fenced.get(node) ?? 0))
        this.fail(
          `consumer ${consumer} of the fenced incarnation ${started} of node ${node} gets a message at ${index}`,
        );
    }
    for (const { id } of this.cluster.nodes) fenced.set(id, this.#fencedThrough(replica, id, fenced.get(id) ?? 0));
  }

  #fencedThrough({ machine, group }: SimReplica, node: NodeId, before: number): number {
    let through = before;
    while (machine.isFenced(node, incarnation(through + 1))) {
      through++;
      const decreed = this.cluster.fencing.decreedFor(node);
      if (through > decreed)
        this.fail(`group ${group} has fenced incarnation ${through} of node ${node}, not only ${decreed}`);
    }
    if (through > 0 && !machine.isFenced(node, incarnation(through)))
      this.fail(`group ${group} has forgotten that incarnation ${through} of node ${node} is fenced`);
    return through;
  }

  override atEnd(): void {
    for (const { machine, group, node } of this.cluster.groups.flatMap(group => this.cluster.membersOf(group))) {
      for (const { id } of this.cluster.nodes) {
        for (let started = 1; started <= this.cluster.fencing.decreedFor(id); started++) {
          const name = `incarnation ${started} of node ${id}`;
          if (!machine.isFenced(id, incarnation(started)))
            this.fail(`${name} is not fenced in group ${group} on node ${node.id}`);
          const consumers = machine.consumersOf(id, incarnation(started));
          if (consumers.length > 0)
            this.fail(`${name} has ${consumers.length} consumers in group ${group} on node ${node.id}`);
        }
      }
    }
  }
}
