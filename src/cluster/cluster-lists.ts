import {
  type ClientList,
  type ClientPage,
  type ClientRows,
  type ConsumerRow,
  LIST_START,
  type ListPosition,
} from '../broker/client-listing.ts';
import type { ConnectionOwner, NodeStart } from '../broker/topology-records.ts';
import { assert } from '../lib/assert.ts';
import type { ConsumerId, Incarnation, NodeId, QueueId } from '../lib/ids.ts';
import type { ShardMachine } from '../queue/shard-machine.ts';
import type { QueueCounts } from '../queue/shard-reading.ts';
import type { ClusterNode } from './cluster-node.ts';

/** Queues that nodes are asked about at a time: a slice of the event loop (R10). Who asks of more is at fault. */
const COUNTED_MAX = 1_000;

/** What this node's clients have open; the broker of the present incarnation. */
export interface ClientLists {
  list<List extends ClientList>(list: List, after: ListPosition): ClientPage<List>;
  closeConnection(owner: Omit<ConnectionOwner, 'node'>, reason: string): boolean;
}

export interface ClusterListsDependencies {
  readonly clients: () => ClientLists | undefined;
  readonly volatileMachine: () => ShardMachine | undefined;
  readonly nextTurn: () => Promise<void>;
}

export interface ClusterPage<Row> {
  readonly rows: readonly Row[];
  /** The name of a node that did not answer: what it knows is not in the list. */
  readonly silentNode: string | undefined;
}

/** Counts of a queue, and the node that answered for it. */
export interface LedQueueCounts extends QueueCounts {
  readonly node: NodeId;
}

/** A consumer as its queue knows it. */
export interface ActiveConsumer extends NodeStart {
  readonly consumer: ConsumerId;
}

type CountsRow = readonly [QueueId, number, number, number, number];
type ActiveRow = readonly [QueueId, NodeId, Incarnation, ConsumerId];

/** Lists that hold what every node knows first-hand, page by page: no node does more at a time than one page takes. */
export class ClusterLists {
  readonly #node: ClusterNode;
  readonly #deps: ClusterListsDependencies;

