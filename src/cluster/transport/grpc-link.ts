import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { EnvelopeReader } from './envelope-codec.ts';
import { LaneWriter } from './lane-writer.ts';
import { LANES, type Lane, type NodeIdentity, type PeerLink, type TransportListener } from './transport.ts';

/** A lane as grpc-js shows it: the caller's or the called side's end, whole messages in and out. */
export type LaneStream = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;
export type LaneStreams = Readonly<Record<Lane, LaneStream>>;

/** Most bytes that may be queued on each lane. Its users have bounds of their own far below: more means a peer that is deaf, and ends the link. */
export type LaneBounds = Readonly<Record<Lane, number>>;

export interface GrpcLinkOptions {
  readonly peer: NodeIdentity;
  readonly streams: LaneStreams;
  readonly bounds: LaneBounds;
  /** Ends the connections below, at once. */
  readonly destroy: () => void;
}

export interface GrpcLinkDependencies {
  readonly listener: TransportListener;
  /** Called once when the link is over. */
  readonly ended: (link: GrpcLink, reason: string) => void;
  /** The link has frames to send when this turn of the event loop ends. */
  readonly dirty: (link: GrpcLink) => void;
}

/** Three open streams to one peer. Reads always; writes what a turn of the event loop gathered. */
export class GrpcLink implements PeerLink {
  readonly peer: NodeIdentity;
  readonly #options: GrpcLinkOptions;
  readonly #dependencies: GrpcLinkDependencies;
  readonly #writers: Readonly<Record<Lane, LaneWriter>>;
  #isOpen = true;
  #isDirty = false;

  constructor(options: GrpcLinkOptions, dependencies: GrpcLinkDependencies) {
    this.peer = options.peer;
    this.#options = options;
    this.#dependencies = dependencies;
    this.#writers = {
      control: this.#writer('control'),
      log: this.#writer('log'),
      clients: this.#writer('clients'),
    };
    for (const lane of LANES) this.#watch(lane, options.streams[lane]);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(lane: Lane, kind: number, group: number, payload: Uint8Array, more?: readonly Uint8Array[]): void {
    if (!this.#isOpen) return;
    this.#writers[lane].append(kind, group, payload, more);
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#dependencies.dirty(this);
  }

  queuedBytes(lane: Lane): number {
    return this.#writers[lane].queuedBytes;
  }

  flush(): void {
    this.#isDirty = false;
    if (!this.#isOpen) return;
    const overfull = LANES.find(lane => this.#writers[lane].isOverfull);
    if (overfull !== undefined) {
      this.end(
        `lane ${overfull}: ${this.#writers[overfull].queuedBytes} bytes wait; the other node does not take them`,
      );
      return;
    }
    for (const lane of LANES) this.#writers[lane].flush();
  }

  /** Starts to hand over what arrives; until then the streams hold it back. */
  read(): void {
    for (const lane of LANES) this.#read(lane, this.#options.streams[lane]);
  }

  /** Tells the peer that all three lanes are open here. */
  announce(): void {
    for (const lane of LANES) this.#options.streams[lane].write(Buffer.alloc(0));
  }

  end(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.destroy();
    this.#dependencies.ended(this, reason);
  }

  #writer(lane: Lane): LaneWriter {
    const stream = this.#options.streams[lane];
    return new LaneWriter(lane, this.#options.bounds[lane], (message, done) => {
      if (this.#isOpen) stream.write(message, done);
    });
  }

  #watch(lane: Lane, stream: LaneStream): void {
    stream.on('error', error => this.end(`lane ${lane}: ${error.message}`));
    stream.on('end', () => this.end(`lane ${lane} was ended by the other node`));
    stream.on('cancelled', () => this.end(`lane ${lane} broke`));
  }

  #read(lane: Lane, stream: LaneStream): void {
    const { listener } = this.#dependencies;
    const reader = new EnvelopeReader();
    stream.on('data', (message: Buffer) => {
      if (!this.#isOpen) return;
      reader.read(message);
      while (reader.next()) {
        listener.received(this, lane, reader.kind, reader.group, reader.payload);
        if (!this.#isOpen) return;
      }
      if (reader.isDamaged) this.end(`lane ${lane}: a message was damaged`);
      else if (message.length > 0) listener.receivedAll(this, lane, message.length);
    });
  }
}
