import type { QueueHome } from '../broker/topology-records.ts';
import { TruncatedError } from '../lib/bytes.ts';
import { type GroupId, groupId, incarnation, type NodeId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import { checkBatch } from '../queue/entry-codec.ts';
import { FrameKind } from './frames.ts';
import type { GroupHost } from './group/group-host.ts';
import { decodeGrant, decodeRenewal, decodeTopologyApplied } from './metadata/lease-frames.ts';
import { decodeMetadataReply, type MetadataGroup } from './metadata/metadata-group.ts';
import type { NodeCalls } from './node-calls.ts';
import type { NodeSession } from './node-session.ts';
import type { Peers } from './peers.ts';
import type { Replicas } from './replicas.ts';
import { homeOfGroup } from './shard/home-group.ts';
import { RemoteShardLink } from './shard/remote-shard.ts';
import {
  decodeAnswers,
  decodeAttach,
  decodeAttached,
  decodeConsumerCancelled,
  decodeRefused,
} from './shard/shard-frames.ts';
import type { ShardLeader } from './shard/shard-leader.ts';
import { decodeChunk, decodeRequest } from './snapshot/snapshot-codec.ts';
import { decodeRaftMessage } from './transport/raft-wire.ts';
import type { PeerLink } from './transport/transport.ts';

export interface ClusterDispatchOptions {
  readonly self: NodeId;
  readonly deliveryFrameBytesMax: number;
  /** Deliveries wait with the leader while more than this is on its way to a peer. */
  readonly queuedBytesMax: number;
}

export interface ClusterDispatchDependencies {
  readonly host: GroupHost;
  readonly peers: Peers;
  readonly metadata: () => MetadataGroup;
  readonly session: () => NodeSession | undefined;
  /** The shard or volatile home that this node leads, or might. */
  readonly leaderOf: (home: QueueHome) => ShardLeader | undefined;
  readonly news: (node: NodeId, payload: Uint8Array) => void;
  readonly load: (node: NodeId, payload: Uint8Array) => void;
  readonly leads: (node: NodeId, group: GroupId, payload: Uint8Array) => void;
  readonly snapshots: Pick<Replicas, 'snapshotRequested' | 'snapshotReceived'>;
  readonly calls: NodeCalls;
  readonly logger: Logger;
}

/** Takes frames of other nodes apart and gives them to whom they are for. Bytes that make no sense are dropped and logged. */
export class ClusterDispatch {
  readonly #options: ClusterDispatchOptions;
  readonly #deps: ClusterDispatchDependencies;

  constructor(options: ClusterDispatchOptions, deps: ClusterDispatchDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  received(from: NodeId, link: PeerLink, kind: number, group: number, payload: Uint8Array): void {
    try {
      this.#dispatch(from, link, kind, group, payload);
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error;
      this.#deps.logger.warn({ peer: link.peer.nodeName, kind, err: error }, 'dropped a frame that ended too early');
    }
  }

  #dispatch(from: NodeId, link: PeerLink, kind: number, group: number, payload: Uint8Array): void {
    const { host, peers, metadata, session, news, calls } = this.#deps;
    switch (kind) {
      case FrameKind.raft: {
        const message = decodeRaftMessage(payload);
        if (message?.from === from && message.to === this.#options.self) host.step(groupId(group), message);
        return;
      }
      case FrameKind.leaseRenewal:
        metadata().leader.renew(decodeRenewal(from, payload));
        return;
      case FrameKind.leaseGrant: {
        const { incarnation: started, sentMs, grant } = decodeGrant(payload);
        if (session()?.self.incarnation === started) session()?.lease.granted(sentMs, grant);
        return;
      }
      case FrameKind.topologyApplied: {
        const applied = decodeTopologyApplied(payload);
        metadata().leader.topologyApplied(from, incarnation(applied.incarnation), applied.index);
        return;
      }
      case FrameKind.news:
        news(from, payload);
        return;
      case FrameKind.leads:
        this.#deps.leads(from, groupId(group), payload);
        return;
      case FrameKind.load:
        this.#deps.load(from, payload);
        return;
      case FrameKind.metadataRequest:
        if (!metadata().leader.request(payload.slice()))
          peers.send(from, 'clients', FrameKind.metadataNotLeader, 0, EMPTY);
        return;
      case FrameKind.metadataNotLeader:
        session()?.metadata.turnedAway();
        return;
      case FrameKind.metadataReply: {
        const { incarnation: started, number, reply } = decodeMetadataReply(payload);
        if (session()?.self.incarnation === started) session()?.metadata.replied(number, reply);
        return;
      }
      case FrameKind.attach:
      case FrameKind.batch:
        this.#toLeader(from, link, kind, group, payload);
        return;
      case FrameKind.snapshotRequest:
        this.#deps.snapshots.snapshotRequested(from, groupId(group), decodeRequest(payload));
        return;
      case FrameKind.snapshotChunk:
        this.#deps.snapshots.snapshotReceived(from, groupId(group), decodeChunk(payload));
        return;
      case FrameKind.call:
      case FrameKind.callAnswer:
        calls.received(from, kind, payload);
        return;
      default:
        this.#toClient(from, kind, group, payload);
    }
  }

  #toLeader(from: NodeId, link: PeerLink, kind: number, group: number, payload: Uint8Array): void {
    const leader = this.#deps.leaderOf(homeOfGroup(groupId(group), this.#options.self));
    if (leader !== undefined && kind === FrameKind.attach) {
      const { host } = this.#deps;
      const shardLink: RemoteShardLink = new RemoteShardLink(
        {
          group: groupId(group),
          frameBytesMax: this.#options.deliveryFrameBytesMax,
          queuedBytesMax: this.#options.queuedBytesMax,
        },
        { link, wantsFlush: wanting => host.wakeLink(wanting) },
      );
      leader.attach(decodeAttach(from, payload), shardLink);
      return;
    }
    if (leader !== undefined) {
      const check = checkBatch(payload);
      if (check.ok && check.header.node === from && leader.batch(from, payload.slice())) return;
      if (!check.ok) {
        this.#deps.logger.error({ peer: link.peer.nodeName, problem: check.problem }, 'a batch of a node is malformed');
        leader.expel(from);
        return;
      }
      // What follows on its way would leave a gap: nothing is taken until the node has attached again.
      leader.detach(from);
    }
    this.#deps.peers.send(from, 'clients', FrameKind.notLeader, group, EMPTY);
  }

  #toClient(from: NodeId, kind: number, group: number, payload: Uint8Array): void {
    const { session, peers } = this.#deps;
    const client = session()?.client(homeOfGroup(groupId(group), from));
    // Of a leader that this node follows no more, or not yet, nothing is taken: attaching has all of it repeated.
    if (client === undefined || !peers.isLeader(from, groupId(group), client.leader)) return;
    switch (kind) {
      case FrameKind.attached:
        decodeAttached(payload, client);
        return;
      case FrameKind.answers:
        decodeAnswers(payload, client);
        return;
      case FrameKind.deliveries:
        peers.assembler(from, groupId(group), client)?.deliveries(payload);
        return;
      case FrameKind.deliveryPart:
        peers.assembler(from, groupId(group), client)?.part(payload);
        return;
      case FrameKind.consumerCancelled:
        decodeConsumerCancelled(payload, client);
        return;
      case FrameKind.refused:
        decodeRefused(this.#options.self, payload, client);
        return;
      case FrameKind.notLeader:
        client.turnedAway();
    }
  }
}

const EMPTY = new Uint8Array(0);
