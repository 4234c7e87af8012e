import { ByteReader, ByteWriter, utf8Decode, utf8Encode } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import type { NodeId, QueueId } from '../lib/ids.ts';
import type { ShardMachine } from '../queue/shard-machine.ts';
import type { ClusterNode } from './cluster-node.ts';
import { FrameKind } from './frames.ts';

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
  readonly shards: readonly {
    readonly id: number;
    readonly term: number;
    readonly commit: number;
    readonly lag: number;
  }[];
  /** Of led shards and the volatile home: queue id, ready, unacked, consumers. */
  readonly queues: readonly (readonly [QueueId, number, number, number])[];
}

const PART_BYTES = 128 * 1024;
const ANSWER_TIMEOUT_MS = 1_000;

interface Collection {
  readonly missing: Set<NodeId>;
  readonly reports: Map<NodeId, NodeReport>;
  readonly parts: Map<NodeId, Uint8Array[]>;
  readonly done: () => void;
}

export interface ClusterStatusDependencies {
  readonly clock: Clock;
  readonly pid: number;
  readonly clusterName: string;
  readonly connections: () => number;
  readonly volatileMachine: () => ShardMachine | undefined;
}

/** Puts together what all reachable nodes report, for `warren status`. */
export class StatusCollector {
  readonly #node: ClusterNode;
  readonly #deps: ClusterStatusDependencies;
  readonly #collections = new Map<number, Collection>();
  #lastRequest = 0;

  constructor(node: ClusterNode, deps: ClusterStatusDependencies) {
    this.#node = node;
    this.#deps = deps;
  }

  async collect(): Promise<ClusterStatus> {
    const request = ++this.#lastRequest;
    const reports = await new Promise<Map<NodeId, NodeReport>>(resolve => {
      const missing = new Set(this.#node.peers.nodes());
      const own = new Map([[this.#node.self, this.#report()]]);
      const cancel = this.#deps.clock.after(ANSWER_TIMEOUT_MS, () => done());
      const done = (): void => {
        cancel();
        this.#collections.delete(request);
        resolve(own);
      };
      this.#collections.set(request, { missing, reports: own, parts: new Map(), done });
      const out = new ByteWriter(4);
      out.u32(request);
      for (const node of missing) this.#node.peers.send(node, 'clients', FrameKind.statusRequest, 0, out.view());
      if (missing.size === 0) done();
    });
    return this.#combine(reports);
  }

  received(from: NodeId, kind: FrameKind, payload: Uint8Array): void {
    const reader = new ByteReader(payload);
    const request = reader.u32();
    if (kind === FrameKind.statusRequest) {
      this.#answer(from, request);
      return;
    }
    const collection = this.#collections.get(request);
    if (collection === undefined) return;
    const isLast = reader.u8() === 1;
    const parts = collection.parts.get(from) ?? [];
    parts.push(reader.bytes(reader.remaining).slice());
    collection.parts.set(from, parts);
    if (!isLast) return;
    collection.reports.set(from, JSON.parse(parts.map(utf8Decode).join('')) as NodeReport);
    collection.missing.delete(from);
    if (collection.missing.size === 0) collection.done();
  }

  /** A report holds numbers only, so its JSON is ASCII and may be cut anywhere. */
  #answer(to: NodeId, request: number): void {
    const json = utf8Encode(JSON.stringify(this.#report()));
    for (let at = 0; at < json.length; at += PART_BYTES) {
      const out = new ByteWriter(PART_BYTES + 8);
      out.u32(request);
      out.u8(at + PART_BYTES >= json.length ? 1 : 0);
      out.bytes(json.subarray(at, at + PART_BYTES));
      this.#node.peers.send(to, 'clients', FrameKind.statusReply, 0, out.view());
    }
  }

  #report(): NodeReport {
    const shards: { id: number; term: number; commit: number; lag: number }[] = [];
    const queues: (readonly [QueueId, number, number, number])[] = [];
    const addQueues = (machine: ShardMachine): void => {
      for (const { id, ready, unacked, consumers } of machine.overview().queues)
        queues.push([id, ready, unacked, consumers]);
    };
    for (const { group, driver, machine } of this.#node.replicas.shards()) {
      if (!driver.isServing) continue;
      const { term, commit, last, peers } = driver.raft.status();
      shards.push({ id: group, term, commit, lag: Math.max(0, ...peers.map(peer => last.index - peer.match)) });
      addQueues(machine);
    }
    const volatile = this.#deps.volatileMachine();
    if (volatile !== undefined) addQueues(volatile);
    const { disk: diskAlarm, memory: memoryAlarm } = this.#node.shortages();
    return { pid: this.#deps.pid, connections: this.#deps.connections(), diskAlarm, memoryAlarm, shards, queues };
  }

  #combine(reports: ReadonlyMap<NodeId, NodeReport>): ClusterStatus {
    const { machine } = this.#node.replicas.metadata;
    const nameOf = (node: NodeId | undefined): string | undefined =>
      node === undefined ? undefined : (machine.members.get(node)?.name ?? `node ${node}`);
    const leaders = new Map<number, NodeId>();
    const facts = new Map<number, NodeReport['shards'][number]>();
    const counts = new Map<QueueId, readonly [QueueId, number, number, number]>();
    for (const [node, report] of reports) {
      for (const shard of report.shards) {
        if (shard.term < (facts.get(shard.id)?.term ?? 0)) continue;
        facts.set(shard.id, shard);
        leaders.set(shard.id, node);
      }
      for (const queue of report.queues) counts.set(queue[0], queue);
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
        // A queue that nobody has used yet is not in its shard (R3).
        const count = (at: 1 | 2 | 3): number | undefined =>
          found?.[at] ?? (home.kind === 'volatile' || leaders.has(home.group) ? 0 : undefined);
        return {
          vhost,
          name,
          durable,
          shard: home.kind === 'shard' ? home.group : undefined,
          leader: nameOf(home.kind === 'shard' ? leaders.get(home.group) : home.node),
          ready: count(1),
          unacked: count(2),
          consumers: count(3),
        };
      }),
    };
  }
}
