import type { BrokerConnection, BrokerSession } from '../../broker/broker.ts';
import type { AmqpError } from './amqp-error.ts';
import type { ChannelTransaction, TransactionMemory } from './channel-transaction.ts';
import type { ContentMemory } from './content-memory.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { AmqpLimits } from './limits.ts';

/** What the shell does for the machines: they themselves neither wait nor write to sockets. */
export interface Waiter {
  /** Calls `then` with the answer of the broker once it is there. */
  wait<Value>(answer: Promise<Value>, then: (value: Value) => void): void;
}

/** What a channel knows about its connection. */
export interface ConnectionFacts {
  readonly broker: BrokerConnection;
  readonly writer: FrameWriter;
  readonly limits: AmqpLimits;
  readonly wantsCancelNotify: boolean;
  readonly transactionMemory: TransactionMemory;
  readonly contentMemory: ContentMemory;
  /** 22 characters that nobody else has got. */
  generateName(): string;
}

/** What the parts of a channel share. */
export interface ChannelContext extends Waiter, ConnectionFacts {
  readonly number: number;
  readonly session: BrokerSession;
  /** Undefined before tx.select. */
  readonly transaction: ChannelTransaction | undefined;
  /** Where replies to this channel are published to; undefined without a consumer of the reply queue. */
  readonly replyTo: string | undefined;
  /** The name of the queue that a method means: empty stands for the one declared last; undefined, with the channel failed, when there is none. */
  queueNamed(name: string): string | undefined;
  /** Ends the channel, or the connection, because of the method under way. */
  fail(error: AmqpError): void;
  /** Confirms are to be written before the next flush. */
  confirmsPending(): void;
}
