import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * No message appears or disappears: enqueued = ready + checked out + settled + purged + deleted + discarded + expired; the machine
 * recounts all of it, and that every consumer keeps within its credit.
 */
export class ConservationChecker extends Checker {
  readonly title = 'conservation';
  #applied = 0;

  override onApply(replica: SimReplica, _meta: ApplyMeta, _payload: Uint8Array, _effects: ShardEffects): void {
    if (this.#applied++ % this.cluster.swarm.compareStatesEvery === 0) this.#check(replica);
  }

  override onInstall(replica: SimReplica): void {
    this.#check(replica);
  }

  override atEnd(): void {
    for (const replica of this.cluster.replicas()) this.#check(replica);
  }

  #check(replica: SimReplica): void {
    replica.machine.checkInvariants();
    const { messages, queues } = replica.machine.overview();
    const { enqueued, ready, checkedOut, settled, purged, deleted, discarded, expired } = messages;
    const name = `group ${replica.group} on node ${replica.node.id}`;
    const counted = ready + checkedOut + settled + purged + deleted + discarded + expired;
    if (enqueued !== counted) this.fail(`${enqueued} messages entered ${name}, ${counted} are accounted for`);
    const readyInQueues = queues.reduce((sum, queue) => sum + queue.ready, 0);
    if (readyInQueues !== ready)
      this.fail(`the queues of ${name} hold ${readyInQueues} ready messages, counted are ${ready}`);
  }
}
