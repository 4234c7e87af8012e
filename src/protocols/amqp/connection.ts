import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Broker } from '../../broker/broker.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import { type AmqpError, replyText } from './amqp-error.ts';
import { type ConnectionHost, ConnectionMachine } from './connection-machine.ts';
import type { ContentMemory } from './content-memory.ts';
import { FrameParser } from './frame-parser.ts';
import { FrameWriter, type Output } from './frame-writer.ts';
import type { Tuning } from './handshake.ts';
import type { AmqpLimits } from './limits.ts';
import type { OutputPool } from './output-pool.ts';
import { FRAME_OVERHEAD_BYTES } from './spec.ts';

export interface ConnectionDeps {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: AmqpLimits;
  readonly pool: OutputPool;
  readonly serverContent: ContentMemory;
}

/** Half a heartbeat interval without bytes, this many times in a row: the peer is gone (2 intervals, as RabbitMQ). */
const SILENT_TICKS_MAX = 4;
/** Shorter than any method: output of this length is a heartbeat and nothing else. */
const HEARTBEAT_BYTES = FRAME_OVERHEAD_BYTES;
const NAME_BYTES = 16;

/** One client socket: feeds the machine, writes its output once per turn, keeps the timers. */
export class AmqpConnection implements ConnectionHost {
  readonly #socket: Socket;
  readonly #deps: ConnectionDeps;
  readonly #peerAddress: string;
  readonly #onGone: () => void;
  readonly #parser: FrameParser;
  readonly #writer: FrameWriter;
  readonly #machine: ConnectionMachine;
  #cancelDeadline: () => void;
  #cancelHeartbeat: () => void = () => {};
  #isFlushPlanned = false;
  #isReadPlanned = false;
  #isWriting = false;
  #isEnding = false;
  #isGone = false;
  #isPaused = false;
  #hasReported = false;
  #hasReadSinceTick = false;
  #hasWrittenSinceTick = false;
  #silentTicks = 0;
  #flushedMark = 0;

