import type { LogIndex } from '../lib/ids.ts';
import { HASH_MARK_ENTRIES, HASH_MARKS_KEPT } from './limits.ts';

export interface HashMark {
  readonly index: LogIndex;
  readonly hash: number;
}

/**
 * A hash over what the machine decided since its first entry: replicas that applied the same entries and hold another
 * value have diverged (R22). 32 bits; finds faults, not adversaries.
 */
export class RunningHash {
  value: number;
  #marks: HashMark[];

  constructor(value = 0x9e3779b9, marks: readonly HashMark[] = []) {
    this.value = value;
    this.#marks = [...marks];
  }

  get marks(): readonly HashMark[] {
    return this.#marks;
  }

  mix(word: number): void {
    let k = Math.imul(word | 0, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    const h = this.value ^ Math.imul(k, 0x1b873593);
    this.value = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0;
  }

  /** For integers beyond 32 bits. */
  mixWide(value: number): void {
    this.mix(value % 0x1_0000_0000);
    this.mix(value / 0x1_0000_0000);
  }

  /** Remembers the value if a multiple of `HASH_MARK_ENTRIES` lies in (previous, index]. */
  markAt(previous: LogIndex, index: LogIndex): void {
    if (Math.floor(previous / HASH_MARK_ENTRIES) === Math.floor(index / HASH_MARK_ENTRIES)) return;
    this.#marks.push({ index, hash: this.value });
    if (this.#marks.length > HASH_MARKS_KEPT) this.#marks.shift();
  }

  markOf(index: LogIndex): HashMark | undefined {
    return this.#marks.find(mark => mark.index === index);
  }
}
