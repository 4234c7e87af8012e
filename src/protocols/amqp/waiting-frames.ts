import type { Frame } from './frame-parser.ts';

/** What a waiting frame costs beside its payload. */
const FRAME_COST_BYTES = 64;

/** Copies of frames that wait for an answer of the broker, in order. The caller bounds `bytes`. */
export class WaitingFrames {
  #frames: Frame[] = [];
  #first = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#first === this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Frame): void {
    const payload = frame.bytes.slice(frame.start, frame.end);
    this.#frames.push({ type: frame.type, channel: frame.channel, bytes: payload, start: 0, end: payload.length });
    this.#bytes += payload.length + FRAME_COST_BYTES;
  }

  first(): Frame | undefined {
    return this.#frames[this.#first];
  }

  dropFirst(): void {
    this.#bytes -= this.#frames[this.#first]!.end + FRAME_COST_BYTES;
    this.#first++;
    if (this.#first < 64 || this.#first * 2 < this.#frames.length) return;
    this.#frames = this.#frames.slice(this.#first);
    this.#first = 0;
  }
}
