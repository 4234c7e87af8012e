/**
 * Identities are branded so that one kind cannot pass for another; quantities that take part in arithmetic
 * (terms, indexes, sequences, times) are plain numbers, all of them safe integers.
 */
declare const brand: unique symbol;
type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };

/**
 * A participant: one node name with one data directory. Given by group 0, never reused; the same name with another
 * directory is another participant (R9). 1 or more.
 */
export type NodeId = Branded<number, 'NodeId'>;
/** One Raft group: 0 is the metadata group, 1 and up are shards. Volatile logs have ids of their own range. */
export type GroupId = Branded<number, 'GroupId'>;
/** A queue, for ever; a name means a queue only in group 0 (R3). 1 or more, below 2^48. */
export type QueueId = Branded<number, 'QueueId'>;
/** One start of a node, counted by group 0 (R24). 1 or more, below 2^32. */
export type Incarnation = Branded<number, 'Incarnation'>;
/** A consumer, unique within an incarnation of the node that holds its connection. 1 or more, below 2^32. */
export type ConsumerId = Branded<number, 'ConsumerId'>;

/** Raft term (Raft 5.1). */
export type Term = number;
/** Position in a group's log, 1 is the first entry. */
export type LogIndex = number;

export const nodeId = (value: number): NodeId => value as NodeId;
export const groupId = (value: number): GroupId => value as GroupId;
export const queueId = (value: number): QueueId => value as QueueId;
export const incarnation = (value: number): Incarnation => value as Incarnation;
export const consumerId = (value: number): ConsumerId => value as ConsumerId;

export const METADATA_GROUP: GroupId = groupId(0);
