import { assert } from '../../lib/assert.ts';

export interface ProposalBufferOptions {
  readonly entryBytesMax: number;
  /** At this many waiting bytes `add` refuses; senders keep what is not answered and come again. */
  readonly waitingBytesMax: number;
  /** Bytes in front of the batches, written by `writeHead`. */
  readonly headBytes: number;
}

export interface ProposalBufferDependencies {
  readonly allocate: (bytes: number) => Uint8Array;
  readonly writeHead: (payload: Uint8Array, timeMs: number) => void;
}

/** Batches of commands that wait for the next entry. All that fit together become one entry (R6). */
export class ProposalBuffer {
  readonly #options: ProposalBufferOptions;
  readonly #deps: ProposalBufferDependencies;
  #waiting: Uint8Array[] = [];
  #next = 0;
  #waitingBytes = 0;

  constructor(options: ProposalBufferOptions, deps: ProposalBufferDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#next === this.#waiting.length;
  }

  /** Takes a batch whose bytes stay as they are until it is in an entry. False: full, certainly not taken. */
  add(batch: Uint8Array): boolean {
    const { entryBytesMax, headBytes, waitingBytesMax } = this.#options;
    assert(
      batch.length + headBytes <= entryBytesMax,
      () => `a batch of ${batch.length} bytes does not fit into an entry`,
    );
    if (this.#waitingBytes + batch.length > waitingBytesMax) return false;
    this.#waiting.push(batch);
    this.#waitingBytes += batch.length;
    return true;
  }

  /** The payload of one entry: as many waiting batches as fit, in order. */
  takeEntry(timeMs: number): Uint8Array {
    const { entryBytesMax, headBytes } = this.#options;
    let end = this.#next;
    let bytes = headBytes;
    while (end < this.#waiting.length && bytes + this.#waiting[end]!.length <= entryBytesMax)
      bytes += this.#waiting[end++]!.length;
    const payload = this.#deps.allocate(bytes);
    this.#deps.writeHead(payload, timeMs);
    let position = headBytes;
    while (this.#next < end) {
      const batch = this.#waiting[this.#next++]!;
      payload.set(batch, position);
      position += batch.length;
    }
    this.#waitingBytes -= bytes - headBytes;
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    return payload;
  }

  clear(): void {
    this.#waiting = [];
    this.#next = 0;
    this.#waitingBytes = 0;
  }
}
