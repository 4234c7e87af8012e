import { readFileSync } from 'node:fs';
import type { WarrenCluster } from './warren-cluster.ts';

const MIB = 1024 * 1024;
/** Kernel clock ticks per second, as /proc counts processor time. */
const TICKS_PER_SECOND = 100;

/** Memory that only this process accounts for: anonymous and shared pages, not the page cache of its files. */
export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return ((kib('RssAnon') + kib('RssShmem')) * 1024) / MIB;
}

/** Processor time of all threads since the process started, in seconds. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The command's name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Watches every node's memory until `stop`, which returns the most that any of them had. */
export class MemoryWatch {
  readonly #cluster: WarrenCluster;
  readonly #timer: NodeJS.Timeout;
  #mostMiB = 0;

  constructor(cluster: WarrenCluster, everyMs = 250) {
    this.#cluster = cluster;
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  stop(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#mostMiB;
  }

  #look(): void {
    for (const { pid, running } of this.#cluster.nodes) {
      if (!running) continue;
      try {
        this.#mostMiB = Math.max(this.#mostMiB, residentMiB(pid));
      } catch {
        // It ended between two looks.
      }
    }
  }
}
