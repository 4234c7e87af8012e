import type { OutputMemory } from './frame-writer.ts';

const PIECE_BYTES = 65_536;
/** 8 MiB. */
const KEPT_PIECES_MAX = 128;

/** Output memory that the connections of a server share, so that idle ones hold none. */
export class OutputPool implements OutputMemory {
  readonly #pieces: Uint8Array[] = [];

  take(): Uint8Array {
    return this.#pieces.pop() ?? new Uint8Array(PIECE_BYTES);
  }

  /** Pieces of other sizes, made for one large body, are left to the garbage collector. */
  give(piece: Uint8Array): void {
    if (piece.length === PIECE_BYTES && this.#pieces.length < KEPT_PIECES_MAX) this.#pieces.push(piece);
  }
}
