import type { AmqpLimits } from './limits.ts';

/** A connection that holds no more of the unfinished messages is not to blame when the node holds too many. */
const UNFINISHED_SHARE_BYTES = 1024 * 1024;

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

/** Why the connection has to be closed; undefined while what it holds, and the whole server, is within bounds. */
export function excessOfContent(own: ContentMemory, whole: ContentMemory, limits: AmqpLimits): string | undefined {
  const { unfinishedBytesMax, nodeUnfinishedBytesMax } = limits;
  if (own.bytes > unfinishedBytesMax) {
    return `messages that are not complete hold ${own.bytes} bytes on this connection; at most ${unfinishedBytesMax}`;
  }
  if (whole.bytes > nodeUnfinishedBytesMax && own.bytes > UNFINISHED_SHARE_BYTES) {
    return `messages that are not complete hold ${whole.bytes} bytes on this node; at most ${nodeUnfinishedBytesMax}`;
  }
  return undefined;
}
