import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type {
  BrokerConnection,
  BrokerSession,
  ConnectionListener,
  Delivery,
  SessionListener,
  SettleHow,
} from '../../broker/broker.ts';
import {
  type ConsumeOpen,
  type ConsumeRequest,
  ConsumeResponseSchema,
  type ConsumeSettle,
  SettleAction,
} from '../../gen/warren/v1/broker_pb.ts';
import { DeliveryBatch } from './delivery-batch.ts';
import { toFieldTable } from './field-mapping.ts';
import type { PropertyMapping } from './property-mapping.ts';
import { type CallError, callError, fromBrokerError, invalidArgument, toServiceError } from './status.ts';
import { UnsettledDeliveries } from './unsettled-deliveries.ts';

/** Responses are encoded before they are written. */
export type ConsumeCall = ServerDuplexStream<ConsumeRequest, Buffer>;

/** The stream's only consumer. */
const CONSUMER = 1;

const HOW: Readonly<Record<number, SettleHow>> = {
  [SettleAction.UNSPECIFIED]: 'settle',
  [SettleAction.SETTLE]: 'settle',
  [SettleAction.RETURN]: 'return',
  [SettleAction.DISCARD]: 'discard',
};

/** One Consume call: one consumer on a connection of its own, whose credit is what the call's HTTP/2 stream has taken (R26). */
export class ConsumeStream implements SessionListener, ConnectionListener {
  readonly #call: ConsumeCall;
  readonly #batch: DeliveryBatch;
  readonly #unsettled = new UnsettledDeliveries();
  #connection: BrokerConnection | undefined;
  #session: BrokerSession | undefined;
  #state: 'before-open' | 'opening' | 'open' = 'before-open';
  #isAutoSettled = false;
  #isFlushPlanned = false;
  #isWriting = false;
  #isOver = false;

  constructor(call: ConsumeCall, mapping: PropertyMapping) {
    this.#call = call;
    this.#batch = new DeliveryBatch(mapping);
    call.on('cancelled', () => this.#end());
    call.on('error', () => this.#end());
  }

  start(connection: BrokerConnection): void {
    if (this.#isOver || this.#call.cancelled) {
      void connection.close();
      return;
    }
    this.#connection = connection;
    this.#session = connection.openSession(this);
    this.#call.on('data', (request: ConsumeRequest) => this.#receive(request));
    this.#call.on('end', () => {
      this.#end();
      this.#call.end();
    });
  }

  fail(error: CallError): void {
    if (this.#isOver) return;
    this.#call.emit('error', toServiceError(error));
  }

  closed(reason: string): void {
    this.fail(callError(status.UNAVAILABLE, 'CONNECTION_CLOSED', reason));
  }

  dismissed(text: string): void {
    this.fail(callError(status.ABORTED, 'DISMISSED', text));
  }

  deliver(delivery: Delivery): void {
    if (this.#isOver) return;
    if (!this.#isAutoSettled) this.#unsettled.delivered(delivery.number);
    this.#batch.add(delivery);
    this.#planFlush();
  }

  consumerCancelled(): void {
    this.fail(callError(status.ABORTED, 'CONSUMER_CANCELLED', 'the queue is gone or the consumer was taken away'));
  }

  confirmed(): void {}
  rejected(): void {}
  held(): void {}
  resumed(): void {}

  #receive({ request }: ConsumeRequest): void {
    if (this.#isOver) return;
    if (request.case === 'open' && this.#state === 'before-open') {
      this.#open(request.value);
    } else if (request.case === undefined || request.case === 'open' || this.#state !== 'open') {
      this.fail(invalidArgument("a consume stream begins with one 'open'"));
    } else if (request.case === 'settle') {
      this.#settle(request.value);
    } else if (request.case === 'window') {
      const refusal = this.#session!.setWindow(CONSUMER, request.value.window);
      if (refusal !== undefined) this.fail(fromBrokerError(refusal));
    } else {
      void this.#session!.cancel(CONSUMER).then(() => {
        this.#writeBatch();
        this.#respond({ response: { case: 'cancelled', value: {} } });
      });
    }
  }

  #open(open: ConsumeOpen): void {
    const table = toFieldTable(open.arguments);
    if (!table.ok) {
      this.fail(fromBrokerError(table.error));
      return;
    }
    this.#state = 'opening';
    this.#isAutoSettled = open.autoSettle;
    this.#call.pause();
    const consumed = this.#session!.consume({
      queue: open.queue,
      consumer: CONSUMER,
      tag: open.consumerTag,
      autoAck: open.autoSettle,
      exclusive: open.exclusive,
      arguments: table.value,
      window: open.window,
    });
    void consumed.then(result => {
      if (this.#isOver) return;
      if (!result.ok) {
        this.fail(fromBrokerError(result.error));
        return;
      }
      this.#state = 'open';
      this.#respond({ response: { case: 'opened', value: {} } });
      this.#call.resume();
      this.#planFlush();
    });
  }

  #settle({ first, last, action }: ConsumeSettle): void {
    const how = HOW[action];
    if (how === undefined) {
      this.fail(invalidArgument(`there is no settle action ${action}; there are settle, return and discard`));
      return;
    }
    const refusal = how === 'settle' ? undefined : this.#session!.checkReturn(CONSUMER, 'return and discard');
    if (refusal !== undefined) {
      this.fail(fromBrokerError(refusal));
      return;
    }
    const ranges = this.#unsettled.take(Number(first), Number(last));
    if (ranges === undefined) {
      const text = `deliveries ${first} to ${last} are not all outstanding`;
      this.fail(callError(status.FAILED_PRECONDITION, 'NOT_OUTSTANDING', text));
      return;
    }
    for (const [from, to] of ranges) this.#session!.settle(CONSUMER, from, to, how);
  }

  #planFlush(): void {
    if (this.#isFlushPlanned || this.#isWriting || this.#isOver || this.#state !== 'open') return;
    this.#isFlushPlanned = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushPlanned = false;
    if (!this.#isWriting) this.#writeBatch();
  }

  /**
   * Hands all deliveries to the stream. Only when the last of them has left is the broker told, so a client that does not
   * read holds up its own deliveries and nobody else's.
   */
  #writeBatch(): void {
    if (this.#isOver || this.#batch.isEmpty) return;
    const mark = this.#connection!.deliveredMark();
    const responses = this.#batch.take();
    this.#isWriting = true;
    responses.forEach((response, position) => {
      if (position < responses.length - 1) this.#call.write(response);
      else this.#call.write(response, () => this.#written(mark));
    });
  }

  #written(mark: number): void {
    this.#isWriting = false;
    if (this.#isOver) return;
    this.#connection!.flushed(mark);
    if (!this.#batch.isEmpty) this.#planFlush();
  }

  #respond(response: MessageInitShape<typeof ConsumeResponseSchema>): void {
    if (this.#isOver) return;
    const bytes = toBinary(ConsumeResponseSchema, create(ConsumeResponseSchema, response));
    this.#call.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  /** What is unsettled returns to the queue. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unsettled.clear();
    void this.#connection?.close();
  }
}
