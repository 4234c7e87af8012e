import type { Report } from './simulate.ts';
import { FAULT_CLASSES, faultsIn, Statistics } from './statistics.ts';

/** What many runs amount to. As JSON it travels from a worker to the process that adds up. */
export class Tally {
  runs = 0;
  failures = 0;
  virtualMs = 0;
  occurrences = 0;
  faults = 0;
  readonly statistics = new Statistics();
  /** By class of faults: in how many runs it happened. */
  readonly runsWith: Record<string, number> = {};

  count(report: Report): void {
    this.runs++;
    if (report.violation !== undefined) this.failures++;
    this.virtualMs += report.virtualMs;
    this.occurrences += report.occurrences;
    this.faults += faultsIn(report.statistics);
    this.statistics.add(report.statistics);
    for (const name of FAULT_CLASSES) {
      if (report.statistics[name] > 0) this.runsWith[name] = (this.runsWith[name] ?? 0) + 1;
    }
  }

  add(other: Tally): void {
    this.runs += other.runs;
    this.failures += other.failures;
    this.virtualMs += other.virtualMs;
    this.occurrences += other.occurrences;
    this.faults += other.faults;
    this.statistics.add(other.statistics);
    for (const [name, runs] of Object.entries(other.runsWith)) this.runsWith[name] = (this.runsWith[name] ?? 0) + runs;
  }

  /** Averages of one run. */
  averages(): Readonly<Record<Average, number>> {
    const { confirmed, settled, leaderChanges } = this.statistics;
    const runs = Math.max(1, this.runs);
    return {
      'injected faults': this.faults / runs,
      'confirmed messages': confirmed / runs,
      'settled messages': settled / runs,
      'leader changes': leaderChanges / runs,
    };
  }

  /** Why these runs prove less than they should, in sentences. */
  shortfalls(): string[] {
    const averages = this.averages();
    const sentences: string[] = [];
    for (const [name, min] of Object.entries(AVERAGE_MIN) as [Average, number][]) {
      if (averages[name] < min) sentences.push(`${averages[name].toFixed(1)} ${name} per run, ${min} are wanted`);
    }
    for (const name of FAULT_CLASSES) {
      const runs = this.runsWith[name] ?? 0;
      if (runs < this.runs / 2) sentences.push(`${name}: in ${runs} of ${this.runs} runs only, half are wanted`);
    }
    return sentences;
  }
}

type Average = 'injected faults' | 'confirmed messages' | 'settled messages' | 'leader changes';

const AVERAGE_MIN: Readonly<Record<Average, number>> = {
  'injected faults': 10,
  'confirmed messages': 100,
  'settled messages': 100,
  'leader changes': 1,
};
