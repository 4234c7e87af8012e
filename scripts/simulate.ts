import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { countReached } from '../src/lib/reached.ts';
import { runCampaign } from '../test/simulation/campaign.ts';
import { CampaignReport, type WorkerLine } from '../test/simulation/campaign-report.ts';
import { readKeptRun } from '../test/simulation/kept-run.ts';
import { describePlan } from '../test/simulation/plan.ts';
import { marksIn } from '../test/simulation/reached-marks.ts';
import { describeFailure, runOf } from '../test/simulation/run.ts';
import { shrink } from '../test/simulation/shrink.ts';
import { type Run, simulate } from '../test/simulation/simulate.ts';

/**
 * Endless simulation with fresh seeds. Each number stands for one run, in every process:
 *
 *   npm run simulate -- --minutes 10            runs from a number of its own choice
 *   npm run simulate -- --seed 4000 --runs 50   runs 4000 to 4049
 *   npm run simulate -- --swarm harsh           every fault in every run; names in test/simulation/named-swarms.ts
 *   npm run simulate -- --workers 2             one process per core
 *   npm run simulate -- --shrink 4031           writes the file of a run that failed
 *   npm run simulate -- --replay FILE --trace   one kept run, with everything that happened
 *
 * A campaign of the ordinary swarm also fails when its runs prove too little: too few faults, messages or leader changes, or a
 * mark in the sources that no run has reached.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    runs: { type: 'string' },
    stride: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    replay: { type: 'string' },
    shrink: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    swarm: { type: 'string' },
    /** For programs: one line of JSON about the first violation. */
    json: { type: 'boolean', default: false },
    /** With `json`: the trace hash of each run. */
    hashes: { type: 'boolean', default: false },
    /** For the process that started this one: lines of JSON. */
    worker: { type: 'boolean', default: false },
    failures: { type: 'string', default: 'simulation-failures' },
  },
});

const SHRINK_MS = 120_000;
const PROGRESS_MS = 1_000;

const swarm = values.swarm;
const first = firstNumber();
const runsMax = values.runs === undefined ? Number.POSITIVE_INFINITY : Number(values.runs);
const startedMs = Date.now();
const untilMs = values.runs === undefined ? startedMs + Number(values.minutes) * 60_000 : Number.POSITIVE_INFINITY;
const isOver = (): boolean => Date.now() >= untilMs;

function firstNumber(): number {
  if (values.seed !== undefined) return Number(values.seed);
  if (process.env.CI !== undefined && values.replay === undefined)
    throw new Error('in CI a seed is set: --seed NUMBER');
  return Date.now() % 1_000_000_000;
}

async function replay(file: string): Promise<number> {
  const run = readKeptRun(file, readFileSync(file, 'utf8'));
  const report = await simulate(run, { keepTrace: values.trace });
  console.log(values.trace || report.violation ? describeFailure(report) : describePlan(run.plan));
  console.log(`trace ${report.traceHash}, ${report.occurrences} occurrences, ${Math.round(report.virtualMs)} ms`);
  return report.violation === undefined ? 0 : 1;
}

