import type { AccessCommand } from '../../src/broker/access/access-commands.ts';
import { AccessControl } from '../../src/broker/access/access-control.ts';
import { INITIAL_ACCESS } from '../../src/broker/access/initial-access.ts';
import { NodeLoad } from '../../src/broker/access/load.ts';
import type { Result } from '../../src/broker/broker.ts';
import type { ClusterGateway, HomeStream } from '../../src/broker/gateway.ts';
import { Router } from '../../src/broker/router.ts';
import type { BindRequest, DeclareExchange, DeclareQueue, Topology } from '../../src/broker/topology.ts';
import type { ConnectionOwner, NodeStart, QueueHome, QueueRecord } from '../../src/broker/topology-records.ts';
import { LocalShardLeader } from '../../src/cluster/shard/local-shard.ts';
import { ShardClient } from '../../src/cluster/shard/shard-client.ts';
import { VolatileShard } from '../../src/cluster/shard/volatile-shard.ts';
import { type ConsumerId, consumerId, groupId, incarnation, nodeId, type QueueId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { ManualClock } from './manual-clock.ts';
import { emptyTopology } from './metadata.ts';

interface Home {
  readonly shard: VolatileShard;
  readonly client: ShardClient;
}

/** A cluster of one node without disk: durable queues live in one home, all others in a second one. */
export class LocalGateway implements ClusterGateway {
  readonly self: NodeStart = { node: nodeId(1), incarnation: incarnation(1) };
  readonly topology: Topology = emptyTopology().topology;
  readonly router = new Router(this.topology, new SeededRandom(1));
  readonly access = new AccessControl({ beforeAccessChange: () => {} });
  readonly load = new NodeLoad(() => 0);
  readonly clock = new ManualClock();
  readonly #homes = new Map<QueueHome['kind'], Home>();
  /** Queues of these kinds of home get no answers for now. */
  readonly stalled = new Set<QueueHome['kind']>();
  readonly closedOwners: ConnectionOwner[] = [];
  isRouting = true;
  #lastConsumer = 0;
  #lastConnection = 0;

  constructor(limits: { readonly bytesMax?: number; readonly commandsMax?: number } = {}) {
    const { bytesMax = 1_000_000, commandsMax = 1_000 } = limits;
    for (const record of INITIAL_ACCESS) this.access.put(record);
    for (const kind of ['shard', 'volatile'] as const) {
      const shard = new VolatileShard(
        { entryBytesMax: 240 * 1024, waitingBytesMax: 1_000_000, memoryBytesMax: 10_000_000, sliceMs: 8 },
        {
          spill: { write: () => 0, read: () => new Uint8Array(0), reset: () => {}, close: () => {} },
          fenced: () => [],
          removeName: async () => 1,
          clock: this.clock,
          wake: () => {},
        },
      );
      const client: ShardClient = new ShardClient(
        { ...this.self, batchBytesMax: 100_000, bytesMax, commandsMax, attachTimeoutMs: 100, reportAfterMs: 5_000 },
        {
          topologyIndex: () => 1,
          leader: () => port,
          wake: () => {},
          monotonicMs: () => 0,
          isShortOfMemory: () => false,
          mayServe: () => true,
          fenced: () => {},
        },
      );
      const port = new LocalShardLeader(shard.leader, this.self.node, client);
      this.#homes.set(kind, { shard, client });
    }
  }

  machine(kind: QueueHome['kind']) {
    return this.#homes.get(kind)!.shard.machine;
  }

  /** Everything that can go on has gone on. */
  async settle(): Promise<void> {
    for (let i = 0; i < 6; i++) {
      for (const [kind, { shard, client }] of this.#homes) {
        if (this.stalled.has(kind)) continue;
        client.process();
        shard.process();
      }
      await new Promise<void>(resolve => setImmediate(resolve));
    }
  }

  /** What the promise comes to once everything has gone on. */
  async answer<Value>(promise: Promise<Value>): Promise<Value> {
    let settled: { readonly value: Value } | undefined;
    void promise.then(value => {
      settled = { value };
    });
    await this.settle();
    if (settled === undefined) throw new Error('there was no answer');
    return settled.value;
  }

  /** The node has lost its place. */
  end(): void {
    for (const { client } of this.#homes.values()) client.abandon('abandoned');
  }

  /** The node that hosts the volatile queues is dead. */
  loseVolatileHome(): void {
    this.#homes.get('volatile')!.client.abandon('home-gone');
  }

  mayRoute(): boolean {
    return this.isRouting;
  }

  stream(home: QueueHome): HomeStream | undefined {
    return this.#homes.get(home.kind)!.client;
  }

  nextConsumerId(): ConsumerId {
    return consumerId(++this.#lastConsumer);
  }

  nextConnectionNumber(): number {
    return ++this.#lastConnection;
  }

  async declareExchange(request: DeclareExchange): Promise<Result<void>> {
    return nothing(this.topology.declareExchange(request));
  }

  async deleteExchange(request: { vhost: string; name: string; ifUnused: boolean }): Promise<Result<void>> {
    return nothing(this.topology.deleteExchange(request));
  }

  async declareQueue(request: DeclareQueue): Promise<Result<{ queue: QueueRecord; created: boolean }>> {
    await new Promise<void>(resolve => setImmediate(resolve));
    return this.topology.declareQueue(request, () => ({ ok: true, value: { kind: 'shard', group: groupId(1) } }));
  }

  async bind(request: BindRequest): Promise<Result<void>> {
    return nothing(this.topology.bind(request));
  }

  async unbind(request: BindRequest): Promise<Result<void>> {
    return nothing(this.topology.unbind(request));
  }

  async removeQueue(queue: QueueId): Promise<Result<void>> {
    this.topology.removeQueue(queue);
    return { ok: true, value: undefined };
  }

  async changeAccess(command: AccessCommand): Promise<Result<void>> {
    if (command.kind === 'continue-vhost-removal') return { ok: true, value: undefined };
    const result = this.access.apply(command);
    if (result.ok && command.kind === 'put-vhost') this.topology.declareVhost(command.vhost);
    return result;
  }

  deleteVhost(vhost: string): Promise<Result<void>> {
    return this.changeAccess({ kind: 'delete-vhost', vhost });
  }

  async connectionClosed(owner: ConnectionOwner): Promise<Result<void>> {
    this.closedOwners.push(owner);
    for (const queue of this.topology.queuesOf(owner, owner.connection)) this.topology.removeQueue(queue.id);
    return { ok: true, value: undefined };
  }
}

const nothing = (result: Result<unknown>): Result<void> => (result.ok ? { ok: true, value: undefined } : result);
