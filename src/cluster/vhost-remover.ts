import type { ClusterGateway } from '../broker/gateway.ts';
import { queueConfig } from '../broker/session-publisher.ts';
import type { QueueRecord } from '../broker/topology-records.ts';
import type { QueueId } from '../lib/ids.ts';
import { writeDeleteQueue } from '../queue/commands.ts';

/** Deletions of queues that are under way at the same time. */
const DELETING_MAX = 200;

/**
 * Carries on with vhosts that are being deleted, on the node that leads group 0: out of the replicated state, so that it
 * goes on with the next leader. Queues of shards are deleted by their shards (R3); the rest goes by steps of group 0.
 */
export class VhostRemover {
  /** Until they have left the topology: their shards see to that. */
  readonly #deleting = new Set<QueueId>();
  #isStepping = false;

  /** To be called with every tick while this node leads group 0. */
  tick(gateway: ClusterGateway): void {
    for (const id of this.#deleting) if (gateway.topology.queueById(id) === undefined) this.#deleting.delete(id);
    for (const vhost of gateway.access.leavingVhosts()) {
      const queues = gateway.topology.queues(vhost);
      const replicated = queues.filter(({ home }) => home.kind === 'shard');
      for (const queue of replicated) {
        if (this.#deleting.size >= DELETING_MAX) break;
        if (!this.#deleting.has(queue.id)) this.#delete(gateway, queue);
      }
      const isWaiting = queues.length > 0 && queues.length === replicated.length;
      if (!isWaiting) void this.#step(gateway, vhost);
    }
  }

  #delete(gateway: ClusterGateway, queue: QueueRecord): void {
    const { id } = queue;
    const stream = gateway.stream(queue.home);
    if (stream === undefined) return;
    this.#deleting.add(id);
    stream.introduce(id, queueConfig(queue));
    stream.request(
      out => writeDeleteQueue(out, { queue: id, ifUnused: false, ifEmpty: false }),
      outcome => {
        if (outcome?.kind === 'no-such-queue') void gateway.removeQueue(id);
        else if (outcome?.kind !== 'deleted') this.#deleting.delete(id);
      },
    );
  }

  async #step(gateway: ClusterGateway, vhost: string): Promise<void> {
    if (this.#isStepping) return;
    this.#isStepping = true;
    await gateway.changeAccess({ kind: 'continue-vhost-removal', vhost });
    this.#isStepping = false;
  }
}
