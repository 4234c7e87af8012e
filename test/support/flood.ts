import { connect, type Socket } from 'node:net';
import { PROTOCOL_HEADER } from '../../src/protocols/amqp/spec.ts';
import { contentBytes, joined, methodBytes, readAll } from './amqp-client.ts';
import { plain } from './handshake.ts';

const METHOD_BASICS = { ticket: 0, mandatory: false, immediate: false } as const;

/** A publisher that hands its socket whatever the socket takes, and counts what the broker has confirmed. */
export class Flood {
  readonly #socket: Socket;
  readonly #message: Uint8Array;
  readonly #messages: number;
  #written = 0;
  #confirmed = 0;
  /** Most bytes that the socket had taken and the broker had not confirmed. */
  mostUnconfirmedBytes = 0;
  /** Times when the socket took nothing more for now. */
  stops = 0;
  #onDone: () => void = () => {};
  readonly done: Promise<void>;

  constructor(port: number, queue: string, { bodyBytes, messages }: { bodyBytes: number; messages: number }) {
    const publish = { name: 'basic.publish', ...METHOD_BASICS, exchange: '', routingKey: queue } as const;
    const properties = new Uint8Array([0, 0]);
    this.#message = contentBytes(1, publish, properties, new Uint8Array(bodyBytes));
    this.#messages = messages;
    this.done = new Promise(resolve => {
      this.#onDone = resolve;
    });
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.write(new Uint8Array(PROTOCOL_HEADER));
    let rest = new Uint8Array(0);
    this.#socket.on('data', bytes => {
      const all = joined(rest, new Uint8Array(bytes));
      const end = endOfFrames(all);
      rest = all.slice(end);
      if (end > 0) for (const { method } of readAll(all.slice(0, end))) this.#take(method);
    });
    this.#socket.on('drain', () => this.#fill());
  }

  get isDone(): boolean {
    return this.#confirmed === this.#messages;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(method: ReturnType<typeof readAll>[number]['method']): void {
    if (typeof method === 'string') return;
    switch (method.name) {
      case 'connection.start': {
        const login = { mechanism: 'PLAIN', response: plain('guest'), locale: 'en_US' } as const;
        this.#send(methodBytes(0, { name: 'connection.start-ok', clientProperties: new Map(), ...login }));
        return;
      }
      case 'connection.tune':
        this.#send(
          methodBytes(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: method.frameMax, heartbeat: 0 }),
        );
        this.#send(methodBytes(0, { name: 'connection.open', virtualHost: '/' }));
        this.#send(methodBytes(1, { name: 'channel.open' }));
        this.#send(methodBytes(1, { name: 'confirm.select', noWait: false }));
        return;
      case 'confirm.select-ok':
        this.#fill();
        return;
      case 'basic.ack':
        this.#confirmed = method.multiple ? Number(method.deliveryTag) : this.#confirmed + 1;
        if (this.isDone) this.#onDone();
    }
  }

  #fill(): void {
    while (this.#written < this.#messages) {
      this.#written++;
      const taken = this.#socket.bytesWritten - this.#socket.writableLength;
      const unconfirmed = taken - this.#confirmed * this.#message.length;
      this.mostUnconfirmedBytes = Math.max(this.mostUnconfirmedBytes, unconfirmed);
      if (!this.#socket.write(this.#message)) {
        this.stops++;
        return;
      }
    }
  }

  #send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }
}

/** Where the last whole frame ends. */
function endOfFrames(bytes: Uint8Array): number {
  let at = 0;
  while (at + 7 <= bytes.length) {
    const size = new DataView(bytes.buffer, bytes.byteOffset + at + 3, 4).getUint32(0);
    if (at + size + 8 > bytes.length) break;
    at += size + 8;
  }
  return at;
}
