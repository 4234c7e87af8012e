import { ByteWriter } from '../lib/bytes.ts';
import type { GroupId, NodeId } from '../lib/ids.ts';
import type { RaftMessage } from '../raft/messages.ts';
import { FrameKind } from './frames.ts';
import { RemoteShardLeader } from './shard/remote-shard.ts';
import { DeliveryAssembler } from './shard/shard-frames.ts';
import type { ShardLeaderPort, ShardLink } from './shard/shard-link.ts';
import { encodeRaftMessage, laneOf } from './transport/raft-wire.ts';
import type { PeerLink } from './transport/transport.ts';

interface Peer {
  readonly link: PeerLink;
  readonly connectedMs: number;
  /** Leaders there, by group and term: a new term is a new leader to attach to. */
  readonly leaders: Map<string, RemoteShardLeader>;
  readonly assemblers: Map<GroupId, { readonly receiver: ShardLink; readonly assembler: DeliveryAssembler }>;
}

/** The other nodes that this one is linked to, by participant. */
export class Peers {
  readonly #queuedBytesMax: number;
  readonly #byNode = new Map<NodeId, Peer>();
  readonly #writer = new ByteWriter(512);

  constructor(options: { readonly queuedBytesMax: number }) {
    this.#queuedBytesMax = options.queuedBytesMax;
  }

  connected(node: NodeId, link: PeerLink, nowMs: number): void {
    this.#byNode.set(node, { link, connectedMs: nowMs, leaders: new Map(), assemblers: new Map() });
  }

  /** False: it was not this link that stood for the node. */
  disconnected(node: NodeId, link: PeerLink): boolean {
    if (this.#byNode.get(node)?.link !== link) return false;
    this.#byNode.delete(node);
    return true;
  }

  link(node: NodeId): PeerLink | undefined {
    return this.#byNode.get(node)?.link;
  }

  nodes(): IterableIterator<NodeId> {
    return this.#byNode.keys();
  }

  connectedSinceMs(node: NodeId): number | undefined {
    return this.#byNode.get(node)?.connectedMs;
  }

  send(
    node: NodeId,
    lane: 'control' | 'clients' | 'log',
    kind: FrameKind,
    group: number,
    payload: Uint8Array,
  ): boolean {
    const link = this.link(node);
    if (link === undefined) return false;
    link.send(lane, kind, group, payload);
    return true;
  }

  /** Raft repeats what is lost; a peer without a link loses it. */
  sendRaft(message: RaftMessage, group: GroupId): void {
    const link = this.link(message.to);
    if (link === undefined) return;
    this.#writer.reset();
    const payloads = encodeRaftMessage(this.#writer, message);
    link.send(laneOf(message), FrameKind.raft, group, this.#writer.view(), payloads);
  }

  /** The leader of a group in a term, on another node; undefined without a link. The same object as long as all three stay. */
  shardLeader(node: NodeId, group: GroupId, term: number): RemoteShardLeader | undefined {
    const peer = this.#byNode.get(node);
    if (peer === undefined || !peer.link.isOpen) return undefined;
    const key = `${group}/${term}`;
    let leader = peer.leaders.get(key);
    if (leader === undefined) {
      for (const old of peer.leaders.keys()) if (old.startsWith(`${group}/`)) peer.leaders.delete(old);
      leader = new RemoteShardLeader(peer.link, group, this.#queuedBytesMax);
      peer.leaders.set(key, leader);
    }
    return leader;
  }

  /** Whether `leader` stands for the group's leader on that node, over the link that is there now. */
  isLeader(node: NodeId, group: GroupId, leader: ShardLeaderPort | undefined): boolean {
    const peer = this.#byNode.get(node);
    if (peer === undefined || leader === undefined) return false;
    for (const [key, known] of peer.leaders) if (known === leader) return key.startsWith(`${group}/`);
    return false;
  }

  /** Puts the deliveries of a group from a node together for `receiver`. */
  assembler(node: NodeId, group: GroupId, receiver: ShardLink): DeliveryAssembler | undefined {
    const peer = this.#byNode.get(node);
    if (peer === undefined) return undefined;
    let known = peer.assemblers.get(group);
    if (known?.receiver !== receiver) {
      known = { receiver, assembler: new DeliveryAssembler(receiver) };
      peer.assemblers.set(group, known);
    }
    return known.assembler;
  }
}
