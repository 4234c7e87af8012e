import type { NodeId, QueueId } from '../lib/ids.ts';
import { type ClusterLists, COUNTED_MAX, type LedQueueCounts } from './cluster-lists.ts';
import type { ClusterNode } from './cluster-node.ts';

export interface ClusterStatus {
  readonly cluster: { readonly id: string; readonly name: string };
  readonly nodes: readonly NodeStatus[];
  readonly shards: readonly ShardStatus[];
  readonly queues: readonly QueueStatus[];
}

export interface NodeStatus {
  readonly name: string;
  readonly id: number;
  /** Undefined for a node that does not answer. */
  readonly pid: number | undefined;
  readonly up: boolean;
  readonly address: string;
  readonly diskAlarm: boolean;
  readonly memoryAlarm: boolean;
  readonly connections: number | undefined;
}

export interface ShardStatus {
  readonly id: number;
  readonly leader: string | undefined;
  readonly replicas: readonly string[];
  readonly term: number;
  readonly commit: number;
  /** Entries that the slowest replica is behind the leader; undefined without a leader that answers. */
  readonly lag: number | undefined;
}

export interface QueueStatus {
  readonly vhost: string;
  readonly name: string;
  readonly durable: boolean;
  /** Of a volatile queue undefined: a confirm from it means "in the memory of one node" (R4). */
  readonly shard: number | undefined;
  readonly leader: string | undefined;
  readonly ready: number | undefined;
  readonly unacked: number | undefined;
  readonly consumers: number | undefined;
}

/** What one node knows first-hand. */
interface NodeReport {
  readonly pid: number;
  readonly connections: number;
  readonly diskAlarm: boolean;
  readonly memoryAlarm: boolean;
  /** Those that it leads. */
  readonly shards: readonly {
    readonly id: number;
    readonly term: number;
    readonly commit: number;
    readonly lag: number;
  }[];
}

export interface ClusterStatusDependencies {
  readonly pid: number;
  readonly clusterName: string;
  readonly connections: () => number;
  readonly lists: ClusterLists;
}

/** Puts together what all reachable nodes report, for `warren status`. */
export class StatusCollector {
  readonly #node: ClusterNode;
  readonly #deps: ClusterStatusDependencies;

  constructor(node: ClusterNode, deps: ClusterStatusDependencies) {
    this.#node = node;
    this.#deps = deps;
    node.calls.answer('report', () => this.#report());
  }

  async collect(): Promise<ClusterStatus> {
    const { self, peers, calls } = this.#node;
    const reports = new Map([[self, this.#report()]]);
    const ask = async (node: NodeId): Promise<void> => {
      const report = (await calls.call(node, 'report', null)) as NodeReport | undefined;
      if (report !== undefined) reports.set(node, report);
    };
    await Promise.all([...peers.nodes()].map(ask));
    return this.#combine(reports, await this.#queueCounts());
  }

  async #queueCounts(): Promise<Map<QueueId, LedQueueCounts>> {
    const ids = this.#node.replicas.metadata.machine.topology.queues().map(({ id }) => id);
    const counts = new Map<QueueId, LedQueueCounts>();
    for (let at = 0; at < ids.length; at += COUNTED_MAX) {
      const some = await this.#deps.lists.queueCounts(ids.slice(at, at + COUNTED_MAX));
      for (const [id, found] of some) counts.set(id, found);
    }
    return counts;
  }

  #report(): NodeReport {
    const shards: { id: number; term: number; commit: number; lag: number }[] = [];
    for (const { group, driver } of this.#node.replicas.shards()) {
      if (!driver.isServing) continue;
      const { term, commit, last, peers } = driver.raft.status();
      shards.push({ id: group, term, commit, lag: Math.max(0, ...peers.map(peer => last.index - peer.match)) });
    }
    const { disk: diskAlarm, memory: memoryAlarm } = this.#node.shortages();
    return { pid: this.#deps.pid, connections: this.#deps.connections(), diskAlarm, memoryAlarm, shards };
  }

  #combine(reports: ReadonlyMap<NodeId, NodeReport>, counts: ReadonlyMap<QueueId, LedQueueCounts>): ClusterStatus {
    const { machine } = this.#node.replicas.metadata;
    const nameOf = (node: NodeId | undefined): string | undefined =>
      node === undefined ? undefined : (machine.members.get(node)?.name ?? `node ${node}`);
    const leaders = new Map<number, NodeId>();
    const facts = new Map<number, NodeReport['shards'][number]>();
    for (const [node, report] of reports) {
      for (const shard of report.shards) {
        if (shard.term < (facts.get(shard.id)?.term ?? 0)) continue;
        facts.set(shard.id, shard);
        leaders.set(shard.id, node);
      }
    }
    return {
      cluster: { id: machine.clusterId ?? '', name: this.#deps.clusterName },
      nodes: machine.members.list().map(({ id, name, address }) => ({
        name,
        id,
        pid: reports.get(id)?.pid,
        up: reports.has(id),
        address,
        diskAlarm: reports.get(id)?.diskAlarm ?? false,
        memoryAlarm: reports.get(id)?.memoryAlarm ?? false,
        connections: reports.get(id)?.connections,
      })),
      shards: machine.shards.list().map(({ group, replicas }) => ({
        id: group,
        leader: nameOf(leaders.get(group)),
        replicas: replicas.map(replica => nameOf(replica) ?? ''),
        term: facts.get(group)?.term ?? 0,
        commit: facts.get(group)?.commit ?? 0,
        lag: facts.get(group)?.lag,
      })),
      queues: machine.topology.queues().map(({ id, vhost, name, durable, home }) => {
        const found = counts.get(id);
        return {
          vhost,
          name,
          durable,
          shard: home.kind === 'shard' ? home.group : undefined,
          leader: nameOf(home.kind === 'shard' ? leaders.get(home.group) : home.node),
          ready: found?.ready,
          unacked: found?.unacked,
          consumers: found?.consumers,
        };
      }),
    };
  }
}
