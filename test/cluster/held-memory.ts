import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signal } from './owned-processes.ts';
import { eventually } from './waiting.ts';

const MIB = 1024 * 1024;
const PATIENCE_MS = 60_000;

/** Asks nodes that were started with this environment for what they hold when all garbage is collected. */
export class HeldMemory {
  readonly environment: Readonly<Record<string, string>>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'warren-held-'));

  constructor() {
    const preload = join(import.meta.dirname, 'collect-garbage.cjs');
    this.environment = { NODE_OPTIONS: `--require=${preload}`, COLLECTED_FOLDER: this.#folder };
  }

  /** MiB in the heap and in buffers outside of it. */
  async of(pid: number): Promise<number> {
    const file = join(this.#folder, `${pid}.json`);
    rmSync(file, { force: true });
    signal(pid, 'SIGUSR2');
    return eventually(`node ${pid} to collect its garbage`, PATIENCE_MS, () => {
      try {
        const { heapUsed, arrayBuffers } = JSON.parse(readFileSync(file, 'utf8'));
        return (heapUsed + arrayBuffers) / MIB;
      } catch {
        return undefined;
      }
    });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
