import type { Broker, BrokerConnection, ConnectionListener, HoldReason, Result } from '../../broker/broker.ts';
import { assert } from '../../lib/assert.ts';
import { type AmqpError, amqpError, isAmqpError, replyCode, replyText } from './amqp-error.ts';
import type { Waiter } from './channel-context.ts';
import { AmqpChannel, type ChannelOwner } from './channel-machine.ts';
import { ChannelTable } from './channel-table.ts';
import { ConnectionHandshake, unexpectedMethod } from './connection-handshake.ts';
import { ContentMemory, excessOfContent } from './content-memory.ts';
import { toAmqpError } from './error-text.ts';
import { FRAME_PROTOCOL_HEADER, type Frame } from './frame-parser.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Tuning } from './handshake.ts';
import type { AmqpLimits } from './limits.ts';
import { decodeMethod, type Method } from './methods.ts';
import { readU32, SHORTSTR_BYTES_MAX } from './primitives.ts';
import { FRAME_HEARTBEAT, FRAME_METHOD, methodId } from './spec.ts';
import { shortened } from './text.ts';

const CHANNEL_OPEN = methodId('channel.open');

/** The shell around the machine: socket, timers, log. */
export interface ConnectionHost extends Waiter {
  /** There may be something to write: `beforeFlush`, then take the writer's output, once this turn. */
  wake(): void;
  /** `mayRead` may have become true. */
  inputMayGoOn(): void;
  tuned(tuning: Tuning): void;
  /** The handshake is over. */
  opened(): void;
  /** One side has closed: the other has limited time for its answer. */
  closing(): void;
  /** Write what is there, the answer to the client's close: the client closes the socket. */
  left(): void;
  /** Write what is there, then close the socket. */
  end(): void;
  /** A peer that misbehaves or was refused; channel 0 is the connection itself. */
  report(error: AmqpError, channel: number): void;
  generateName(): string;
}

export interface ConnectionParts {
  readonly broker: Broker;
  readonly limits: AmqpLimits;
  readonly peerAddress: string;
  readonly writer: FrameWriter;
  /** Of all connections of the server. */
  readonly serverContent: ContentMemory;
}

type State = 'handshake' | 'running' | 'leaving' | 'closing' | 'ended';

/**
 * One connection: frames in; frames, calls of the broker and requests to the host out. The states of 2.2.4:
 *
 * handshake (with states of its own) -> running
 * running -> leaving (the client's close waits for the broker) -> ended
 * any -> closing (our close is out; everything but close-ok is dropped) -> ended
 */
export class ConnectionMachine implements ChannelOwner, ConnectionListener {
  readonly writer: FrameWriter;
  readonly limits: AmqpLimits;
  readonly transactionMemory = { heldBytes: 0 };
  readonly contentMemory: ContentMemory;
  readonly #serverContent: ContentMemory;
  readonly #broker: Broker;
  readonly #host: ConnectionHost;
  readonly #handshake: ConnectionHandshake;
  #state: State = 'handshake';
  #connection: BrokerConnection | undefined;
  readonly #channels = new ChannelTable();
  /** A frame was refused because publishes are held. */
  #isHeld = false;
  #hold: HoldReason | undefined;
  #isBlockedSent = false;
  /** A channel has too much waiting. */
  #isCongested = false;

