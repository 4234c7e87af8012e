import { assert } from '../../lib/assert.ts';

/**
 * Byte credits on the `clients` lane, one pair of ledgers per (shard, connection): whoever receives grants, so that
 * one slow consumer or one shard without a majority bounds its own traffic and nobody else's (R8, R30). A sender may send
 * whole frames while it has credit left; the last one may exceed it, so a receiver is ready for its window and one
 * frame more.
 */
export class SendCredit {
  #available: number;

  /** @param windowBytes what the receiver grants at first; both sides know it. */
  constructor(windowBytes: number) {
    this.#available = windowBytes;
  }

  get maySend(): boolean {
    return this.#available > 0;
  }

  /** Below 0 by at most one frame. */
  get availableBytes(): number {
    return this.#available;
  }

  spend(bytes: number): void {
    assert(this.#available > 0, 'sent without credit');
    this.#available -= bytes;
  }

  /** Returns true when sending is possible again that was not before. */
  grant(bytes: number): boolean {
    const couldSend = this.#available > 0;
    this.#available += bytes;
    return !couldSend && this.#available > 0;
  }
}

/** The receiver's side: what was received and not consumed never exceeds the window by more than one frame. */
export class ReceiveCredit {
  readonly #windowBytes: number;
  readonly #frameBytesMax: number;
  /** What the sender may believe to have left. */
  #granted: number;
  #unconsumed = 0;

  constructor(windowBytes: number, frameBytesMax: number) {
    this.#windowBytes = windowBytes;
    this.#frameBytesMax = frameBytesMax;
    this.#granted = windowBytes;
  }

  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  /** False: the sender had no credit. It does not keep the protocol; its link is to be ended. */
  received(bytes: number): boolean {
    if (this.#granted <= 0 || bytes > this.#frameBytesMax) return false;
    this.#granted -= bytes;
    this.#unconsumed += bytes;
    return true;
  }

  /**
   * Notes what has been dealt with, and returns the credit to send now: 0, or at least half a window, so that grants stay
   * rare.
   */
  consumed(bytes: number): number {
    assert(bytes <= this.#unconsumed, () => `${bytes} bytes consumed of ${this.#unconsumed}`);
    this.#unconsumed -= bytes;
    const grant = this.#windowBytes - this.#granted - this.#unconsumed;
    if (grant < this.#windowBytes / 2) return 0;
    this.#granted += grant;
    return grant;
  }
}
