import { assert } from '../../lib/assert.ts';
import type { FrameWriter } from './frame-writer.ts';

const OUTSTANDING = 0;
const CONFIRMED = 1;
const REJECTED = 2;
const ANSWERED = 3;
const INITIAL_ROOM = 256;

/**
 * Publisher confirms of a channel: numbers ascending from 1. Answers come in any order and are gathered until `flush`,
 * which writes one basic.ack (multiple) for the contiguous run at the head and single ones behind gaps.
 */
export class ConfirmLedger {
  /** Outcomes of the numbers from `first` on; a ring whose size is a power of two. */
  #outcomes = new Uint8Array(INITIAL_ROOM);
  #first = 1;
  #next = 1;
  /** Ranges that came since the last flush: first and last in turn. */
  #news: number[] = [];

  get outstanding(): number {
    return this.#next - this.#first;
  }

  get hasNews(): boolean {
    return this.#news.length > 0;
  }

  /** The number of the publish that comes now. */
  take(): number {
    if (this.#next - this.#first === this.#outcomes.length) this.#grow();
    const number = this.#next++;
    this.#outcomes[number & (this.#outcomes.length - 1)] = OUTSTANDING;
    return number;
  }

  confirm(first: number, last: number): void {
    this.#learn(first, last, CONFIRMED);
  }

  reject(first: number, last: number): void {
    this.#learn(first, last, REJECTED);
  }

  flush(channel: number, writer: FrameWriter): void {
    if (this.#news.length === 0) return;
    this.#flushHead(channel, writer);
    const outcomes = this.#outcomes;
    const mask = outcomes.length - 1;
    for (let i = 0; i < this.#news.length; i += 2) {
      const last = this.#news[i + 1]!;
      for (let number = Math.max(this.#news[i]!, this.#first); number <= last; number++) {
        const outcome = outcomes[number & mask]!;
        if (outcome === CONFIRMED) writer.ack(channel, number, false);
        else if (outcome === REJECTED) writer.nack(channel, number, false);
        outcomes[number & mask] = ANSWERED;
      }
    }
    this.#news = [];
  }

  #learn(first: number, last: number, outcome: number): void {
    assert(
      first <= last && last < this.#next,
      () => `confirm of ${first} to ${last}; the last publish was ${this.#next - 1}`,
    );
    const mask = this.#outcomes.length - 1;
    for (let number = Math.max(first, this.#first); number <= last; number++) {
      if (this.#outcomes[number & mask] === OUTSTANDING) this.#outcomes[number & mask] = outcome;
    }
    const end = this.#news.length;
    if (end > 0 && this.#news[end - 1]! + 1 === first) this.#news[end - 1] = last;
    else this.#news.push(first, last);
  }

  /** Everything before the first outstanding number, in runs of one outcome. */
  #flushHead(channel: number, writer: FrameWriter): void {
    const mask = this.#outcomes.length - 1;
    let run = ANSWERED;
    let runLast = 0;
    let runCount = 0;
    for (; this.#first < this.#next; this.#first++) {
      const outcome = this.#outcomes[this.#first & mask]!;
      if (outcome === OUTSTANDING) break;
      if (outcome === ANSWERED) continue;
      if (outcome !== run) {
        writeRun(channel, writer, run, runLast, runCount);
        run = outcome;
        runCount = 0;
      }
      runLast = this.#first;
      runCount++;
    }
    writeRun(channel, writer, run, runLast, runCount);
  }

  #grow(): void {
    const old = this.#outcomes;
    const grown = new Uint8Array(old.length * 2);
    for (let number = this.#first; number < this.#next; number++) {
      grown[number & (grown.length - 1)] = old[number & (old.length - 1)]!;
    }
    this.#outcomes = grown;
  }
}

function writeRun(channel: number, writer: FrameWriter, outcome: number, last: number, count: number): void {
  if (count === 0) return;
  if (outcome === CONFIRMED) writer.ack(channel, last, count > 1);
  else writer.nack(channel, last, count > 1);
}
