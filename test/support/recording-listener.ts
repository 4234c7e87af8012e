import type {
  Decision,
  Lane,
  NodeIdentity,
  PeerLink,
  TransportListener,
} from '../../src/cluster/transport/transport.ts';

export type Happening =
  | { readonly what: 'connected'; readonly link: PeerLink }
  | { readonly what: 'disconnected'; readonly link: PeerLink; readonly reason: string }
  | { readonly what: 'refused'; readonly peer: string; readonly reason: string }
  | { readonly what: 'process-gone'; readonly nodeName: string }
  | { readonly what: 'turned-away'; readonly peer: string; readonly reason: string }
  | {
      readonly what: 'frame';
      readonly link: PeerLink;
      readonly lane: Lane;
      readonly kind: number;
      readonly group: number;
      readonly payload: Uint8Array;
    }
  | { readonly what: 'message'; readonly link: PeerLink; readonly lane: Lane; readonly bytes: number };

/** A cluster layer that writes down what the transport tells it. */
export class RecordingListener implements TransportListener {
  readonly happenings: Happening[] = [];
  /** What this node thinks of a peer; the default takes everyone. */
  decision: (peer: NodeIdentity) => Decision = () => ({ accept: true });
  readonly #identity: () => NodeIdentity;
  #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  constructor(identity: () => NodeIdentity) {
    this.#identity = identity;
  }

  /** Resolves when `holds` turns true, looked at after each callback. The test's time limit bounds the wait. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise(resolve => this.#waiting.push({ holds, resolve }));
  }

  all<What extends Happening['what']>(what: What): Extract<Happening, { what: What }>[] {
    return this.happenings.filter((one): one is Extract<Happening, { what: What }> => one.what === what);
  }

  frames(lane: Lane): Extract<Happening, { what: 'frame' }>[] {
    return this.all('frame').filter(frame => frame.lane === lane);
  }

  identity(): NodeIdentity {
    return this.#identity();
  }

  decide(peer: NodeIdentity): Decision {
    return this.decision(peer);
  }

  refused(peer: string, reason: string): void {
    this.#note({ what: 'refused', peer, reason });
  }

  turnedAway(peer: string, reason: string): void {
    this.#note({ what: 'turned-away', peer, reason });
  }

  connected(link: PeerLink): void {
    this.#note({ what: 'connected', link });
  }

  disconnected(link: PeerLink, reason: string): void {
    this.#note({ what: 'disconnected', link, reason });
  }

  processGone(nodeName: string): void {
    this.#note({ what: 'process-gone', nodeName });
  }

  received(link: PeerLink, lane: Lane, kind: number, group: number, payload: Uint8Array): void {
    this.#note({ what: 'frame', link, lane, kind, group, payload: payload.slice() });
  }

  receivedAll(link: PeerLink, lane: Lane, bytes: number): void {
    this.#note({ what: 'message', link, lane, bytes });
  }

  #note(happening: Happening): void {
    this.happenings.push(happening);
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = waiting.filter(({ holds, resolve }) => {
      if (!holds()) return true;
      resolve();
      return false;
    });
  }
}
