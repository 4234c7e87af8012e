import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { assert } from '../../../src/lib/assert.ts';
import { runSchedule } from '../../cluster-shell/schedule.ts';
import { bundle, type Program } from '../bundle.ts';
import { runOf } from '../run.ts';
import { simulate } from '../simulate.ts';
import type { Quarry } from './canary.ts';

/** Processes at the same time. */
const HUNTERS = 2;
/** A build that fails so often without any canary has to be repaired first. */
const FAILURES_ELSEWHERE_MAX = 3;
/**
 * Most hunts are over within ten runs. In that time a process spends more on compiling than on running if it compiles as eagerly as
 * for hours: without inlining and at twice the usual use of a function it is a third less, for seven runs.
 */
const SHORT_LIVED = ['--no-turbo-inlining', '--interrupt-budget=135000'];

export interface Catch {
  /** Runs until the violation was seen; all of them if there was none. */
  readonly runs: number;
  readonly violation: { readonly number: number; readonly witness: string; readonly message: string } | undefined;
}

/**
 * Runs the ordinary simulation of builds in which one canary's rule is broken, from each of the seeds on until something is
 * noticed; several at a time. A run in which the unbroken build fails, too, says nothing. `caught` hears of each try when it is
 * over.
 */
export async function hunt(
  canaries: readonly Quarry[],
  seeds: readonly number[],
  caught: (canary: Quarry, seed: number, found: Catch) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'warren-canaries-'));
  const control = new Control();
  // What may take longest first, of which are all runs of whole nodes: at the end all hunters are done at about the same time.
  const waiting = canaries.toSorted((a, b) => Number(isOfShell(b)) - Number(isOfShell(a)) || b.runsMax - a.runsMax);
  try {
    await Promise.all(
      Array.from({ length: HUNTERS }, async () => {
        for (let canary = waiting.shift(); canary !== undefined; canary = waiting.shift()) {
          const build = await bundle(canary.program, join(folder, canary.name), [canary, ...(canary.also ?? [])]);
          for (const seed of seeds) caught(canary, seed, await search(canary, build, control, seed));
        }
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const isOfShell = ({ program }: Quarry): boolean => program === 'scripts/simulate-shell.ts';

/** The sources as they are. They make a run once, however many canaries are noticed in it. */
class Control {
  readonly #failures = new Map<string, Promise<string | undefined>>();
  /** One run at a time: a run takes errors that nobody awaits for its own. */
  #latest: Promise<unknown> = Promise.resolve();

  /** What is wrong in this run without any canary. */
  failureOf(program: Program, number: number): Promise<string | undefined> {
    const name = `${program} ${number}`;
    const known = this.#failures.get(name);
    if (known !== undefined) return known;
    const failure = this.#latest.then(() => runUnbroken(program, number));
    this.#failures.set(name, failure);
    this.#latest = failure;
    return failure;
  }
}

async function runUnbroken(program: Program, number: number): Promise<string | undefined> {
  switch (program) {
    case 'scripts/simulate.ts':
      return (await simulate(runOf(number))).violation?.message;
    case 'scripts/simulate-shell.ts':
      return (await runSchedule(number)).violation;
  }
}

async function search({ program, runsMax }: Quarry, build: string, control: Control, seed: number): Promise<Catch> {
  let failuresElsewhere = 0;
  for (let runs = 0; ; ) {
    const found = await run(build, seed + runs, runsMax - runs);
    runs += found.runs;
    const { violation } = found;
    const failure = violation && (await control.failureOf(program, violation.number));
    if (failure === undefined) return { runs, violation };
    failuresElsewhere++;
    assert(failuresElsewhere < FAILURES_ELSEWHERE_MAX, () => `the unbroken build fails, too: ${failure}`);
    if (runs >= runsMax) return { runs, violation: undefined };
  }
}

/** In a process of its own: the broken build has nothing in common with this one. */
async function run(build: string, seed: number, runs: number): Promise<Catch> {
  const options = ['--seed', String(seed), '--runs', String(runs), '--json'];
  const child = spawn(process.execPath, ['--max-semi-space-size=64', ...SHORT_LIVED, build, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [said, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert(said.trim() !== '', () => `the simulation said nothing: ${complaints}`);
  return JSON.parse(said.trim().split('\n').at(-1)!) as Catch;
}
