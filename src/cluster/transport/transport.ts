import type { Incarnation, NodeId } from '../../lib/ids.ts';
import { FRAME_OVERHEAD_BYTES_MAX } from './envelope-codec.ts';

/**
 * The port between the cluster layer and the network. A pair of nodes is joined by a link of three lanes, each in order
 * and independent of the others: a lane that is slow or full never delays another (R8).
 *
 * - `control`: heartbeats, votes, append responses, leases.
 * - `log`: append requests and, behind them, snapshot chunks.
 * - `clients`: forwarded commands, answers, deliveries; bounded by credits (`stream-credit.ts`).
 *
 * Nothing is repeated: what was sent on a link that breaks may or may not have arrived. A new link starts empty.
 */
export interface Transport {
  /** Takes calls from other nodes. */
  start(): Promise<StartResult>;
  /** Keeps a link to this node from now on, dialling again and again. A known name gets the new address. */
  addPeer(peer: PeerAddress): void;
  /** Ends the link, if there is one, and dials no more. */
  removePeer(nodeName: string): void;
  /** The open link to a node. */
  link(nodeName: string): PeerLink | undefined;
  /** Ends all links and takes no more calls. No callback follows. */
  close(): Promise<void>;
}

export interface PeerAddress {
  readonly nodeName: string;
  /** `host:port`, the host a name or an address (IPv6 in brackets). */
  readonly address: string;
}

export type StartResult =
  | { readonly ok: true; readonly port: number }
  | { readonly ok: false; readonly code: 'port-in-use' | 'cannot-listen'; readonly text: string };

export type Lane = 'control' | 'log' | 'clients';
export const LANES: readonly Lane[] = ['control', 'log', 'clients'];

/** No gRPC message between nodes is larger (R8). */
export const MESSAGE_BYTES_MAX = 256 * 1024;
/** Largest payload of one frame; a larger one is the sender's mistake. */
export const FRAME_PAYLOAD_BYTES_MAX = MESSAGE_BYTES_MAX - FRAME_OVERHEAD_BYTES_MAX;

/** One life of a link. After it broke, a new link object stands for the next one. */
export interface PeerLink {
  /** The other node, as it introduced itself when the link was made. */
  readonly peer: NodeIdentity;
  readonly isOpen: boolean;
  /**
   * Queues one frame: its payload is `payload` and then `more`, together at most `FRAME_PAYLOAD_BYTES_MAX` bytes, copied
   * before the call returns. All frames of a turn of the event loop leave together, in order per lane. On a link that is
   * no longer open the frame is dropped.
   * @param kind 0 to 255, what the payload is; a matter of the cluster layer.
   */
  send(lane: Lane, kind: number, group: number, payload: Uint8Array, more?: readonly Uint8Array[]): void;
  /** Bytes queued on a lane that the operating system has not taken yet. */
  queuedBytes(lane: Lane): number;
}

/** What a node says about itself when a link is made. */
export interface NodeIdentity {
  readonly nodeName: string;
  /** Random, written at the first start: tells two data directories of one node name apart (R9). */
  readonly directoryId: string;
  readonly clusterName: string;
  /** Undefined until the cluster is formed, or this node has joined it. */
  readonly clusterId: string | undefined;
  readonly nodeId: NodeId | undefined;
  readonly incarnation: Incarnation | undefined;
  /** Nothing was ever written to the data directory (R9). */
  readonly isDirectoryEmpty: boolean;
  /** Where other nodes reach it, `host:port`. */
  readonly address: string;
  /** Whatever else the cluster layer tells its like before it decides: known members, for example. At most 64 KiB. */
  readonly clusterState: Uint8Array;
}

export const CLUSTER_STATE_BYTES_MAX = 64 * 1024;

/** `refuse` carries one sentence for the operators of both nodes. */
export type Decision = { readonly accept: true } | { readonly accept: false; readonly reason: string };

/** The cluster layer's side of the port. Callbacks come from the event loop; only `removePeer` calls `disconnected` itself. */
export interface TransportListener {
  /** This node, as it is now; asked for at every handshake. */
  identity(): NodeIdentity;
  /** The peer has proved the shared secret and fits by version, cluster and name: shall it be linked? Both sides are asked. */
  decide(peer: NodeIdentity): Decision;
  /** A handshake failed for a reason that trying again will not mend. Told once per peer and reason until a link is made. */
  refused(peer: string, reason: string): void;
  /** The same of a call that this node made to a peer of its own. Strangers cannot bring it about. Told at every attempt. */
  turnedAway(peer: string, reason: string): void;
  connected(link: PeerLink): void;
  disconnected(link: PeerLink, reason: string): void;
  /**
   * Nothing listens any more at the address of a peer whose link broke: its process is gone (R10). A hint, told at most
   * once after each `disconnected`, usually within milliseconds.
   */
  processGone(nodeName: string): void;
  /** One frame. `payload` is valid during the call only: copy what is to be kept (R20). */
  received(link: PeerLink, lane: Lane, kind: number, group: number, payload: Uint8Array): void;
  /** The frames of one message, `bytes` on the wire, have been handed over: the moment to act on them together. */
  receivedAll(link: PeerLink, lane: Lane, bytes: number): void;
}
