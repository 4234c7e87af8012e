import { type FileOperation, type JournalOptions, PARTIAL_FILE, spareFile } from './journal-work.ts';

const FILL_BYTES = 1024 * 1024;
/** After the disk was full, so many calls of `fill` do nothing. */
const FILL_PAUSE = 1000;

export interface Spares {
  readonly files: readonly string[];
  /** Numbers of new spares are above this one. */
  readonly number: number;
}

/**
 * Files that are ready to become segments: recycled ones, and ones filled with zeros in idle moments. Overwriting
 * blocks that exist is the faster sync, and a spare is the room that is left when the disk is full.
 */
export class SpareFiles {
  readonly #options: JournalOptions;
  readonly #available: string[];
  /** Spares only when the work under way is done. */
  #coming: string[] = [];
  #number: number;
  #filledBytes = 0;
  #pause = 0;
  #isDiskShort = false;

  constructor(spares: Spares, options: JournalOptions) {
    this.#options = options;
    this.#available = [...spares.files];
    this.#number = spares.number;
  }

  take(): string | undefined {
    return this.#available.shift();
  }

  /** The file of a dead segment becomes a spare, or goes if there are enough. */
  keepOrDelete(file: string): FileOperation[] {
    const { sparesMin, sparesMax } = this.#options;
    const enough = this.#isDiskShort ? sparesMin : sparesMax;
    if (this.#available.length + this.#coming.length >= enough) return [{ do: 'delete', file }];
    const to = spareFile(++this.#number);
    this.#coming.push(to);
    return [{ do: 'rename', from: file, to }, { do: 'sync-directory' }];
  }

  /** The next slice of a new spare, if there are too few. */
  fill(): FileOperation[] {
    if (this.#isDiskShort || this.#available.length + this.#coming.length >= this.#options.sparesMin) return [];
    if (this.#pause > 0) {
      this.#pause--;
      return [];
    }
    const operations: FileOperation[] = [];
    if (this.#filledBytes === 0) operations.push({ do: 'create', file: PARTIAL_FILE });
    const bytes = Math.min(FILL_BYTES, this.#options.segmentBytesMax - this.#filledBytes);
    operations.push({ do: 'fill', file: PARTIAL_FILE, position: this.#filledBytes, bytes });
    this.#filledBytes += bytes;
    if (this.#filledBytes === this.#options.segmentBytesMax) {
      this.#filledBytes = 0;
      const to = spareFile(++this.#number);
      this.#coming.push(to);
      operations.push({ do: 'sync', file: PARTIAL_FILE }, { do: 'rename', from: PARTIAL_FILE, to });
      operations.push({ do: 'sync-directory' });
    }
    return operations;
  }

  /** While the disk is short only the spares that are its reserve stay. */
  diskShort(isShort: boolean): FileOperation[] {
    this.#isDiskShort = isShort;
    if (!isShort) return [];
    return this.#available.splice(this.#options.sparesMin).map(file => ({ do: 'delete', file }));
  }

  /** The work under way is done. */
  workDone(): void {
    if (this.#coming.length > 0) this.#available.push(...this.#coming.splice(0));
  }

  /** Changes the operations of a work that found no room; returns whether it may find some now. */
  makeRoom(operations: FileOperation[]): boolean {
    const isFilling = operations.some(one => one.do === 'fill');
    if (isFilling) {
      const rest = operations.filter(one => !touchesPartial(one));
      operations.length = 0;
      operations.push(...rest);
      this.#coming = [];
    }
    const given = this.#available.splice(0, 1);
    if (this.#filledBytes > 0 || isFilling) given.push(PARTIAL_FILE);
    this.#filledBytes = 0;
    this.#pause = FILL_PAUSE;
    operations.unshift(...given.map((file): FileOperation => ({ do: 'delete', file })));
    return given.length > 0;
  }
}

function touchesPartial(operation: FileOperation): boolean {
  if (operation.do === 'sync-directory') return false;
  return operation.do === 'rename' ? operation.from === PARTIAL_FILE : operation.file === PARTIAL_FILE;
}
