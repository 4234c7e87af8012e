import { LocalShardLeader } from '../../../src/cluster/shard/local-shard.ts';
import { ShardClient } from '../../../src/cluster/shard/shard-client.ts';
import type { SpillFile } from '../../../src/cluster/shard/volatile-log.ts';
import { VolatileShard } from '../../../src/cluster/shard/volatile-shard.ts';
import { type GroupId, groupId, type QueueId } from '../../../src/lib/ids.ts';
import type { SimGateway } from '../sim-gateway.ts';
import type { SimNode } from '../sim-node.ts';
import { expiryOf } from './expiry.ts';
import type { QueueRecord } from './topology.ts';
import type { Connection, Workload } from './workload.ts';

/** Frames name volatile homes by numbers above those of all shards. */
const FIRST_GROUP = 2 ** 31;
const MEMORY_BYTES_MAX = 2_000;
const TICK_MS = 50;
/** What an entry holds beside the commands of one batch, with room to spare. */
const BATCH_HEAD_BYTES = 128;
const STREAM = {
  bytesMax: 64 * 1024,
  commandsMax: 1_000,
  attachTimeoutMs: 1_000,
  reportAfterMs: 1_000,
};

interface Home {
  readonly group: GroupId;
  readonly gateway: SimGateway;
  readonly client: ShardClient;
  /** The one queue that it has at present. */
  record: QueueRecord | undefined;
}

/**
 * The volatile homes of all nodes (R4): the machine of a shard behind a log in memory, for the clients of the same node. Every node has
 * a queue of its own under the same name, for as long as its incarnation lives.
 */
export class VolatileHomes {
  readonly name = 'volatile';
  readonly #workload: Workload;
  readonly #homes = new Map<SimNode, Home>();
  readonly #groups = new Map<QueueId, GroupId>();
  #count = 0;

  constructor(workload: Workload) {
    this.#workload = workload;
  }

  /** Undefined: the queue is in a shard. */
  groupOf(queue: QueueId): GroupId | undefined {
    return this.#groups.get(queue);
  }

  groups(): GroupId[] {
    return [...this.#homes.values()].map(({ group }) => group);
  }

  client({ node }: Connection): ShardClient {
    return this.#homes.get(node)!.client;
  }

  find(node: SimNode): QueueRecord | undefined {
    if (node.gateway === undefined) return undefined;
    const home = this.#homes.get(node) ?? this.#create(node, node.gateway);
    if (home.record === undefined) {
      home.record = this.#workload.topology.record({
        vhost: '/',
        name: this.name,
        autoDelete: false,
        exclusive: false,
        singleActive: false,
        ...expiryOf(this.#workload.swarm.expiry, 1, 1),
      });
      this.#groups.set(home.record.id, home.group);
    }
    return home.record;
  }

  nodeLost(node: SimNode): void {
    const home = this.#homes.get(node);
    if (home === undefined) return;
    this.#homes.delete(node);
    this.#workload.auditor.homeLost(home.group);
  }

  #create(node: SimNode, gateway: SimGateway): Home {
    const group = groupId(FIRST_GROUP + ++this.#count);
    const { cluster } = this.#workload;
    const batchBytesMax = cluster.swarm.limits.entryBytesMax - BATCH_HEAD_BYTES;
    const shard = this.#createShard(node, group);
    const client: ShardClient = new ShardClient(
      { node: node.id, incarnation: gateway.incarnation, batchBytesMax, ...STREAM },
      {
        topologyIndex: () => this.#workload.topologyIndex(node),
        leader: () => leader,
        wake: () => node.host.wakeClient(client),
        monotonicMs: () => node.monotonicMs,
        isShortOfMemory: () => false,
        mayServe: () => node.gateway === gateway,
        fenced: () => {
          if (node.gateway === gateway) node.endIncarnation();
        },
      },
    );
    const leader = new LocalShardLeader(shard.leader, node.id, client);
    const home: Home = { group, gateway, client, record: undefined };
    this.#homes.set(node, home);
    const tick = (): void =>
      cluster.world.after(TICK_MS, () => {
        if (this.#homes.get(node) !== home) return;
        node.enter(() => {
          shard.leader.review();
          if (client.isWaiting) node.host.wakeClient(client);
        });
        tick();
      });
    tick();
    return home;
  }

  #createShard(node: SimNode, group: GroupId): VolatileShard {
    const { cluster, auditor, topology } = this.#workload;
    const { entryBytesMax, proposalBytesMax } = cluster.swarm.limits;
    const shard = new VolatileShard(
      { entryBytesMax, waitingBytesMax: proposalBytesMax, memoryBytesMax: MEMORY_BYTES_MAX, sliceMs: 8 },
      {
        spill: new MemorySpill(),
        fenced: () => cluster.fencing.knownTo(node),
        removeName: queue =>
          topology.answer(node, () => {
            const home = this.#homes.get(node);
            if (home?.record?.id === queue) home.record = undefined;
            home?.client.forget(queue);
            return topology.indexAt(node);
          }),
        clock: {
          monotonicMs: () => node.monotonicMs,
          wallMs: () => node.monotonicMs,
          after: (delayMs, callback) => node.after(delayMs, callback),
        },
        wake: task => node.host.wakeClient(task),
      },
    );
    const { machine } = shard;
    const apply = machine.apply.bind(machine);
    machine.apply = (meta, payload) => {
      const effects = apply(meta, payload);
      if (this.#homes.get(node)?.group === group) auditor.follow(group, meta.index, payload, effects, machine);
      return effects;
    };
    return shard;
  }
}

class MemorySpill implements SpillFile {
  #bytes: number[] = [];

  write(bytes: Uint8Array): number {
    const position = this.#bytes.length;
    this.#bytes.push(...bytes);
    return position;
  }

  read(position: number, length: number): Uint8Array {
    return Uint8Array.from(this.#bytes.slice(position, position + length));
  }

  reset(): void {
    this.#bytes = [];
  }

  close(): void {
    this.#bytes = [];
  }
}
