import { GroupFactory } from '../../src/cluster/group/group-factory.ts';
import type { ReplicaStart } from '../../src/cluster/group/replica-start.ts';
import type { GroupId } from '../../src/lib/ids.ts';
import { groupOptions } from './replica-options.ts';
import type { SimNode } from './sim-node.ts';
import { SimReplica } from './sim-replica.ts';
import type { SimStore } from './sim-store.ts';

/** Makes the replicas of one life of a node, out of what is on its disk. */
export class ReplicaFactory {
  readonly #node: SimNode;
  readonly #store: SimStore;
  readonly #groups: GroupFactory;

  constructor(node: SimNode, store: SimStore) {
    const { cluster } = node;
    this.#node = node;
    this.#store = store;
    this.#groups = new GroupFactory(groupOptions(cluster.swarm), {
      store,
      random: cluster.world.random(`replicas:${node.id}/${node.life}`),
      send: (message, group) => node.replicas.get(group)?.send(message),
      wake: group => node.host.wake(group),
      monotonicMs: () => node.monotonicMs,
    });
  }

  create(group: GroupId, start: ReplicaStart): SimReplica {
    return new SimReplica(this.#node, group, start, this.#store, this.#groups);
  }
}
