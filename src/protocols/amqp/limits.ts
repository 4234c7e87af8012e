import { FRAME_MIN_BYTES } from './spec.ts';

/** Bounds of one AMQP server and its connections. */
export interface AmqpLimits {
  /** Connections at a time; further ones are closed at once. */
  readonly connectionsMax: number;
  /** Offered in connection.tune: highest channel number. */
  readonly channelMax: number;
  /** Offered in connection.tune: largest frame, with its eight octets of overhead. */
  readonly frameBytesMax: number;
  /** Largest frame until the client has answered connection.tune: who has not logged in is not trusted with more memory. */
  readonly handshakeFrameBytesMax: number;
  /** Offered in connection.tune; 0 switches heartbeats off unless the client asks for them. */
  readonly heartbeatSeconds: number;
  /** From accept to connection.open-ok. */
  readonly handshakeTimeoutMs: number;
  /** How long a peer may take to answer connection.close. */
  readonly closeTimeoutMs: number;
  /** Body of one message. */
  readonly messageBytesMax: number;
  /** Messages of a connection whose content is not complete; above it the connection is closed with 506. */
  readonly unfinishedBytesMax: number;
  /** The same of all connections; above it those with a large share of it are closed. */
  readonly nodeUnfinishedBytesMax: number;
  /** Messages that the transactions of a connection hold until they are committed. */
  readonly transactionBytesMax: number;
  /** Frames of one channel that wait for an answer of the broker; above it the connection is not read. */
  readonly waitingBytesMax: number;
  /** Answers not yet taken by the socket (deliveries do not count); above it the connection is not read. */
  readonly replyBytesMax: number;
  /** All output not yet taken by the socket. Credit keeps it far below; above it the connection is ended. */
  readonly outputBytesMax: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const MESSAGE_BYTES_MAX = 128 * MIB;
export const CHANNEL_NUMBER_MAX = 65_535;

export const DEFAULT_LIMITS: AmqpLimits = {
  connectionsMax: 10_000,
  channelMax: 2047,
  frameBytesMax: 128 * KIB,
  // RabbitMQ 4 takes as much, for long tokens; 3.10 takes 4 KiB.
  handshakeFrameBytesMax: 8 * KIB,
  heartbeatSeconds: 60,
  handshakeTimeoutMs: 10_000,
  closeTimeoutMs: 5_000,
  messageBytesMax: MESSAGE_BYTES_MAX,
  unfinishedBytesMax: 160 * MIB,
  nodeUnfinishedBytesMax: 512 * MIB,
  transactionBytesMax: 64 * MIB,
  waitingBytesMax: MIB,
  replyBytesMax: 4 * MIB,
  outputBytesMax: 320 * MIB,
};

/** Undefined when the limits make sense, otherwise what is wrong. */
export function checkLimits(limits: AmqpLimits): string | undefined {
  if (limits.frameBytesMax < FRAME_MIN_BYTES)
    return `frameBytesMax is ${limits.frameBytesMax}; at least ${FRAME_MIN_BYTES}`;
  if (limits.channelMax < 1 || limits.channelMax > CHANNEL_NUMBER_MAX) {
    return `channelMax is ${limits.channelMax}; between 1 and ${CHANNEL_NUMBER_MAX}`;
  }
  if (limits.messageBytesMax > MESSAGE_BYTES_MAX) {
    return `messageBytesMax is ${limits.messageBytesMax}; at most ${MESSAGE_BYTES_MAX}`;
  }
  if (limits.unfinishedBytesMax < limits.messageBytesMax) {
    return `unfinishedBytesMax is ${limits.unfinishedBytesMax}; at least messageBytesMax (${limits.messageBytesMax})`;
  }
  if (limits.outputBytesMax < 2 * limits.messageBytesMax) {
    return `outputBytesMax is ${limits.outputBytesMax}; at least twice messageBytesMax (${limits.messageBytesMax})`;
  }
  return undefined;
}
