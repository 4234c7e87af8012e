import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** File systems of their own for each node, small enough to fill. Needs root and loop devices. */
export class SmallDisks {
  readonly #directory: string;
  readonly #bytes: number;
  readonly #mounted: string[] = [];

  constructor(directory: string, bytes: number) {
    this.#directory = directory;
    this.#bytes = bytes;
    process.once('exit', () => this.unmount());
  }

  /** Makes an ext4 file system in a file and mounts it; returns where. */
  mount(name: string): string {
    const image = join(this.#directory, `${name}.ext4`);
    const point = join(this.#directory, `${name}.disk`);
    writeFileSync(image, '');
    truncateSync(image, this.#bytes);
    mkdirSync(point);
    execFileSync('mkfs.ext4', ['-q', '-m', '0', image]);
    execFileSync('mount', ['-o', 'loop', image, point]);
    this.#mounted.push(point);
    return point;
  }

  unmount(): void {
    for (const point of this.#mounted.splice(0)) {
      try {
        execFileSync('umount', [point], { stdio: 'ignore' });
      } catch {
        execFileSync('umount', ['-l', point], { stdio: 'ignore' });
      }
    }
  }
}