  /** `onGone` is called once, when the socket is closed. */
  constructor(socket: Socket, deps: ConnectionDeps, onGone: () => void) {
    this.#socket = socket;
    this.#deps = deps;
    this.#onGone = onGone;
    this.#peerAddress = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#parser = new FrameParser(Math.min(deps.limits.handshakeFrameBytesMax, deps.limits.frameBytesMax));
    this.#writer = new FrameWriter(deps.limits.frameBytesMax, deps.pool, () => this.wake());
    const { broker, limits, serverContent } = deps;
    const parts = { broker, limits, serverContent, peerAddress: this.#peerAddress, writer: this.#writer };
    this.#machine = new ConnectionMachine(parts, this);
    this.#cancelDeadline = deps.clock.after(deps.limits.handshakeTimeoutMs, () => this.#abort('handshake timeout'));
    socket.setNoDelay(true);
    socket.on('data', (chunk: Uint8Array) => this.#read(chunk));
    socket.on('end', () => this.#onSocketEnd());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onSocketClose());
  }

  /** Tells the client that the node stops (320); the connection ends when it has answered, or after a time limit. */
  shutDown(reason: string): void {
    this.#machine.closed(reason);
  }

  wake(): void {
    if (this.#isFlushPlanned || this.#isWriting || this.#isGone) return;
    this.#isFlushPlanned = true;
    setImmediate(this.#flush);
  }

  inputMayGoOn(): void {
    if (!this.#isPaused || this.#isReadPlanned || this.#isGone) return;
    this.#isReadPlanned = true;
    setImmediate(() => {
      this.#isReadPlanned = false;
      if (!this.#isGone) this.#process();
    });
  }

  wait<Value>(answer: Promise<Value>, then: (value: Value) => void): void {
    void answer.then(then);
  }

  tuned(tuning: Tuning): void {
    this.#parser.frameBytesMax = tuning.frameBytesMax;
    if (tuning.heartbeatSeconds === 0) return;
    this.#cancelHeartbeat = this.#deps.clock.every(tuning.heartbeatSeconds * 500, () => this.#beat());
  }

  opened(): void {
    this.#cancelDeadline();
  }

  closing(): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#deps.clock.after(this.#deps.limits.closeTimeoutMs, () => this.#abort('close timeout'));
  }

  end(): void {
    this.#isEnding = true;
    this.#cancelDeadline();
    // A client that has its last answer and keeps its socket open is not worth a line in the log.
    this.#cancelDeadline = this.#deps.clock.after(this.#deps.limits.closeTimeoutMs, () => this.#socket.destroy());
    this.inputMayGoOn();
    this.wake();
  }

  /** The socket is the client's to close: one that finds it closed takes its last answer for lost (as with RabbitMQ). */
  left(): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#deps.clock.after(this.#deps.limits.closeTimeoutMs, () => this.#socket.destroy());
    this.inputMayGoOn();
    this.wake();
  }

  report(error: AmqpError, channel: number): void {
    const fields = { connection: this.#peerAddress, channel, user: this.#machine.user };
    this.#log(fields, replyText(error));
  }

  generateName(): string {
    return randomBytes(NAME_BYTES).toString('base64url');
  }

  #read(chunk: Uint8Array): void {
    this.#hasReadSinceTick = true;
    if (this.#machine.hasEnded) return;
    // A plain view: what is cut out of a Buffer are Buffers, which cost more to make.
    this.#parser.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#process();
  }

  /** Gives the machine all frames that it takes now, and keeps the rest. */
  #process(): void {
    const machine = this.#machine;
    const parser = this.#parser;
    while (machine.mayRead) {
      const frame = parser.next();
      if (frame === undefined) {
        if (parser.error !== undefined) machine.parserFailed(parser.error);
        break;
      }
      if (!machine.feed(frame)) {
        parser.unread();
        break;
      }
    }
    machine.endOfInput();
    parser.retain();
    this.#pauseOrResume();
  }

  #pauseOrResume(): void {
    const mustPause = !this.#machine.mayRead && !this.#machine.hasEnded;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#socket.pause();
    else this.#socket.resume();
  }

  /** One write per turn, and one at a time: what comes meanwhile is gathered for the next. */
  readonly #flush = (): void => {
    this.#isFlushPlanned = false;
    if (this.#isWriting || this.#isGone) return;
    this.#machine.beforeFlush();
    const length = this.#writer.length;
    if (length === 0) {
      if (this.#isEnding) this.#socket.end();
      return;
    }
    if (length > this.#deps.limits.outputBytesMax) {
      this.#abort(`${length} bytes of output wait for the client`);
      return;
    }
    const pieces = this.#writer.take();
    const mark = this.#machine.brokerConnection?.deliveredMark() ?? 0;
    this.#isWriting = true;
    if (length !== HEARTBEAT_BYTES) this.#hasWrittenSinceTick = true;
    const last = pieces.length - 1;
    this.#socket.cork();
    for (let i = 0; i < last; i++) this.#socket.write(written(pieces[i]!));
    this.#socket.write(written(pieces[last]!), error => this.#written(pieces, mark, error));
    this.#socket.uncork();
  };

  #written(pieces: readonly Output[], mark: number, error: Error | null | undefined): void {
    this.#isWriting = false;
    if (error || this.#isGone) return;
    for (const piece of pieces) this.#deps.pool.give(piece.bytes);
    if (mark !== this.#flushedMark) {
      this.#flushedMark = mark;
      this.#machine.brokerConnection?.flushed(mark);
    }
    this.inputMayGoOn();
    this.wake();
  }

  /** Every half interval: a heartbeat if nothing else was written, and a look at the peer (4.2.7). */
  #beat(): void {
    if (!this.#hasWrittenSinceTick && !this.#isWriting && !this.#isEnding) this.#writer.heartbeat();
    this.#hasWrittenSinceTick = false;
    // A peer that we chose not to read cannot show that it lives (R30).
    const isAlive = this.#hasReadSinceTick || this.#isPaused;
    this.#hasReadSinceTick = false;
    this.#silentTicks = isAlive ? 0 : this.#silentTicks + 1;
    if (this.#silentTicks >= SILENT_TICKS_MAX) this.#abort('missed heartbeats from client');
  }

  /** Ends without another word: the peer does not speak or does not read. */
  #abort(reason: string): void {
    if (this.#isGone) return;
    this.#log({ connection: this.#peerAddress, user: this.#machine.user }, `connection ended: ${reason}`);
    this.#machine.lost();
    this.#socket.destroy();
  }

  #log(fields: object, text: string): void {
    if (this.#hasReported) return;
    this.#hasReported = true;
    this.#deps.logger.warn(fields, text);
  }

  /** The client ended its side without connection.close. */
  #onSocketEnd(): void {
    this.#machine.lost();
    this.end();
  }

  #onSocketClose(): void {
    this.#isGone = true;
    this.#cancelDeadline();
    this.#cancelHeartbeat();
    this.#machine.lost();
    this.#onGone();
  }
}

const written = ({ bytes, length }: Output): Uint8Array => bytes.subarray(0, length);
