import { REACHED_ELSEWHERE, unreachedMarks } from './reached-marks.ts';
import { Tally } from './tally.ts';

/** What a worker of a campaign says: everything so far, or a failure. */
export interface WorkerLine {
  readonly tally?: Tally;
  readonly marks?: Readonly<Record<string, number>>;
  readonly failed?: { readonly number: number; readonly message: string };
}

const RUNS_TO_JUDGE_AVERAGES = 500;
const RUNS_TO_JUDGE_MARKS = 3_000;

/** The sum of what all workers said last, and how it reads. */
export class CampaignReport {
  /** All marks in the sources. */
  readonly #marks: readonly string[];
  readonly #lines = new Map<number, WorkerLine>();

  constructor(marks: readonly string[]) {
    this.#marks = marks;
  }

  heard(worker: number, line: WorkerLine): void {
    this.#lines.set(worker, line);
  }

  get tally(): Tally {
    const sum = new Tally();
    for (const { tally } of this.#lines.values()) if (tally !== undefined) sum.add(tally);
    return sum;
  }

  get #reached(): ReadonlyMap<string, number> {
    const sum = new Map<string, number>();
    for (const { marks } of this.#lines.values()) {
      for (const [mark, count] of Object.entries(marks ?? {})) sum.set(mark, (sum.get(mark) ?? 0) + count);
    }
    return sum;
  }

  /** In one line. */
  progress(wallMs: number): string {
    const { runs, virtualMs, faults, statistics } = this.tally;
    const seconds = wallMs / 1_000;
    return [
      `${runs} runs`,
      `${(runs / seconds).toFixed(1)} per second`,
      `${Math.round(virtualMs / wallMs)} virtual seconds per second`,
      `${faults} faults`,
      `${statistics.confirmed} confirmed`,
      `${this.#reached.size} of ${this.#marks.length} marks`,
    ].join(', ');
  }

  print(wallMs: number): void {
    const { tally } = this;
    const { runs, failures, virtualMs, occurrences, faults, statistics, runsWith } = tally;
    console.table({
      runs,
      failures,
      'runs per second': Number(((runs / wallMs) * 1_000).toFixed(1)),
      'runs per minute': Math.round((runs / wallMs) * 60_000),
      'occurrences per second': Math.round((occurrences / wallMs) * 1_000),
      'virtual time / wall time': Math.round(virtualMs / wallMs),
      'faults injected': faults,
    });
    console.table({ ...statistics });
    const averages = Object.entries(tally.averages()).map(([name, value]) => [name, Number(value.toFixed(1))]);
    console.table({ 'on average per run': Object.fromEntries(averages) });
    const shares = Object.entries(runsWith).map(([name, count]) => [name, Math.round((count / runs) * 100)]);
    console.table({ '% of runs in which it happened': Object.fromEntries(shares) });
    const reached = this.#reached;
    console.table(
      Object.fromEntries(
        this.#marks.map(mark => [mark, reached.get(mark) ?? (mark in REACHED_ELSEWHERE ? 'elsewhere' : 0)]),
      ),
    );
  }

  /** Why these runs prove less than they should, in sentences. Too few runs say nothing about that. */
  shortfalls(): string[] {
    const { tally } = this;
    const averages = tally.runs < RUNS_TO_JUDGE_AVERAGES ? [] : tally.shortfalls();
    if (tally.runs < RUNS_TO_JUDGE_MARKS) return averages;
    const unreached = unreachedMarks(this.#marks, this.#reached).map(
      mark => `mark ${mark} was never reached in ${tally.runs} runs: they are too gentle, or its code is dead`,
    );
    return [...averages, ...unreached];
  }
}