  constructor(parts: ConnectionParts, host: ConnectionHost) {
    this.#broker = parts.broker;
    this.limits = parts.limits;
    this.writer = parts.writer;
    this.#serverContent = parts.serverContent;
    this.contentMemory = new ContentMemory(parts.serverContent);
    this.#host = host;
    this.#handshake = new ConnectionHandshake(parts, {
      tuned: tuning => host.tuned(tuning),
      enter: request => host.wait(this.#broker.connect(request, this), result => this.#connected(result)),
      report: error => this.#report(error),
      turnAway: error => {
        this.#report(error);
        this.#end();
      },
    });
  }

  get user(): string {
    return this.#handshake.user;
  }

  /** The broker's side; only of a running connection. */
  get broker(): BrokerConnection {
    assert(this.#connection !== undefined, 'no connection to the broker');
    return this.#connection;
  }

  /** The same for the shell, which may ask earlier. */
  get brokerConnection(): BrokerConnection | undefined {
    return this.#connection;
  }

  get wantsCancelNotify(): boolean {
    return this.#handshake.client.wantsCancelNotify;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** False: give no frames, keep the rest of the bytes and leave the socket unread until `inputMayGoOn`. */
  get mayRead(): boolean {
    switch (this.#state) {
      case 'ended':
      case 'leaving':
        return false;
      case 'handshake':
        return this.#handshake.state !== 'connecting';
      case 'running':
        return !this.#isHeld && this.writer.replyBytes <= this.limits.replyBytesMax && !this.#isCongested;
      default:
        return true;
    }
  }

  /** False when the frame was not taken: it must come again once `mayRead` is true. */
  feed(frame: Frame): boolean {
    if (frame.channel !== 0 && this.#state === 'running' && frame.type !== FRAME_HEARTBEAT) {
      const channel = this.#channels.get(frame.channel);
      if (channel === undefined) {
        this.#feedNewChannel(frame);
        return true;
      }
      if (!channel.feed(frame)) {
        this.#isHeld = true;
        return false;
      }
      if (channel.isCongested) this.#isCongested = true;
      return true;
    }
    this.#feedConnection(frame);
    return true;
  }

  /** The bytes are no AMQP. */
  parserFailed(error: AmqpError): void {
    this.#fail(error, 0, 0);
  }

  /** The bytes at hand are used up, or will not be used for now: nothing may view them any more. */
  endOfInput(): void {
    this.#channels.endOfInput();
    if (this.#state === 'running') this.#checkUnfinished();
  }

  #checkUnfinished(): void {
    const excess = excessOfContent(this.contentMemory, this.#serverContent, this.limits);
    if (excess !== undefined) this.#fail(amqpError('resource-error', excess), 0, 0);
  }

  /** Writes the confirms that came since the last flush. */
  beforeFlush(): void {
    this.#channels.writeConfirms();
  }

  /** The node stops, or can no longer serve. */
  closed(reason: string): void {
    this.dismissed(`broker forced connection closure with reason '${reason}'`);
  }

  dismissed(text: string): void {
    this.#fail(amqpError('connection-forced', text), 0, 0);
  }

  /** The handshake took too long, the peer fell silent, or the socket is gone: nothing more can be said. */
  lost(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#leaveBroker();
  }

  held(reason: HoldReason): void {
    this.#hold = reason;
    this.#sendBlocked();
  }

  resumed(): void {
    this.#hold = undefined;
    if (this.#isBlockedSent) {
      this.#isBlockedSent = false;
      if (this.#state === 'running') this.writer.method(0, { name: 'connection.unblocked' });
    }
    this.#channels.resume();
    this.#isHeld = false;
    this.#host.inputMayGoOn();
  }

  wait<Value>(answer: Promise<Value>, then: (value: Value) => void): void {
    this.#host.wait(answer, then);
  }

  generateName(): string {
    return this.#host.generateName();
  }

  channelEnded(channel: AmqpChannel): void {
    this.#channels.remove(channel);
    this.inputMayGoOn();
  }

  connectionFailed(error: AmqpError, method: number): void {
    this.#fail(error, method >>> 16, method & 0xffff);
  }

  report(error: AmqpError, channel: number): void {
    this.#host.report(error, channel);
  }

  confirmsPending(channel: AmqpChannel): void {
    this.#channels.confirmsPending(channel);
    this.#host.wake();
  }

  touched(channel: AmqpChannel): void {
    this.#channels.touched(channel);
  }

  inputMayGoOn(): void {
    this.#isCongested = this.#channels.isCongested;
    this.#host.inputMayGoOn();
  }

  #feedNewChannel(frame: Frame): void {
    const { channel: number, bytes, start, end } = frame;
    const id = frame.type === FRAME_METHOD && end - start >= 4 ? readU32(bytes, start) : 0;
    const error = this.#refuseChannel(number, id === CHANNEL_OPEN ? decodeMethod(bytes, start, end) : undefined);
    if (error !== undefined) {
      this.#fail(error, id >>> 16, id & 0xffff);
      return;
    }
    this.#channels.add(new AmqpChannel(number, this));
    this.writer.method(number, { name: 'channel.open-ok' });
  }

  #refuseChannel(number: number, method: Method | AmqpError | undefined): AmqpError | undefined {
    if (method === undefined) return amqpError('channel-error', "expected 'channel.open'");
    if (isAmqpError(method)) return method;
    const crowded = this.#channels.refusal(number, this.#handshake.tuning.channelMax);
    if (crowded !== undefined) return crowded;
    const refused = this.broker.mayOpenSession();
    return refused && amqpError('not-allowed', toAmqpError(refused).text);
  }

  #feedConnection(frame: Frame): void {
    if (this.#state === 'ended' || this.#state === 'leaving') return;
    if (frame.type === FRAME_PROTOCOL_HEADER) this.#handshake.feedProtocolHeader(frame);
    else if (frame.type === FRAME_HEARTBEAT) this.#feedHeartbeat(frame);
    else if (this.#state === 'closing') this.#feedWhenClosing(frame);
    else this.#feedMethod(frame);
  }

  #feedHeartbeat({ channel, start, end }: Frame): void {
    if (channel !== 0) this.#fail(amqpError('unexpected-frame', `heartbeat on channel ${channel}`), 0, 0);
    else if (start !== end) this.#fail(amqpError('frame-error', 'heartbeat with a payload'), 0, 0);
  }

  #feedMethod({ type, channel, bytes, start, end }: Frame): void {
    if (type !== FRAME_METHOD || channel !== 0) {
      this.#fail(amqpError('unexpected-frame', `unexpected frame of type ${type} on channel ${channel}`), 0, 0);
      return;
    }
    const id = end - start < 4 ? 0 : readU32(bytes, start);
    const method = decodeMethod(bytes, start, end);
    const error = isAmqpError(method) ? method : this.#perform(method);
    if (error !== undefined) this.#fail(error, id >>> 16, id & 0xffff);
  }

  #feedWhenClosing({ type, channel, bytes, start, end }: Frame): void {
    if (type !== FRAME_METHOD || channel !== 0) return;
    const method = decodeMethod(bytes, start, end);
    if (isAmqpError(method)) return;
    if (method.name === 'connection.close') this.writer.method(0, { name: 'connection.close-ok' });
    if (method.name === 'connection.close' || method.name === 'connection.close-ok') this.#end();
  }

  #perform(method: Method): AmqpError | undefined {
    if (method.name === 'connection.close') return this.#leave();
    if (this.#state === 'handshake') return this.#handshake.perform(method);
    if (method.name === 'connection.update-secret') return this.#updateSecret();
    return unexpectedMethod(method, this.#state);
  }

  #connected(result: Result<BrokerConnection>): void {
    if (this.#state !== 'handshake') {
      if (result.ok) this.#host.wait(result.value.close(), () => {});
      return;
    }
    if (!result.ok) {
      const error = toAmqpError(result.error);
      const id = methodId('connection.open');
      const reply = error.reply === 'access-refused' ? amqpError('not-allowed', error.text) : error;
      this.#fail(reply, id >>> 16, id & 0xffff);
      this.#host.inputMayGoOn();
      return;
    }
    this.#connection = result.value;
    this.#hold = result.value.hold;
    this.#state = 'running';
    this.writer.method(0, { name: 'connection.open-ok' });
    this.#host.opened();
    this.#sendBlocked();
    this.#host.inputMayGoOn();
  }

  /** For secrets that expire; passwords do not, so the new one is not even looked at, as in RabbitMQ. */
  #updateSecret(): undefined {
    this.writer.method(0, { name: 'connection.update-secret-ok' });
  }

  #sendBlocked(): void {
    if (this.#state !== 'running' || this.#isBlockedSent || !this.#handshake.client.wantsBlocked) return;
    if (this.#hold?.kind !== 'alarm') return;
    this.#isBlockedSent = true;
    const reason = shortened(this.#hold.text, SHORTSTR_BYTES_MAX);
    this.writer.method(0, { name: 'connection.blocked', reason });
  }

  /** The client closes the connection. */
  #leave(): undefined {
    const connection = this.#connection;
    this.endOfInput();
    this.#state = 'leaving';
    const answer = (): void => {
      if (this.#state !== 'leaving') return;
      this.beforeFlush();
      this.writer.method(0, { name: 'connection.close-ok' });
      this.#state = 'ended';
      this.#leaveBroker();
      this.#host.left();
    };
    if (connection === undefined) {
      answer();
      return undefined;
    }
    this.#host.closing();
    this.#host.wait(connection.close(), answer);
    return undefined;
  }

  #fail(error: AmqpError, classId: number, method: number): void {
    if (this.#state === 'closing' || this.#state === 'ended' || this.#state === 'leaving') return;
    this.#report(error);
    if (this.#state === 'handshake' && this.#handshake.state === 'header') {
      this.#end();
      return;
    }
    this.#channels.endOfInput();
    this.beforeFlush();
    this.#state = 'closing';
    this.writer.method(0, {
      name: 'connection.close',
      replyCode: replyCode(error),
      replyText: shortened(replyText(error), SHORTSTR_BYTES_MAX),
      classId,
      methodId: method,
    });
    this.#leaveBroker();
    this.#host.closing();
  }

  #report(error: AmqpError): void {
    this.#host.report(error, 0);
  }

  #end(): void {
    this.#state = 'ended';
    this.#leaveBroker();
    this.#host.end();
  }

  #leaveBroker(): void {
    this.#channels.end();
    this.contentMemory.clear();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#host.wait(connection.close(), () => {});
  }
}