/** Writes the failed run to a file, as small as it gets, and says how to see it again. */
async function keep(number: number): Promise<void> {
  const run = values['no-shrink'] ? runOf(number, swarm) : await smallest(runOf(number, swarm));
  const report = await simulate(run);
  mkdirSync(values.failures, { recursive: true });
  const file = join(values.failures, `run-${number}.json`);
  const kept = {
    what: report.violation?.message ?? '',
    commit: commit(),
    swarm: run.swarm,
    plan: run.plan,
    seed: run.seed,
  };
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`);
  console.log(describeFailure(report));
  console.log(`\n${describePlan(run.plan)}\n\nrun ${number} failed; npm run simulate -- --replay ${file} --trace`);
}

/** As small as it gets in some minutes, with the same witness. */
async function smallest(run: Run): Promise<Run> {
  const witness = (await simulate(run)).violation?.witness;
  const shrinkUntilMs = Date.now() + SHRINK_MS;
  return shrink(
    run,
    async smaller => (await simulate(smaller)).violation?.witness === witness,
    () => Date.now() >= shrinkUntilMs,
  );
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

/** For programs that look for the first violation (`test/simulation/canaries`) or compare processes. */
async function runAsJson(): Promise<number> {
  let violation: object | undefined;
  const hashes: string[] = [];
  const { runs } = await runCampaign(
    { first, stride: Number(values.stride), runsMax, swarm },
    {
      isOver,
      ran: (_, report) => values.hashes && hashes.push(report.traceHash),
      failed: (number, { violation: found }) => {
        violation = { number, witness: found!.witness, message: found!.message };
        return false;
      },
    },
  );
  console.log(JSON.stringify({ runs, violation, hashes }));
  return violation === undefined ? 0 : 1;
}

async function runAsWorker(): Promise<number> {
  const marks = countReached();
  const say = (line: WorkerLine): void => console.log(JSON.stringify(line));
  let saidMs = Date.now();
  const tally = await runCampaign(
    { first, stride: Number(values.stride), runsMax, swarm },
    {
      isOver,
      ran: (_, __, sofar) => {
        if (Date.now() - saidMs < PROGRESS_MS) return;
        saidMs = Date.now();
        say({ tally: sofar, marks: Object.fromEntries(marks) });
      },
      failed: (number, { violation }) => {
        say({ failed: { number, message: violation!.message } });
        return values['keep-going'];
      },
    },
  );
  say({ tally, marks: Object.fromEntries(marks) });
  return 0;
}

/** All workers until the time is over or one of them meets a failure. Returns the failed run's number. */
async function runWorkers(report: CampaignReport): Promise<number | undefined> {
  const workers = Number(values.workers);
  const children: ChildProcess[] = [];
  let failure: number | undefined;
  const failed = ({ number, message }: NonNullable<WorkerLine['failed']>): void => {
    console.log(`${clearLine()}run ${number}: ${message}`);
    if (values['keep-going']) return;
    failure ??= number;
    for (const child of children) child.kill();
  };
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const child = startWorker(worker, workers);
      children.push(child);
      for await (const text of createInterface({ input: child.stdout! })) {
        const line = JSON.parse(text) as WorkerLine;
        if (line.failed !== undefined) failed(line.failed);
        else report.heard(worker, line);
        if (process.stdout.isTTY) process.stdout.write(clearLine() + report.progress(Date.now() - startedMs));
      }
    }),
  );
  process.stdout.write(clearLine());
  return failure;
}

async function runAndPrint(): Promise<number> {
  console.log(`runs from number ${first}, commit ${commit()}`);
  const report = new CampaignReport(marksIn(join(import.meta.dirname, '../src')));
  const failure = await runWorkers(report);
  report.print(Date.now() - startedMs);
  const shortfalls = swarm === undefined ? report.shortfalls() : [];
  for (const sentence of shortfalls) console.log(sentence);
  if (failure !== undefined) await keep(failure);
  return report.tally.failures > 0 || failure !== undefined || shortfalls.length > 0 ? 1 : 0;
}

function startWorker(worker: number, workers: number): ChildProcess {
  const options = ['--worker', '--seed', String(first + worker), '--stride', String(workers)];
  options.push('--minutes', values.minutes);
  if (values.runs !== undefined) options.push('--runs', String(Math.ceil((runsMax - worker) / workers)));
  if (swarm !== undefined) options.push('--swarm', swarm);
  if (values['keep-going']) options.push('--keep-going');
  return spawn(
    process.execPath,
    ['--max-semi-space-size=64', join(import.meta.dirname, 'run.mjs'), 'simulate', ...options],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
}

const clearLine = (): string => (process.stdout.isTTY ? '\r\u001b[K' : '');

async function main(): Promise<number> {
  if (values.replay !== undefined) return replay(values.replay);
  if (values.json) return runAsJson();
  if (values.worker) return runAsWorker();
  if (values.shrink !== undefined) {
    await keep(Number(values.shrink));
    return 1;
  }
  return runAndPrint();
}

process.exitCode = await main();
