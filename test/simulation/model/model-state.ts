import type { ConsumerId, Incarnation, LogIndex, NodeId, QueueId } from '../../../src/lib/ids.ts';
import type { Credit, QueueConfig } from '../../../src/queue/commands.ts';
import type { BodyPart, SequencedOutcome } from '../../../src/queue/effects.ts';

/** One message in one queue. */
export interface ModelMessage {
  readonly queue: QueueId;
  /** Counts the messages of the queue in the order in which they came. */
  readonly place: number;
  /** Where its body is; a message in several pieces lists them. */
  readonly parts: readonly BodyPart[];
  readonly bytes: number;
  /** It came in parts, which all its queues share. */
  readonly isAssembled: boolean;
  /** Queues that took it with one command. */
  readonly shares: number;
  /** Shard time at which it came. */
  readonly cameMs: number;
  /** Shard time at which its wait is over; Infinity: never. */
  readonly expiryMs: number;
  /** How often it was handed out and came back. */
  attempts: number;
}

export interface ModelQueue {
  readonly id: QueueId;
  readonly config: QueueConfig;
  /** In the order of their places. Of a stream: all that it keeps. */
  ready: ModelMessage[];
  readonly consumers: ModelConsumer[];
  /** Those that wait for messages, the next to be served first: by priority, then in turn. */
  ring: ModelConsumer[];
  /** With a single active consumer: the one whose turn it is, until all that it holds has come back. */
  turn: ModelConsumer | undefined;
  places: number;
  /** Shard time of the last get, declaration, begin or end of a consumer. */
  usedMs: number;
}

export interface ModelConsumer {
  readonly session: ModelSession;
  readonly id: ConsumerId;
  readonly tag: string;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly queueId: QueueId;
  /** It is being released: as good as gone for every command. */
  isLeaving: boolean;
  /** Undefined once the queue is deleted. */
  queue: ModelQueue | undefined;
  state: 'active' | 'waiting' | 'cancelled' | 'queue-deleted' | 'getter';
  credit: Credit;
  /** Deliveries 1 to here were given. */
  last: number;
  bytes: number;
  /** By delivery number, ascending. */
  readonly held: Map<number, ModelMessage>;
  /** Of a stream: the first place that it has not read; -1 for other queues. */
  cursor: number;
}

export interface ModelUpload {
  readonly parts: BodyPart[];
}

/** What the shard knows of one start of a node. */
export interface ModelSession {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  lastSequence: number;
  seenThrough: number;
  topologyIndex: number;
  outcomes: SequencedOutcome[];
  /** It is fenced. */
  isEnded: boolean;
  readonly consumers: Map<ConsumerId, ModelConsumer>;
  readonly uploads: Map<number, ModelUpload>;
}

/** The consumer that a command speaks of. */
export function consumerOf({ consumers }: ModelSession, id: ConsumerId): ModelConsumer | undefined {
  const found = consumers.get(id);
  return found?.isLeaving === true ? undefined : found;
}

/** Why a message is not in its queue any more. */
export type Departure = 'settled' | 'discarded' | 'purged' | 'deleted' | 'expired';

/** Hears of everything that happens to a message, in the order of the log. */
export interface ModelListener {
  entered(message: ModelMessage, session: ModelSession): void;
  handedOut(message: ModelMessage, consumer: ModelConsumer, number: number): void;
  /** It is ready again. */
  returned(message: ModelMessage, consumer: ModelConsumer, number: number): void;
  /** A reader of a stream does not hold it any more; what becomes of the message is another matter. */
  letGo(message: ModelMessage, how: Departure | 'returned', consumer: ModelConsumer, number: number): void;
  /** `consumer` and `number` name the delivery that it was; undefined if nobody held it. */
  departed(
    message: ModelMessage,
    how: Departure,
    consumer: ModelConsumer | undefined,
    number: number | undefined,
  ): void;
  /** A command was executed: once, whatever was repeated. */
  executed(session: ModelSession, sequence: number, command: ExecutedCommand, index: LogIndex): void;
  queueDeleted(queue: ModelQueue): void;
}

/** A command as the log has it, with what it came to. */
export interface ExecutedCommand {
  readonly kind: number;
  readonly queues: readonly QueueId[];
  readonly outcome: SequencedOutcome['outcome'] | undefined;
  /** Of a publish: its message block. */
  readonly body: BodyPart | undefined;
}

export const bytesOf = (parts: readonly BodyPart[]): number => parts.reduce((sum, { length }) => sum + length, 0);

export const nameOf = ({ session, id }: ModelConsumer): string =>
  `consumer ${id} of node ${session.node}.${session.incarnation}`;
