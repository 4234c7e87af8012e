import { connect } from 'node:net';
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import type { LaneStreams } from './grpc-link.ts';
import type { CallerHandshake, HandshakeOutcome } from './handshake.ts';
import {
  BULK_CLIENT_OPTIONS,
  CONNECT_TIMEOUT_MS,
  CONTROL_CLIENT_OPTIONS,
  HANDSHAKE,
  HANDSHAKE_TIMEOUT_MS,
  LANE_METHODS,
  LINK_TOKEN,
} from './node-service.ts';
import { grpcTarget } from './peer-address.ts';
import { LANES } from './transport.ts';

export type ProbeResult = 'listening' | 'refused' | 'unreachable';

/** Opens a TCP connection and drops it: `refused` says that no process listens there. */
export function probe(host: string, port: number, clock: Clock): Promise<ProbeResult> {
  return new Promise(resolve => {
    const socket = connect({ host, port });
    const finish = (result: ProbeResult): void => {
      cancel();
      socket.destroy();
      resolve(result);
    };
    const cancel = clock.after(CONNECT_TIMEOUT_MS, () => finish('unreachable'));
    socket.on('connect', () => finish('listening'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable'),
    );
  });
}

export type CallFailure = { readonly done: 'failed'; readonly reason: string };

export interface OpenedLanes {
  readonly streams: LaneStreams;
  readonly destroy: () => void;
}

/** The calling side of one attempt: up to two connections, ended together. */
export class Dial {
  readonly #target: string;
  readonly #clock: Clock;
  readonly #control: Client;
  #bulk: Client | undefined;
  readonly #calls: ClientDuplexStream<Buffer, Buffer>[] = [];

  constructor(host: string, port: number, clock: Clock) {
    this.#target = grpcTarget(host, port);
    this.#clock = clock;
    this.#control = new Client(this.#target, credentials.createInsecure(), CONTROL_CLIENT_OPTIONS);
  }

  /** Runs the handshake over the control connection. */
  shakeHands(handshake: CallerHandshake): Promise<HandshakeOutcome | CallFailure> {
    return new Promise(resolve => {
      const { path, requestSerialize, responseDeserialize } = HANDSHAKE;
      const call = this.#control.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      this.#calls.push(call);
      let refusal: HandshakeOutcome | undefined;
      const finish = (outcome: HandshakeOutcome | CallFailure): void => {
        cancel();
        resolve(refusal ?? outcome);
      };
      const cancel = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => {
        finish({ done: 'failed', reason: `no handshake within ${HANDSHAKE_TIMEOUT_MS} ms` });
      });
      call.on('error', error => finish({ done: 'failed', reason: error.message }));
      call.on('end', () => finish({ done: 'failed', reason: 'the other node ended the handshake' }));
      call.on('data', (message: Buffer) => {
        if (refusal !== undefined) return;
        const { reply, outcome } = handshake.receive(message);
        if (reply !== undefined) call.write(Buffer.from(reply));
        if (outcome === undefined) return;
        call.end();
        // Our own refusal has to reach the other node before the connection goes; its answer is the end of the call.
        if (outcome.done === 'refused' && reply !== undefined) refusal = outcome;
        else finish(outcome);
      });
      call.write(Buffer.from(handshake.start()));
    });
  }

  /**
   * Opens the three lanes. `opened` is called, within the arrival of the called side's first message, when they are open
   * there too, so that what follows on the streams finds its reader.
   */
  openLanes(token: string, opened: (lanes: OpenedLanes) => void, failed: (reason: string) => void): void {
    const metadata = new Metadata();
    metadata.set(LINK_TOKEN, token);
    this.#bulk = new Client(this.#target, credentials.createInsecure(), BULK_CLIENT_OPTIONS);
    const open = (client: Client, lane: (typeof LANES)[number]): ClientDuplexStream<Buffer, Buffer> => {
      const { path, requestSerialize, responseDeserialize } = LANE_METHODS[lane];
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      this.#calls.push(call);
      return call;
    };
    const streams = {
      control: open(this.#control, 'control'),
      log: open(this.#bulk, 'log'),
      clients: open(this.#bulk, 'clients'),
    };
    let isOver = false;
    const finish = (): boolean => {
      if (isOver) return false;
      isOver = true;
      cancel();
      for (const lane of LANES) streams[lane].removeListener('data', first);
      return true;
    };
    const first = (): void => {
      if (finish()) opened({ streams, destroy: () => this.end() });
    };
    const cancel = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      if (finish()) failed(`lanes not open within ${HANDSHAKE_TIMEOUT_MS} ms`);
    });
    for (const lane of LANES) {
      streams[lane].on('data', first);
      streams[lane].on('error', error => {
        if (finish()) failed(`lane ${lane}: ${error.message}`);
      });
    }
  }

  end(): void {
    for (const call of this.#calls) call.cancel();
    this.#control.close();
    this.#bulk?.close();
  }
}
