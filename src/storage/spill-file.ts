import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { assert } from '../lib/assert.ts';

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
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
    }
    this.#end += bytes.length;
    return position;
  }

  read(position: number, length: number): Uint8Array {
    const fd = this.#fd;
    assert(fd !== undefined && position + length <= this.#end, () => `nothing was spilled at ${position}`);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const read = readSync(fd, bytes, done, length - done, position + done);
      assert(read > 0, 'the spill file was cut by somebody');
      done += read;
    }
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
