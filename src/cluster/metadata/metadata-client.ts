import type { Incarnation, NodeId } from '../../lib/ids.ts';
import { encodeRequest } from './metadata-command-codec.ts';
import { type MetadataCommand, REQUEST_WINDOW, type RequestId } from './metadata-commands.ts';
import type { MetadataReply } from './metadata-replies.ts';

export interface MetadataClientOptions {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** A request without an answer is sent again after this. */
  readonly repeatMs: number;
  /** A caller waits no longer; what it asked for may still happen. */
  readonly timeoutMs: number;
}

export interface MetadataClientDependencies {
  /** Sends an encoded request to the leader of group 0; false if there is none to send to. */
  readonly send: (request: Uint8Array) => boolean;
  readonly monotonicMs: () => number;
}

interface Pending {
  readonly command: MetadataCommand;
  readonly resolve: (reply: MetadataReply) => void;
  readonly givenUpMs: number;
  sentMs: number;
}

const TIMED_OUT: MetadataReply = {
  kind: 'refused',
  error: { code: 'unavailable', text: 'no majority of the cluster answered in time; the change may still happen' },
};

/** This node's requests to group 0: repeated to whoever leads it until answered, executed once (R25). */
export class MetadataClient {
  readonly #options: MetadataClientOptions;
  readonly #deps: MetadataClientDependencies;
  readonly #pending = new Map<number, Pending>();
  #queue: Pending[] = [];
  #lastNumber = 0;

  constructor(options: MetadataClientOptions, deps: MetadataClientDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** `untilAnswered`: nobody waits for it with a clock in hand, but it has to happen (R25); it is repeated for ever. */
  request(command: MetadataCommand, { untilAnswered } = { untilAnswered: false }): Promise<MetadataReply> {
    return new Promise(resolve => {
      const askedMs = this.#deps.monotonicMs();
      const givenUpMs = untilAnswered ? Number.POSITIVE_INFINITY : askedMs + this.#options.timeoutMs;
      const pending = { command, resolve, givenUpMs, sentMs: Number.NEGATIVE_INFINITY };
      this.#queue.push(pending);
      this.#fill();
    });
  }

  replied(number: number, reply: MetadataReply): void {
    const pending = this.#pending.get(number);
    if (pending === undefined) return;
    this.#pending.delete(number);
    pending.resolve(reply);
    this.#fill();
  }

  /** There is another leader, or a new link to it: everything unanswered is sent again. */
  leaderChanged(): void {
    this.turnedAway();
    this.tick();
  }

  /** Whoever was asked does not lead group 0, or not yet: with the next tick everything is sent again. */
  turnedAway(): void {
    for (const pending of this.#pending.values()) pending.sentMs = Number.NEGATIVE_INFINITY;
  }

  tick(): void {
    const nowMs = this.#deps.monotonicMs();
    for (const [number, pending] of this.#pending) {
      if (nowMs > pending.givenUpMs) this.replied(number, TIMED_OUT);
      else if (nowMs - pending.sentMs > this.#options.repeatMs) this.#send(number, pending);
    }
  }

  /** The incarnation has ended: nothing will be answered any more. */
  abandon(): void {
    const waiting = [...this.#pending.values(), ...this.#queue];
    this.#pending.clear();
    this.#queue = [];
    for (const { resolve } of waiting) resolve({ kind: 'fenced' });
  }

  #fill(): void {
    while (this.#queue.length > 0 && this.#lastNumber - this.#seenThrough < REQUEST_WINDOW) {
      const pending = this.#queue.shift()!;
      this.#pending.set(++this.#lastNumber, pending);
      this.#send(this.#lastNumber, pending);
    }
  }

  #send(number: number, pending: Pending): void {
    const { node, incarnation } = this.#options;
    const id: RequestId = { node, incarnation, number, seenThrough: this.#seenThrough };
    if (this.#deps.send(encodeRequest({ id, command: pending.command }))) pending.sentMs = this.#deps.monotonicMs();
  }

  /** Insertion order is ascending, so the first key is the oldest unanswered number. */
  get #seenThrough(): number {
    const [oldest] = this.#pending.keys();
    return oldest === undefined ? this.#lastNumber : oldest - 1;
  }
}
