import { closeSync, existsSync, openSync, rmSync, statfsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';

export interface DiskRoomOptions {
  readonly directory: string;
  /** Below this the disk is short: publishes stop, and what is dead is not kept any more. */
  readonly freeBytesMin: number;
  readonly checkMs: number;
}

const RESERVE_FILE = 'reserve';
const RESERVE_BYTES = 32 * 1024 * 1024;
const SLICE = new Uint8Array(1024 * 1024);
/** With less than this LevelDB is not given anything to write: a checkpoint, a log file and a compaction have to fit. */
const WRITE_ROOM_BYTES = 24 * 1024 * 1024;
/** The disk is short until there is so much more than the limit: the end of an alarm must not be the cause of the next. */
const RELIEF_BYTES = 16 * 1024 * 1024;
const WAIT_MS = 200;

/**
 * The room on the file system of the data directory (R18). A file stands for the room that checkpoints and cleaning need
 * to make more of it; it is given up when there is nothing else, and made again later.
 */
export class DiskRoom {
  readonly #options: DiskRoomOptions;
  readonly #clock: Clock;
  readonly #file: string;
  readonly #cancel: () => void;
  #isShort = false;
  #hasReserve: boolean;
  #isFilling = false;
  #isClosed = false;

  constructor(options: DiskRoomOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#file = join(options.directory, RESERVE_FILE);
    this.#hasReserve = existsSync(this.#file);
    this.check();
    this.#cancel = clock.every(options.checkMs, () => this.check());
  }

  get isShort(): boolean {
    return this.#isShort;
  }

  check(): void {
    const { freeBytesMin } = this.#options;
    const free = this.#freeBytes();
    this.#isShort = free < freeBytesMin + (this.#isShort ? RELIEF_BYTES : 0);
    if (free < WRITE_ROOM_BYTES) this.giveUpReserve();
    else if (!this.#hasReserve && free >= freeBytesMin + RESERVE_BYTES + 2 * RELIEF_BYTES) void this.#fill();
  }

  /** Resolves when there is room for the key-value store to write. */
  async available(isRetry = false): Promise<void> {
    if (isRetry && !this.giveUpReserve()) await this.#wait();
    while (!this.#isClosed && this.#freeBytes() < WRITE_ROOM_BYTES) {
      if (!this.giveUpReserve()) await this.#wait();
    }
  }

  giveUpReserve(): boolean {
    if (!this.#hasReserve || this.#isFilling) return false;
    this.#hasReserve = false;
    rmSync(this.#file, { force: true });
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #wait(): Promise<void> {
    return new Promise(resolve => this.#clock.after(WAIT_MS, resolve));
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#options.directory);
    return bavail * bsize;
  }

  async #fill(): Promise<void> {
    if (this.#isFilling) return;
    this.#isFilling = true;
    this.#hasReserve = true;
    try {
      closeSync(openSync(this.#file, 'w', 0o600));
      const file = await open(this.#file, 'r+');
      try {
        for (let at = 0; at < RESERVE_BYTES && !this.#isClosed; at += SLICE.length)
          await file.write(SLICE, 0, SLICE.length, at);
      } finally {
        await file.close();
      }
    } catch {
      // Somebody else took the room meanwhile. What there is of the file is given up like a whole one.
    } finally {
      this.#isFilling = false;
    }
  }
}
