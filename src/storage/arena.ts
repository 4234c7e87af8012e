const SLAB_BYTES = 1024 * 1024;
/** Anything larger gets memory of its own. */
const SHARED_BYTES_MAX = SLAB_BYTES / 4;
const ALIGNMENT = 8;

/**
 * Hands out pieces of shared memory, which the journal's thread can write without a copy (R20). A slab is freed by the
 * garbage collector when nothing refers to any piece of it; pieces are handed out in the order in which they die.
 */
export class Arena {
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  allocate(bytes: number): Uint8Array {
    if (bytes > SHARED_BYTES_MAX) return new Uint8Array(new SharedArrayBuffer(bytes));
    if (this.#used + bytes > this.#slab.length) {
      this.#slab = new Uint8Array(new SharedArrayBuffer(SLAB_BYTES));
      this.#used = 0;
    }
    const piece = this.#slab.subarray(this.#used, this.#used + bytes);
    this.#used = (this.#used + bytes + ALIGNMENT - 1) & -ALIGNMENT;
    return piece;
  }

  /** The same bytes in shared memory; themselves if they are there already. */
  adopt(bytes: Uint8Array): Uint8Array {
    if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
    const piece = this.allocate(bytes.length);
    piece.set(bytes);
    return piece;
  }
}
