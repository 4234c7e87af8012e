import type { GroupId, NodeId, Term } from '../../src/lib/ids.ts';
import type { RaftMessage } from '../../src/raft/messages.ts';

/** Between replicas; may be lost, repeated and reordered. */
export interface RaftPacket {
  readonly group: GroupId;
  readonly message: RaftMessage;
  /** What the sender's wall clock showed (R28). */
  readonly wallMs: number;
}

/** Tells nodes that hold no replica of a group who leads it. */
export interface LeaderNews {
  readonly group: GroupId;
  readonly leader: NodeId;
  readonly term: Term;
}

export type Packet = RaftPacket | LeaderNews;

/** Between a node and a shard's leader; in order as long as the connection lives. `kind` as in `FrameKind`. */
export interface Frame {
  readonly kind: number;
  readonly group: GroupId;
  readonly payload: Uint8Array;
}
