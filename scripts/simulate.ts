import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { countReached } from '../src/lib/reached.ts';
import { describePlan } from '../test/simulation/plan.ts';
import { describeFailure, runArb, runOf } from '../test/simulation/run.ts';
import { type Run, simulate } from '../test/simulation/simulate.ts';
import { Statistics } from '../test/simulation/statistics.ts';

/**
 * Endless simulation with fresh seeds. Each number stands for one run, in every process:
 *
 *   npm run simulate -- --minutes 10            runs from a number of its own choice
 *   npm run simulate -- --seed 4000 --runs 50   runs 4000 to 4049
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
  writeFileSync(file, `${JSON.stringify({ ...run, commit: commit(), what: report.violation?.message }, undefined, 2)}\n`);
  console.log(describeFailure(report));
  console.log(`\n${describePlan(run.plan)}\n\nrun ${number} failed; replay: npm run simulate -- --replay ${file} --trace`);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

function runMany(): number {
  const first = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
  const runsMax = values.runs === undefined ? Number.POSITIVE_INFINITY : Number(values.runs);
  const untilMs = values.runs === undefined ? Date.now() + Number(values.minutes) * 60_000 : Number.POSITIVE_INFINITY;
  console.log(`runs from number ${first}, commit ${commit()}`);
  const marks = countReached();
  const total = new Statistics();
  const startedMs = Date.now();
  let [runs, failures, virtualMs, occurrences] = [0, 0, 0, 0];
  while (runs < runsMax && Date.now() < untilMs) {
    const number = first + runs++;
    const report = simulate(runOf(number));
    total.add(report.statistics);
    virtualMs += report.virtualMs;
    occurrences += report.occurrences;
    if (report.violation === undefined) continue;
    failures++;
    if (values['keep-going']) {
      console.log(`run ${number}: ${report.violation.message}`);
      continue;
    }
    keep(number);
    break;
  }
  const wallMs = Date.now() - startedMs;
  console.table({
    runs,
    failures,
    'runs per minute': Math.round((runs / wallMs) * 60_000),
    'occurrences per second': Math.round((occurrences / wallMs) * 1_000),
    'virtual time / wall time': Math.round(virtualMs / wallMs),
  });
  console.table({ ...total });
  console.table(Object.fromEntries([...marks].sort(([a], [b]) => a.localeCompare(b))));
  return failures > 0 ? 1 : 0;
}

process.exitCode = values.replay === undefined ? runMany() : replay(values.replay);