  constructor(node: ClusterNode, deps: ClusterListsDependencies) {
    this.#node = node;
    this.#deps = deps;
    for (const list of ['connections', 'channels', 'consumers'] as const) {
      node.calls.answer(list, (after: ListPosition) => this.#page(list, after));
    }
    node.calls.answer('counts', (queues: readonly QueueId[]) => this.#counts(queues));
    node.calls.answer('active', (queues: readonly QueueId[]) => this.#singleActive(queues));
    node.calls.answer('close', ({ incarnation, connection, reason }: CloseCall) =>
      this.#deps.clients()?.closeConnection({ incarnation, connection }, reason),
    );
  }

  /** The name of a member, if it is one. */
  nodeName(node: NodeId): string | undefined {
    return this.#node.replicas.metadata.machine.members.get(node)?.name;
  }

  async *clients<List extends ClientList>(list: List): AsyncGenerator<ClusterPage<ClientRows[List]>> {
    for (const { id, name } of this.#node.replicas.metadata.machine.members.list()) {
      let position: ListPosition | undefined = LIST_START;
      while (position !== undefined) {
        const page: ClientPage<List> | undefined = await this.#pageOf(id, list, position);
        yield { rows: page?.rows ?? [], silentNode: page === undefined ? name : undefined };
        position = page?.next;
      }
    }
  }

  /** Of at most `COUNTED_MAX` queues. Those for which nobody answers are missing. */
  async queueCounts(queues: readonly QueueId[]): Promise<Map<QueueId, LedQueueCounts>> {
    const counts = new Map<QueueId, LedQueueCounts>();
    for (const { node, rows } of await this.#ofQueues('counts', queues, () => this.#counts(queues))) {
      for (const [id, ready, unacked, consumers, bytes] of rows)
        counts.set(id, { node, ready, unacked, consumers, bytes });
    }
    return counts;
  }

  /** Who takes messages from each of these queues, of which each serves one consumer at a time. */
  async singleActive(queues: readonly QueueId[]): Promise<Map<QueueId, ActiveConsumer>> {
    const active = new Map<QueueId, ActiveConsumer>();
    for (const { rows } of await this.#ofQueues('active', queues, () => this.#singleActive(queues))) {
      for (const [id, node, incarnation, consumer] of rows) active.set(id, { node, incarnation, consumer });
    }
    return active;
  }

  /** `unknown`: there is no such connection; `unreachable`: its node does not answer. */
  async closeConnection(owner: ConnectionOwner, reason: string): Promise<'closed' | 'unknown' | 'unreachable'> {
    const { node, incarnation, connection } = owner;
    if (this.nodeName(node) === undefined) return 'unknown';
    const call: CloseCall = { incarnation, connection, reason };
    const isClosed =
      node === this.#node.self
        ? this.#deps.clients()?.closeConnection(owner, reason)
        : await this.#node.calls.call(node, 'close', call);
    if (isClosed === undefined) return 'unreachable';
    return isClosed === true ? 'closed' : 'unknown';
  }

  async #pageOf<List extends ClientList>(
    node: NodeId,
    list: List,
    position: ListPosition,
  ): Promise<ClientPage<List> | undefined> {
    await this.#deps.nextTurn();
    if (node === this.#node.self) return this.#deps.clients()?.list(list, position);
    const page = (await this.#node.calls.call(node, list, position)) as ClientPage<List> | undefined;
    if (list !== 'consumers' || page === undefined) return page;
    const rows = page.rows.map(row => withBytes(row as unknown as EncodedConsumerRow)) as ClientRows[List][];
    return { rows, next: page.next };
  }

  #page(list: ClientList, after: ListPosition): unknown {
    const page = this.#deps.clients()?.list(list, after);
    if (list !== 'consumers' || page === undefined) return page;
    return { rows: page.rows.map(row => withText(row as ConsumerRow)), next: page.next };
  }

  /** A queue that nobody has used yet is not in its shard (R3). */
  #counts(queues: readonly QueueId[]): CountsRow[] {
    const rows: CountsRow[] = [];
    for (const id of queues) {
      const machine = this.#machineOf(id);
      if (machine === undefined) continue;
      const { ready, unacked, consumers, bytes } = machine.queueCounts(id) ?? UNUSED;
      rows.push([id, ready, unacked, consumers, bytes]);
    }
    return rows;
  }

  #singleActive(queues: readonly QueueId[]): ActiveRow[] {
    const rows: ActiveRow[] = [];
    for (const id of queues) {
      const active = this.#machineOf(id)?.singleActive(id);
      if (active !== undefined) rows.push([id, active.node, active.incarnation, active.consumer]);
    }
    return rows;
  }

  /** Of a queue whose home this node leads. */
  #machineOf(id: QueueId): ShardMachine | undefined {
    const home = this.#node.replicas.metadata.machine.topology.queueById(id)?.home;
    if (home?.kind === 'shard') return this.#ledShard(home.group);
    return home?.node === this.#node.self ? this.#deps.volatileMachine() : undefined;
  }

  /** What this node and the others say of at most `COUNTED_MAX` queues. */
  async #ofQueues<Row>(
    call: string,
    queues: readonly QueueId[],
    own: () => readonly Row[],
  ): Promise<readonly { readonly node: NodeId; readonly rows: readonly Row[] }[]> {
    assert(queues.length <= COUNTED_MAX, () => `asked about ${queues.length} queues at a time`);
    const { self, peers, calls } = this.#node;
    const answers = [...peers.nodes()].map(async node => ({
      node,
      rows: ((await calls.call(node, call, queues)) ?? []) as readonly Row[],
    }));
    await this.#deps.nextTurn();
    return [{ node: self, rows: own() }, ...(await Promise.all(answers))];
  }

  #ledShard(group: Parameters<ClusterNode['replicas']['shard']>[0]): ShardMachine | undefined {
    const replica = this.#node.replicas.shard(group);
    return replica?.driver.isServing ? replica.machine : undefined;
  }
}

interface CloseCall {
  readonly incarnation: ConnectionOwner['incarnation'];
  readonly connection: number;
  readonly reason: string;
}

type EncodedConsumerRow = Omit<ConsumerRow, 'arguments'> & { readonly arguments: string };

const UNUSED: QueueCounts = { ready: 0, unacked: 0, consumers: 0, bytes: 0 };

const withText = (row: ConsumerRow): EncodedConsumerRow => ({
  ...row,
  arguments: Buffer.from(row.arguments).toString('base64'),
});
const withBytes = (row: EncodedConsumerRow): ConsumerRow => ({
  ...row,
  arguments: Buffer.from(row.arguments, 'base64'),
});
