import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { countReached } from '../src/lib/reached.ts';
import { namedSwarm } from '../test/simulation/named-swarms.ts';
import { describePlan } from '../test/simulation/plan.ts';
import { marksIn } from '../test/simulation/reached-marks.ts';
import { describeFailure, runArb, runOf } from '../test/simulation/run.ts';
import { type Run, simulate } from '../test/simulation/simulate.ts';
import { Statistics } from '../test/simulation/statistics.ts';
import type { Violation } from '../test/simulation/violation.ts';

/**
 * Endless simulation with fresh seeds. Each number stands for one run, in every process:
 *
 *   npm run simulate -- --minutes 10            runs from a number of its own choice
 *   npm run simulate -- --seed 4000 --runs 50   runs 4000 to 4049
 *   npm run simulate -- --swarm harsh           every fault in every run; names in test/simulation/named-swarms.ts
 *   npm run simulate -- --replay FILE --trace   one kept run, with everything that happened
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    runs: { type: 'string' },
    replay: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    swarm: { type: 'string' },
    json: { type: 'boolean', default: false },
    failures: { type: 'string', default: 'simulation-failures' },
  },
});

const SHRINK_MS = 120_000;

function replay(file: string): number {
  const run = JSON.parse(readFileSync(file, 'utf8')) as Run;
  const report = simulate(run, { keepTrace: values.trace });
  console.log(values.trace || report.violation ? describeFailure(report) : describePlan(run.plan));
  console.log(`trace ${report.traceHash}, ${report.occurrences} occurrences, ${Math.round(report.virtualMs)} ms`);
  return report.violation === undefined ? 0 : 1;
}

/** The smallest plan and swarm with which the run still fails, by the same witness. */
function shrink(number: number): Run {
  const witness = simulate(runOf(number)).violation?.witness;
  const property = fc.property(runArb, run => simulate(run).violation?.witness !== witness);
  const result = fc.check(property, { seed: number, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS });
  return result.counterexample?.[0] ?? runOf(number);
}

function keep(number: number): void {
  const run = values['no-shrink'] ? runOf(number) : shrink(number);
  const report = simulate(run);
  mkdirSync(values.failures, { recursive: true });
  const file = join(values.failures, `run-${number}.json`);
  writeFileSync(
    file,
    `${JSON.stringify({ ...run, commit: commit(), what: report.violation?.message }, undefined, 2)}\n`,
  );
  console.log(describeFailure(report));
  console.log(
    `\n${describePlan(run.plan)}\n\nrun ${number} failed; replay: npm run simulate -- --replay ${file} --trace`,
  );
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

interface Totals {
  runs: number;
  failures: number;
  virtualMs: number;
  occurrences: number;
  readonly statistics: Statistics;
}

/** Runs one number after the other; `failed` says whether to go on after a failure. */
function runMany(totals: Totals, first: number, failed: (number: number, violation: Violation) => boolean): void {
  const runsMax = values.runs === undefined ? Number.POSITIVE_INFINITY : Number(values.runs);
  const untilMs = values.runs === undefined ? Date.now() + Number(values.minutes) * 60_000 : Number.POSITIVE_INFINITY;
  while (totals.runs < runsMax && Date.now() < untilMs) {
    const number = first + totals.runs++;
    const run = runOf(number);
    const report = simulate(values.swarm === undefined ? run : { ...run, swarm: namedSwarm(values.swarm, run.swarm) });
    totals.statistics.add(report.statistics);
    totals.virtualMs += report.virtualMs;
    totals.occurrences += report.occurrences;
    if (report.violation === undefined) continue;
    totals.failures++;
    if (!failed(number, report.violation)) return;
  }
}

function runAndPrint(): number {
  const first = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
  const totals: Totals = { runs: 0, failures: 0, virtualMs: 0, occurrences: 0, statistics: new Statistics() };
  if (values.json) {
    let found: object | undefined;
    runMany(totals, first, (number, { witness, message }) => {
      found = { number, witness, message };
      return false;
    });
    console.log(JSON.stringify({ runs: totals.runs, violation: found }));
    return found === undefined ? 0 : 1;
  }
  console.log(`runs from number ${first}, commit ${commit()}`);
  const marks = countReached();
  const startedMs = Date.now();
  runMany(totals, first, (number, { message }) => {
    if (values['keep-going']) console.log(`run ${number}: ${message}`);
    else keep(number);
    return values['keep-going'];
  });
  printTotals(totals, Date.now() - startedMs);
  printMarks(marks);
  return totals.failures > 0 ? 1 : 0;
}

function printTotals({ runs, failures, virtualMs, occurrences, statistics }: Totals, wallMs: number): void {
  console.table({
    runs,
    failures,
    'runs per minute': Math.round((runs / wallMs) * 60_000),
    'occurrences per second': Math.round((occurrences / wallMs) * 1_000),
    'virtual time / wall time': Math.round(virtualMs / wallMs),
  });
  console.table({ ...statistics });
}

/** A mark that was never reached means that the runs are too gentle, or the mark's code is dead. */
function printMarks(reached: ReadonlyMap<string, number>): void {
  console.table(
    Object.fromEntries(marksIn(join(import.meta.dirname, '../src')).map(mark => [mark, reached.get(mark) ?? 0])),
  );
}

process.exitCode = values.replay === undefined ? runAndPrint() : replay(values.replay);
