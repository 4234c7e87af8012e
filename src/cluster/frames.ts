/** Kinds of frames on the lanes between nodes. Numbers are part of the protocol between releases. */
export const FrameKind = {
  /** control and log: one Raft message; the frame's group is its group. */
  raft: 1,
  /** control: a node asks group 0's leader to renew its leases; the answer; progress of the topology (R2, R24). */
  leaseRenewal: 10,
  leaseGrant: 11,
  topologyApplied: 12,
  /** control: wall clock and free space of a node. */
  news: 13,
  /** control: which cluster a node belongs to, told to those that do not know theirs yet (R9). */
  formed: 14,
  /** control: connections and channels of vhosts and users that have limits. */
  load: 15,
  /** control: the sender leads the frame's group. */
  leads: 16,
  /** clients: a request to group 0, its answer, a refusal by a node that does not lead. */
  metadataRequest: 20,
  metadataReply: 21,
  metadataNotLeader: 22,
  /** clients: a node and the leader of the frame's group. */
  attach: 30,
  attached: 31,
  batch: 32,
  answers: 33,
  deliveries: 34,
  deliveryPart: 35,
  consumerCancelled: 36,
  refused: 37,
  notLeader: 38,
  /** clients: what operators ask one certain node, and its answer. */
  call: 40,
  callAnswer: 41,
  /** log: a snapshot transfer (R17). */
  snapshotRequest: 50,
  snapshotChunk: 51,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];
