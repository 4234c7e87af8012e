/** How far consumers may run ahead of their sockets (R26). */
export interface AheadLimits {
  /** Of one consumer. */
  readonly messagesMax: number;
  readonly bytesMax: number;
  /** What a consumer begins with; it gets more as its socket takes it. */
  readonly bytesFirst: number;
  /** Of all consumers of the node together. Beyond it they get the least that keeps them going. */
  readonly nodeBytesMax: number;
}

/** With it a consumer gets one message at a time, or a few small ones. */
const BYTES_LEAST = 16 * 1024;

/**
 * What the consumers of a node may have ahead of their sockets. A window is earned: it doubles each time that the socket has
 * taken half of it, so clients that do not read cost little, however many they are.
 */
export class AheadBudget {
  readonly limits: AheadLimits;
  #bytes = 0;

  constructor(limits: AheadLimits) {
    this.limits = limits;
  }

  open(): AheadWindow {
    const { bytesFirst } = this.limits;
    return new AheadWindow(this, this.take(bytesFirst) ? bytesFirst : this.#takeLeast());
  }

  /** False: the node's bound is reached. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.limits.nodeBytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }

  #takeLeast(): number {
    const least = Math.min(BYTES_LEAST, this.limits.bytesFirst);
    this.#bytes += least;
    return least;
  }
}

/** One consumer's part of the budget. */
export class AheadWindow {
  readonly #budget: AheadBudget;
  #bytes: number;

  constructor(budget: AheadBudget, bytes: number) {
    this.#budget = budget;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** In proportion to the bytes: small messages cost memory of their own. */
  get messages(): number {
    const { messagesMax, bytesMax } = this.#budget.limits;
    return Math.max(1, Math.ceil((messagesMax * this.#bytes) / bytesMax));
  }

  grow(): void {
    const more = Math.min(this.#bytes, this.#budget.limits.bytesMax - this.#bytes);
    if (more > 0 && this.#budget.take(more)) this.#bytes += more;
  }

  /** May be called again. */
  close(): void {
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }
}
