import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** Bodies of volatile queues beyond the memory bound: never synced, gone with the process (R4). Made at the first use. */
export class DiskSpillFile {
  readonly #path: string;
  #fd: number | undefined;
  #end = 0;

  constructor(path: string) {
    this.#path = path;
  }

  write(bytes: Uint8Array): number {
    if (this.#fd === undefined) {
      this.#fd = openSync(this.#path, 'w+', 0o600);
      // Nobody else may find it, and it goes with the process.
      rmSync(this.#path);
    }
    const position = this.#end;
    writeSync(this.#fd, bytes, 0, bytes.length, position);
    this.#end += bytes.length;
    return position;
  }

  read(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    if (this.#fd !== undefined) readSync(this.#fd, bytes, 0, length, position);
    return bytes;
  }

  reset(): void {
    if (this.#fd !== undefined) ftruncateSync(this.#fd, 0);
    this.#end = 0;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
