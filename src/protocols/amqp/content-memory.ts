/**
 * Bytes of messages whose content has not come to its end: what many channels, each with most of a large message, make a
 * node keep. Counted for each connection and for the whole server.
 */
export class ContentMemory {
  readonly #whole: ContentMemory | undefined;
  #bytes = 0;

  constructor(whole?: ContentMemory) {
    this.#whole = whole;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#whole?.add(bytes);
  }

  /** The connection is over: nothing of it is kept any more. */
  clear(): void {
    this.add(-this.#bytes);
  }
}
