import type { NodeId } from '../lib/ids.ts';
import type { MessageCounts } from '../queue/shard-reading.ts';
import type { ClusterNode } from './cluster-node.ts';

export interface ClusterStatus {
  readonly cluster: { readonly id: string; readonly name: string };
  readonly nodes: readonly NodeStatus[];
  readonly shards: readonly ShardStatus[];
  readonly queueCount: number;
  /** Of all queues; undefined while a shard has no leader that answers. Volatile queues count on nodes that answer. */
  readonly messages: MessageCounts | undefined;
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

/** What one node knows first-hand. */
interface NodeReport {
  readonly pid: number;
  readonly connections: number;
  readonly diskAlarm: boolean;
  readonly memoryAlarm: boolean;
  /** In its volatile queues. */
  readonly volatile: MessageCounts;
  /** Those that it leads. */
  readonly shards: readonly {
    readonly id: number;
    readonly term: number;
    readonly commit: number;
    readonly lag: number;
    readonly messages: MessageCounts;
  }[];
}

const NONE: MessageCounts = { ready: 0, unacked: 0 };

export interface ClusterStatusDependencies {
  readonly pid: number;
  readonly clusterName: string;
  readonly connections: () => number;
}

/**
 * Puts together what all reachable nodes report, for `warren status`. What it costs does not depend on how many queues there
 * are: shards keep their sums.
 */
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
    return this.#combine(reports);
  }

  #report(): NodeReport {
    const shards: NodeReport['shards'][number][] = [];
    for (const { group, driver, machine } of this.#node.replicas.shards()) {
      if (!driver.isServing) continue;
      const { term, commit, last, peers } = driver.raft.status();
      const lag = Math.max(0, ...peers.map(peer => last.index - peer.match));
      shards.push({ id: group, term, commit, lag, messages: machine.messageCounts });
    }
    const { disk: diskAlarm, memory: memoryAlarm } = this.#node.shortages();
    const volatile = this.#node.volatileMachine?.messageCounts ?? NONE;
    return { pid: this.#deps.pid, connections: this.#deps.connections(), diskAlarm, memoryAlarm, volatile, shards };
  }

  #combine(reports: ReadonlyMap<NodeId, NodeReport>): ClusterStatus {
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
      queueCount: machine.topology.queueCount,
      messages: machine.shards.list().every(({ group }) => facts.has(group))
        ? sumOf([...facts.values()], [...reports.values()])
        : undefined,
    };
  }
}

function sumOf(shards: NodeReport['shards'], nodes: readonly NodeReport[]): MessageCounts {
  const counts = [...shards.map(({ messages }) => messages), ...nodes.map(({ volatile }) => volatile)];
  return counts.reduce(
    (sum, { ready, unacked }) => ({ ready: sum.ready + ready, unacked: sum.unacked + unacked }),
    NONE,
  );
}
