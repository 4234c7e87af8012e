import { Violation } from './violation.ts';

/** How many of the latest lines a failing run shows. */
const LINES_KEPT = 80;
/** So many lines in one moment: something goes round in circles and would never give the control back. */
const LINES_PER_MOMENT_MAX = 100_000;
const FNV_PRIME = 0x01000193;
const FNV_OFFSET = 0x811c9dc5;

type Value = number | string | boolean | undefined;

/**
 * What happened in a run: a hash over all of it, and the latest lines. Lines are templates with `{}` for each value, formatted only
 * when somebody reads them.
 */
export class Trace {
  readonly #kept: (readonly [timeMs: number, template: string, values: readonly Value[]])[] = [];
  readonly #templateHashes = new Map<string, number>();
  readonly #all: string[] | undefined;
  #first = FNV_OFFSET;
  #second = FNV_OFFSET ^ 0x5bd1e995;
  #count = 0;
  #momentMs = -1;
  #momentBegan = 0;

  /** `keepAll`: every line is kept, for reading a failure. */
  constructor(options: { readonly keepAll: boolean }) {
    this.#all = options.keepAll ? [] : undefined;
  }

  get count(): number {
    return this.#count;
  }

  add(timeMs: number, template: string, ...values: Value[]): void {
    if (timeMs !== this.#momentMs) {
      this.#momentMs = timeMs;
      this.#momentBegan = this.#count;
    } else if (this.#count - this.#momentBegan > LINES_PER_MOMENT_MAX) {
      throw new Violation(
        'endless',
        `${LINES_PER_MOMENT_MAX} times at ${timeMs} ms: ${format(timeMs, template, values)}`,
      );
    }
    this.#mix(Math.round(timeMs * 1000));
    this.#mix(this.#hashOf(template));
    for (const value of values) this.#mixValue(value);
    this.#kept[this.#count % LINES_KEPT] = [timeMs, template, values];
    this.#count++;
    this.#all?.push(format(timeMs, template, values));
  }

  /** Equal for equal runs. */
  hash(): string {
    return `${this.#first.toString(16).padStart(8, '0')}${this.#second.toString(16).padStart(8, '0')}`;
  }

  lines(): readonly string[] {
    if (this.#all !== undefined) return this.#all;
    const lines: string[] = [];
    for (let i = Math.max(0, this.#count - LINES_KEPT); i < this.#count; i++) {
      const [timeMs, template, values] = this.#kept[i % LINES_KEPT]!;
      lines.push(format(timeMs, template, values));
    }
    return lines;
  }

  #mixValue(value: Value): void {
    if (typeof value === 'number') {
      this.#mix(value | 0);
      if (value > 0x7fffffff) this.#mix(Math.floor(value / 0x1_0000_0000));
    } else if (typeof value === 'string') {
      this.#mix(this.#hashOf(value));
    } else {
      this.#mix(value === undefined ? 2 : Number(value));
    }
  }

  #mix(value: number): void {
    this.#first = Math.imul(this.#first ^ value, FNV_PRIME) >>> 0;
    this.#second = Math.imul((this.#second << 5) ^ (this.#second >>> 27) ^ value, 0x9e3779b1) >>> 0;
  }

  #hashOf(text: string): number {
    const known = this.#templateHashes.get(text);
    if (known !== undefined) return known;
    let hash = FNV_OFFSET;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
    this.#templateHashes.set(text, hash);
    return hash;
  }
}

function format(timeMs: number, template: string, values: readonly Value[]): string {
  let next = 0;
  const text = template.replaceAll('{}', () => String(values[next++] ?? '-'));
  return `${timeMs.toFixed(3).padStart(11)} ${text}`;
}
