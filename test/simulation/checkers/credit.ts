import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** Nobody gets more than was asked for: not above the prefetch, not behind the last delivery number that there is room for (R26). */
export class CreditChecker extends Checker {
  readonly title = 'credit';

  override onApply(replica: SimReplica, _meta: ApplyMeta, _payload: Uint8Array, { deliveries }: ShardEffects): void {
    for (let i = 0; i < deliveries.length; i++) {
      const { node, incarnation, consumer } = deliveries.consumers[i]!;
      const view = replica.machine.consumersOf(node, incarnation).find(one => one.consumer === consumer);
      if (view === undefined) continue;
      const name = `consumer ${consumer} of node ${node} in group ${replica.group}`;
      if (view.prefetch > 0 && view.unsettled > view.prefetch) {
        this.fail(`${name} holds ${view.unsettled} messages with a prefetch of ${view.prefetch}`);
      }
      if (deliveries.numbers[i]! > view.deliverThrough) {
        this.fail(`${name} gets delivery ${deliveries.numbers[i]} with credit through ${view.deliverThrough}`);
      }
    }
  }
}
