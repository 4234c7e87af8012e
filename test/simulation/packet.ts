import type { GroupId } from '../../src/lib/ids.ts';
import type { RaftMessage } from '../../src/raft/messages.ts';

/** Between replicas; may be lost, repeated and reordered. */
export interface RaftPacket {
  readonly group: GroupId;
  readonly message: RaftMessage;
}

/** Between a node and a shard's leader; in order as long as the connection lives. `kind` as in `FrameKind`. */
export interface Frame {
  readonly kind: number;
  readonly group: GroupId;
  readonly payload: Uint8Array;
}
