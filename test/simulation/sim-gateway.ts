import { FrameKind } from '../../src/cluster/frames.ts';
import { LocalShardLeader } from '../../src/cluster/shard/local-shard.ts';
import { RemoteShardLeader } from '../../src/cluster/shard/remote-shard.ts';
import { ShardClient } from '../../src/cluster/shard/shard-client.ts';
import {
  DeliveryAssembler,
  decodeAnswers,
  decodeAttached,
  decodeConsumerCancelled,
  decodeRefused,
} from '../../src/cluster/shard/shard-frames.ts';
import type { ShardLeaderPort } from '../../src/cluster/shard/shard-link.ts';
import type { GroupId, Incarnation, NodeId } from '../../src/lib/ids.ts';
import type { Frame } from './packet.ts';
import type { SimNode } from './sim-node.ts';

const ATTACH_TIMEOUT_MS = 1_000;
const OUTBOX_BYTES_MAX = 64 * 1024;
const OUTBOX_COMMANDS_MAX = 1_000;
/** What an entry holds beside the commands of one batch, with room to spare. */
const BATCH_HEAD_BYTES = 128;
const QUEUED_BYTES_MAX = 1024 * 1024;

interface Stream {
  readonly client: ShardClient;
  readonly deliveries: DeliveryAssembler;
  /** The leader as last seen, under a name for its term and its connection. */
  leader: { readonly name: string; readonly node: NodeId; readonly port: ShardLeaderPort } | undefined;
}

/** The client side of all shards on one node, for one incarnation of it. */
export class SimGateway {
  readonly incarnation: Incarnation;
  readonly #node: SimNode;
  readonly #streams = new Map<GroupId, Stream>();
  #isFenced = false;

  constructor(node: SimNode, incarnation: Incarnation) {
    this.#node = node;
    this.incarnation = incarnation;
    for (const group of node.cluster.groups) {
      const client = this.#createClient(group);
      this.#streams.set(group, { client, deliveries: new DeliveryAssembler(client), leader: undefined });
    }
  }

  client(group: GroupId): ShardClient {
    return this.#streams.get(group)!.client;
  }

  /** A client that waits for something that nobody will tell looks again. */
  tick(): void {
    for (const { client } of this.#streams.values()) if (client.isWaiting) this.#node.host.wakeClient(client);
  }

  /** Another leader, or another connection: every client looks whom it is attached to. */
  leaderChanged(): void {
    for (const { client } of this.#streams.values()) this.#node.host.wakeClient(client);
  }

  /** What the leader of a shard says to this node. */
  receive(from: NodeId, { kind, group, payload }: Frame): void {
    const { client, deliveries, leader } = this.#streams.get(group)!;
    if (leader?.node !== from || leader.port !== client.leader) return;
    if (kind === FrameKind.attached) decodeAttached(payload, client);
    else if (kind === FrameKind.answers) decodeAnswers(payload, client);
    else if (kind === FrameKind.deliveries) deliveries.deliveries(payload);
    else if (kind === FrameKind.deliveryPart) deliveries.part(payload);
    else if (kind === FrameKind.consumerCancelled) decodeConsumerCancelled(payload, client);
    else if (kind === FrameKind.refused) decodeRefused(this.#node.id, payload, client);
    else if (kind === FrameKind.notLeader) client.turnedAway();
    this.#node.host.wakeClient(client);
  }

  #createClient(group: GroupId): ShardClient {
    const node = this.#node;
    const client: ShardClient = new ShardClient(
      {
        node: node.id,
        incarnation: this.incarnation,
        batchBytesMax: node.cluster.swarm.limits.entryBytesMax - BATCH_HEAD_BYTES,
        bytesMax: OUTBOX_BYTES_MAX,
        commandsMax: OUTBOX_COMMANDS_MAX,
        attachTimeoutMs: ATTACH_TIMEOUT_MS,
        reportAfterMs: 5_000,
      },
      {
        topologyIndex: () => node.cluster.workload.topologyIndex(node),
        leader: () => this.#leaderOf(group),
        wake: () => node.host.wakeClient(client),
        monotonicMs: () => node.monotonicMs,
        isShortOfMemory: () => false,
        mayServe: () => this.#mayServe(),
        fenced: () => this.#fenced(),
      },
    );
    return client;
  }

  /**
   * Its clients are cut off when the incarnation ends. Before group 0 decides that, the node's lease has run out, at which it looks
   * before each delivery, whatever it has heard (R24).
   */
  #mayServe(): boolean {
    const { cluster, id } = this.#node;
    if (this.incarnation <= cluster.fencing.decreedFor(id)) this.#fenced();
    return this.#node.gateway === this;
  }

  #fenced(): void {
    if (this.#isFenced) return;
    this.#isFenced = true;
    this.#node.endIncarnation();
  }

  /** Another object for each term and each connection: the client attaches anew to each. */
  #leaderOf(group: GroupId): ShardLeaderPort | undefined {
    const node = this.#node;
    const replica = node.replicas.get(group);
    const known = replica?.raft.leader === undefined ? node.leaderElsewhere(group) : replica.raft;
    if (known?.leader === undefined) return undefined;
    const { leader, term } = known;
    const stream = this.#streams.get(group)!;
    if (leader === node.id) {
      if (replica === undefined) return undefined;
      const name = `here/${term}/${replica.generation}`;
      if (stream.leader?.name !== name)
        stream.leader = { name, node: leader, port: new LocalShardLeader(replica.leader, node.id, stream.client) };
      return stream.leader.port;
    }
    const epoch = node.cluster.streams.epochOf(node.id, leader);
    if (epoch === undefined) return undefined;
    const name = `${leader}/${term}/${epoch}`;
    if (stream.leader?.name !== name) {
      const link = node.cluster.streams.link(node.id, leader)!;
      stream.leader = { name, node: leader, port: new RemoteShardLeader(link, group, QUEUED_BYTES_MAX) };
    }
    return stream.leader.port;
  }
}
