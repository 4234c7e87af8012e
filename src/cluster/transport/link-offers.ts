import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import { HANDSHAKE_TIMEOUT_MS } from './node-service.ts';
import { LANES, type Lane, type NodeIdentity } from './transport.ts';

type Call = ServerDuplexStream<Buffer, Buffer>;
export type CalledLanes = Readonly<Record<Lane, Call>>;

interface Offer {
  readonly peer: NodeIdentity;
  readonly lanes: Partial<Record<Lane, Call>>;
  readonly cancelExpiry: () => void;
}

/** The called side between handshake and link: each agreed handshake may open each lane once, within a bounded time. */
export class LinkOffers {
  readonly #clock: Clock;
  readonly #completed: (peer: NodeIdentity, lanes: CalledLanes) => void;
  readonly #offers = new Map<string, Offer>();

  constructor(clock: Clock, completed: (peer: NodeIdentity, lanes: CalledLanes) => void) {
    this.#clock = clock;
    this.#completed = completed;
  }

  add(token: string, peer: NodeIdentity): void {
    const cancelExpiry = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => this.#drop(token));
    this.#offers.set(token, { peer, lanes: {}, cancelExpiry });
  }

  /** False: no such handshake, or the lane is open already. */
  take(token: string, lane: Lane, call: Call): boolean {
    const offer = this.#offers.get(token);
    if (offer === undefined || offer.lanes[lane] !== undefined) return false;
    offer.lanes[lane] = call;
    call.on('cancelled', () => this.#drop(token));
    const { control, log, clients } = offer.lanes;
    if (control === undefined || log === undefined || clients === undefined) return true;
    this.#offers.delete(token);
    offer.cancelExpiry();
    this.#completed(offer.peer, { control, log, clients });
    return true;
  }

  close(): void {
    for (const token of [...this.#offers.keys()]) this.#drop(token);
  }

  #drop(token: string): void {
    const offer = this.#offers.get(token);
    if (offer === undefined) return;
    this.#offers.delete(token);
    offer.cancelExpiry();
    for (const lane of LANES) offer.lanes[lane]?.end();
  }
}
