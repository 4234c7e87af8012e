import type { ConsumerHandle, SettleHow } from '../../broker/broker.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';
import type { ChannelContext } from './channel-context.ts';
import { type DeliveryLedger, GONE_CONSUMER } from './delivery-ledger.ts';
import type { PublishView } from './publish-view.ts';
import type { SettleRanges } from './settle-ranges.ts';

/** What a held message costs beside its bytes. */
const MESSAGE_COST_BYTES = 500;

/** Memory that the transactions of a connection share. */
export interface TransactionMemory {
  heldBytes: number;
}

interface HeldPublish {
  readonly publish: PublishView;
  readonly isMandatory: boolean;
}

/** A delivery that the client has settled, as far as the transaction is concerned. */
export interface HeldSettlement {
  readonly tag: number;
  readonly consumer: ConsumerHandle;
  readonly number: number;
  readonly how: SettleHow;
}

/** What a channel after tx.select keeps back until tx.commit: messages first, then settlements, as RabbitMQ orders them. */
export class ChannelTransaction {
  readonly #context: ChannelContext;
  readonly #memory: TransactionMemory;
  readonly #returned: (publish: PublishView) => void;
  #publishes: HeldPublish[] = [];
  #settlements: HeldSettlement[] = [];
  #heldBytes = 0;
  /** How many of `publishes` the commit under way has handed over. */
  #handedOver = 0;
  #lastSequence = 0;
  #hasFailed = false;

  /** `returned` tells the client of a mandatory message that goes nowhere. */
  constructor(context: ChannelContext, returned: (publish: PublishView) => void) {
    this.#context = context;
    this.#memory = context.transactionMemory;
    this.#returned = returned;
  }

  hold(publish: PublishView, isMandatory: boolean): AmqpError | undefined {
    const bytes = publish.properties.length + publish.bodyBytes + MESSAGE_COST_BYTES;
    const { transactionBytesMax } = this.#context.limits;
    if (this.#memory.heldBytes + bytes > transactionBytesMax) {
      const text = `uncommitted messages of this connection exceed ${transactionBytesMax} bytes`;
      return amqpError('precondition-failed', text);
    }
    this.#heldBytes += bytes;
    this.#memory.heldBytes += bytes;
    this.#publishes.push({ publish: publish.copy(), isMandatory });
    return undefined;
  }

  holdSettlement(settlement: HeldSettlement): void {
    this.#settlements.push(settlement);
  }

  /** The broker took a consumer's deliveries back: settling them does nothing. */
  forget(consumer: ConsumerHandle): void {
    this.#settlements = this.#settlements.map(held =>
      held.consumer === consumer ? { ...held, consumer: GONE_CONSUMER } : held,
    );
  }

  /** A message of the commit was refused. */
  rejected(): void {
    this.#hasFailed = true;
  }

  /** Hands the messages over, as far as the broker takes them now. False: not all; to be called again. */
  publishHeld(): boolean {
    for (; this.#handedOver < this.#publishes.length; this.#handedOver++) {
      if (!this.#context.broker.mayPublish) return false;
      const { publish, isMandatory } = this.#publishes[this.#handedOver]!;
      publish.sequence = ++this.#lastSequence;
      const result = this.#context.session.publish(publish);
      if (result === 'routed') continue;
      // An exchange that is gone since its message was taken leads nowhere.
      if (result !== 'unroutable' && result.code !== 'no-exchange') this.#hasFailed = true;
      else if (isMandatory) this.#returned(publish);
    }
    return true;
  }

  /** Everything is handed over: settles, and waits until all of it is safe. */
  commit(ranges: SettleRanges): void {
    for (const { consumer, number, how } of this.#settlements) {
      if (consumer !== GONE_CONSUMER) ranges.add(consumer, number, how);
    }
    ranges.flush();
    const context = this.#context;
    context.wait(context.session.settled(), () => {
      const hasFailed = this.#hasFailed;
      this.drop();
      if (hasFailed) context.fail(amqpError('precondition-failed', 'partial tx completion'));
      else context.writer.method(context.number, { name: 'tx.commit-ok' });
    });
  }

  /** Messages are forgotten; what was settled is unsettled again. */
  rollback(ledger: DeliveryLedger): void {
    ledger.restore(this.#settlements);
    this.drop();
    this.#context.writer.method(this.#context.number, { name: 'tx.rollback-ok' });
  }

  /** Holds nothing any more. */
  drop(): void {
    this.#memory.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.#publishes = [];
    this.#settlements = [];
    this.#handedOver = 0;
    this.#hasFailed = false;
  }
}
