import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { assert } from '../../../src/lib/assert.ts';
import { bundle, type Program } from '../bundle.ts';
import type { Canary } from './canary.ts';

/** Processes at the same time. */
const HUNTERS = 2;
/** A build that fails so often without any canary has to be repaired first. */
const FAILURES_ELSEWHERE_MAX = 3;

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
  program: Program,
  canaries: readonly Canary[],
  seeds: readonly number[],
  caught: (canary: Canary, seed: number, found: Catch) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'warren-canaries-'));
  const waiting = [...canaries];
  try {
    const control = new Control(await bundle(program, join(folder, 'unbroken')));
    await Promise.all(
      Array.from({ length: HUNTERS }, async () => {
        for (let canary = waiting.shift(); canary !== undefined; canary = waiting.shift()) {
          const broken = await bundle(program, join(folder, canary.name), [canary, ...(canary.also ?? [])]);
          for (const seed of seeds) caught(canary, seed, await search(broken, control, seed, canary.runsMax));
        }
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The unbroken build. From each seed on it makes every run once, as far as somebody asks: most canaries are found among the same few. */
class Control {
  readonly #build: string;
  readonly #seen = new Map<number, { runs: number; readonly failures: Map<number, string> }>();
  #turn: Promise<void> = Promise.resolve();

  constructor(build: string) {
    this.#build = build;
  }

  /** What is wrong in this run without any canary. */
  async failureOf(seed: number, number: number): Promise<string | undefined> {
    this.#turn = this.#turn.then(() => this.#lookThrough(seed, number));
    await this.#turn;
    return this.#seen.get(seed)!.failures.get(number);
  }

  async #lookThrough(seed: number, number: number): Promise<void> {
    const seen = this.#seen.get(seed) ?? { runs: 0, failures: new Map<number, string>() };
    this.#seen.set(seed, seen);
    while (seed + seen.runs <= number) {
      const first = seed + seen.runs;
      const { runs, violation } = await run(this.#build, first, number - first + 1);
      seen.runs += runs;
      if (violation !== undefined) seen.failures.set(violation.number, violation.message);
    }
  }
}

async function search(broken: string, control: Control, seed: number, runsMax: number): Promise<Catch> {
  let failuresElsewhere = 0;
  for (let runs = 0; ; ) {
    const found = await run(broken, seed + runs, runsMax - runs);
    runs += found.runs;
    const { violation } = found;
    const failure = violation && (await control.failureOf(seed, violation.number));
    if (failure === undefined) return { runs, violation };
    failuresElsewhere++;
    assert(failuresElsewhere < FAILURES_ELSEWHERE_MAX, () => `the unbroken build fails, too: ${failure}`);
    if (runs >= runsMax) return { runs, violation: undefined };
  }
}

/** In a process of its own: the broken build has nothing in common with this one. */
async function run(build: string, seed: number, runs: number): Promise<Catch> {
  const options = ['--seed', String(seed), '--runs', String(runs), '--json'];
  const child = spawn(process.execPath, ['--max-semi-space-size=64', build, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [said, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert(said.trim() !== '', () => `the simulation said nothing: ${complaints}`);
  return JSON.parse(said.trim().split('\n').at(-1)!) as Catch;
}
