import type { Clock } from '../../lib/clock.ts';
import type { Random } from '../../lib/random.ts';
import { Dial, type OpenedLanes, probe } from './dial.ts';
import type { GrpcLink } from './grpc-link.ts';
import { CallerHandshake, type HandshakeOptions } from './handshake.ts';
import { type PeerAddresses, parseAddress } from './peer-address.ts';
import type { NodeIdentity } from './transport.ts';

/** Tries soon after a break, when a dying process may still have taken the connection; then the back-off begins. */
const FIRST_RETRY_MS = 5;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 1_000;
/** Having asked a node with a lower name to dial, this long it is waited for. */
const DIALLED_BACK_MS = 1_000;

export interface PeerConnectionDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly addresses: PeerAddresses;
  readonly handshakeOptions: () => HandshakeOptions;
  /** Makes the link out of open lanes, reports it and starts it. */
  readonly linked: (peer: NodeIdentity, lanes: OpenedLanes) => void;
  readonly refused: (peer: string, reason: string) => void;
  readonly processGone: (nodeName: string) => void;
}

/**
 * Keeps trying to have a link to one peer. The node with the lower name dials; the other one only asks, by a handshake of
 * its own, to be dialled, which tells the lower node its address and that it is up.
 */
export class PeerConnection {
  readonly nodeName: string;
  readonly #dependencies: PeerConnectionDependencies;
  #address: string;
  #link: GrpcLink | undefined;
  #dial: Dial | undefined;
  #isTrying = false;
  #isEnded = false;
  /** A link broke and nobody was told yet that the process is gone. */
  #mayBeGone = false;
  #attempts = 0;
  #cancelRetry: () => void = () => {};

  constructor(nodeName: string, address: string, dependencies: PeerConnectionDependencies) {
    this.nodeName = nodeName;
    this.#address = address;
    this.#dependencies = dependencies;
  }

  get link(): GrpcLink | undefined {
    return this.#link;
  }

  setAddress(address: string): void {
    this.#address = address;
  }

  /** The link is made, whichever side dialled. */
  linked(link: GrpcLink): void {
    this.#cancelRetry();
    this.#link = link;
    this.#attempts = 0;
    this.#mayBeGone = false;
  }

  unlinked(): void {
    this.#link = undefined;
    this.#attempts = 0;
    this.#mayBeGone = true;
    this.try();
  }

  /** Tries now: the peer is known to be there, or was just added. */
  try(): void {
    this.#attempts = 0;
    this.#start();
  }

  end(): void {
    this.#isEnded = true;
    this.#cancelRetry();
    this.#dial?.end();
    this.#link?.end('the peer was removed here');
  }

  /** Returns after how many milliseconds to try again; undefined when there is a link or none is wanted. */
  async #attempt(): Promise<number | undefined> {
    const { clock, addresses, handshakeOptions, refused } = this.#dependencies;
    this.#attempts++;
    const address = this.#address;
    const parsed = parseAddress(address);
    const host = parsed && (await addresses.resolve(parsed.host));
    if (this.#isSettled()) return undefined;
    if (parsed === undefined) {
      refused(this.nodeName, `'${address}' is not of the form host:port`);
      return BACKOFF_MAX_MS;
    }
    if (host === undefined) return this.#backoffMs();
    const answer = await probe(host, parsed.port, clock);
    if (this.#isSettled()) return undefined;
    if (answer === 'refused') this.#isGone();
    if (answer !== 'listening') return this.#backoffMs();

    const dial = new Dial(host, parsed.port, clock);
    this.#dial = dial;
    const outcome = await dial.shakeHands(new CallerHandshake(handshakeOptions(), this.nodeName, address));
    if (this.#isSettled() || outcome.done !== 'agreed' || !outcome.openLanes) {
      dial.end();
      if (this.#isSettled()) return undefined;
      if (outcome.done === 'refused') {
        refused(this.nodeName, outcome.reason);
        return BACKOFF_MAX_MS;
      }
      return outcome.done === 'agreed' ? DIALLED_BACK_MS : this.#backoffMs();
    }
    return new Promise(resolve => {
      dial.openLanes(
        outcome.token,
        lanes => {
          resolve(undefined);
          if (this.#isEnded) dial.end();
          else this.#dependencies.linked(outcome.peer, lanes);
        },
        () => {
          dial.end();
          resolve(this.#isSettled() ? undefined : this.#backoffMs());
        },
      );
    });
  }

  #isSettled(): boolean {
    return this.#isEnded || this.#link !== undefined;
  }

  #isGone(): void {
    if (!this.#mayBeGone) return;
    this.#mayBeGone = false;
    this.#dependencies.processGone(this.nodeName);
  }

  /** 5 ms once, then 50 ms doubling to 1 s, each shortened at random by up to a third. */
  #backoffMs(): number {
    if (this.#attempts <= 1) return FIRST_RETRY_MS;
    const fullMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.#attempts - 2, 10));
    return fullMs * (1 - this.#dependencies.random.next() / 3);
  }

  #start(): void {
    if (this.#isTrying || this.#isSettled()) return;
    this.#cancelRetry();
    this.#isTrying = true;
    void this.#attempt().then(delayMs => {
      this.#isTrying = false;
      if (this.#isSettled()) return;
      this.#cancelRetry = this.#dependencies.clock.after(delayMs ?? FIRST_RETRY_MS, () => this.#start());
    });
  }
}
