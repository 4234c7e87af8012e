import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type {
  BrokerConnection,
  BrokerSession,
  ConnectionListener,
  Publish,
  SessionListener,
} from '../../broker/broker.ts';
import type { FieldTable } from '../../broker/field-table.ts';
import type { HashedProperty } from '../../broker/route-collector.ts';
import type { PublishRequest, PublishResponse } from '../../gen/warren/v1/broker_pb.ts';
import type { Message } from '../../gen/warren/v1/message_pb.ts';
import { assert } from '../../lib/assert.ts';
import { OutcomeLedger } from './outcome-ledger.ts';
import type { PropertyMapping, PublishedProperties } from './property-mapping.ts';
import { type CallError, callError, fromBrokerError, toServiceError } from './status.ts';

export type PublishCall = ServerDuplexStream<PublishRequest, PublishResponse>;

/** Outcomes that a client has not read. Above it the stream is not read either. */
const UNTOLD_MAX = 10_000;

/** The object handed to the broker: one per stream, filled anew for each message. */
class PublishView implements Publish {
  exchange = '';
  routingKey = '';
  readonly moreRoutingKeys: readonly string[] = [];
  properties: Uint8Array = new Uint8Array(0);
  published: PublishedProperties | undefined;
  readonly body: Uint8Array[] = [];
  bodyBytes = 0;
  expirationMs: number | undefined = undefined;
  sequence = 0;
  readonly headers = (): FieldTable | undefined => this.published?.headers;
  readonly property = (name: HashedProperty): string | undefined => this.published?.hashed[name];
}

/** One Publish call. Reads only while the broker takes messages and the client takes outcomes. */
export class PublishStream implements SessionListener, ConnectionListener {
  readonly #call: PublishCall;
  readonly #mapping: PropertyMapping;
  readonly #publish = new PublishView();
  #connection: BrokerConnection | undefined;
  #session: BrokerSession | undefined;
  #ledger: OutcomeLedger | undefined;
  /** The request at hand, and its next message. */
  #request: PublishRequest | undefined;
  #next = 0;
  #isFlushPlanned = false;
  #isWriting = false;
  #isInputOver = false;
  #isOver = false;

  constructor(call: PublishCall, mapping: PropertyMapping) {
    this.#call = call;
    this.#mapping = mapping;
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
    this.#call.on('data', (request: PublishRequest) => {
      assert(this.#request === undefined, 'a request came while another one waits');
      this.#ledger ??= new OutcomeLedger(request.confirmMode);
      this.#request = request;
      this.#next = 0;
      this.#process();
    });
    this.#call.on('end', () => {
      this.#isInputOver = true;
      this.#planFlush();
    });
    this.#process();
  }

  fail(error: CallError): void {
    if (this.#isOver) return;
    this.#call.emit('error', toServiceError(error));
  }

  held(): void {
    this.#call.pause();
  }

  resumed(): void {
    this.#process();
  }

  closed(reason: string): void {
    this.fail(callError(status.UNAVAILABLE, 'CONNECTION_CLOSED', reason));
  }

  dismissed(text: string): void {
    this.fail(callError(status.ABORTED, 'DISMISSED', text));
  }

  confirmed(first: number, last: number): void {
    this.#ledger!.confirmed(first, last);
    this.#planFlush();
  }

  rejected(first: number, last: number): void {
    this.#ledger!.rejected(first, last, 'REJECTED', 'a queue refused the message');
    this.#planFlush();
  }

  deliver(): void {}
  consumerCancelled(): void {}

  get #mayGoOn(): boolean {
    return !this.#isOver && this.#connection!.mayPublish && (this.#ledger?.untoldCount ?? 0) < UNTOLD_MAX;
  }

  /** Publishes what is left of the request at hand, then lets the next one come. */
  #process(): void {
    const request = this.#request;
    while (request !== undefined && this.#next < request.messages.length && this.#mayGoOn) {
      this.#publishOne(request.messages[this.#next++]!, request.mandatory);
    }
    const isDone = request === undefined || this.#next === request.messages.length;
    if (isDone) this.#request = undefined;
    if (isDone && this.#mayGoOn) this.#call.resume();
    else this.#call.pause();
  }

  #publishOne(message: Message, isMandatory: boolean): void {
    const ledger = this.#ledger!;
    const number = ledger.nextNumber();
    const properties = this.#mapping.toProperties(message, this.#connection!);
    if (!properties.ok) {
      const { reason, text } = fromBrokerError(properties.error);
      ledger.rejected(number, number, reason, text);
      this.#planFlush();
      return;
    }
    const publish = this.#publish;
    publish.exchange = message.exchange;
    publish.routingKey = message.routingKey;
    publish.properties = properties.value.bytes;
    publish.published = properties.value;
    publish.body[0] = message.body;
    publish.bodyBytes = message.body.length;
    publish.expirationMs = message.expirationMs === undefined ? undefined : Number(message.expirationMs);
    publish.sequence = ledger.isConfirming ? number : 0;
    const result = this.#session!.publish(publish);
    publish.body.length = 0;
    if (result === 'routed') return;
    if (result !== 'unroutable') {
      const { reason, text } = fromBrokerError(result);
      ledger.rejected(number, number, reason, text);
    } else if (isMandatory) ledger.unroutable(number);
    else if (ledger.isConfirming) ledger.confirmed(number, number);
    this.#planFlush();
  }

  #planFlush(): void {
    if (this.#isFlushPlanned || this.#isWriting || this.#isOver) return;
    this.#isFlushPlanned = true;
    setImmediate(() => this.#flush());
  }

  /** One response at a time: outcomes that come meanwhile are told together. */
  #flush(): void {
    this.#isFlushPlanned = false;
    if (this.#isOver) return;
    const response = this.#ledger?.take();
    if (response !== undefined) {
      this.#isWriting = true;
      this.#call.write(response, () => {
        this.#isWriting = false;
        this.#process();
        this.#planFlush();
      });
    } else if (this.#isInputOver && (this.#ledger?.isComplete ?? true)) {
      this.#finish();
    }
  }

  /** Without confirms the shards may still be answering: the session's end waits for them. */
  #finish(): void {
    this.#isInputOver = false;
    void this.#session!.close().then(() => {
      if (this.#isOver) return;
      const response = this.#ledger?.take();
      if (response !== undefined) this.#call.write(response);
      this.#call.end();
      this.#end();
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#request = undefined;
    void this.#connection?.close();
  }
}
