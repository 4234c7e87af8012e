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
    const unbroken = await bundle(program, join(folder, 'unbroken'));
    await Promise.all(
      Array.from({ length: HUNTERS }, async () => {
        for (let canary = waiting.shift(); canary !== undefined; canary = waiting.shift()) {
          const broken = await bundle(program, join(folder, canary.name), [canary, ...(canary.also ?? [])]);
          for (const seed of seeds) caught(canary, seed, await search(broken, unbroken, seed, canary.runsMax));
        }
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function search(broken: string, unbroken: string, seed: number, runsMax: number): Promise<Catch> {
  let failuresElsewhere = 0;
  for (let runs = 0; ; ) {
    const found = await run(broken, seed + runs, runsMax - runs);
    runs += found.runs;
    const { violation } = found;
    const control = violation === undefined ? undefined : (await run(unbroken, violation.number, 1)).violation;
    if (control === undefined) return { runs, violation };
    failuresElsewhere++;
    assert(failuresElsewhere < FAILURES_ELSEWHERE_MAX, () => `the unbroken build fails, too: ${control.message}`);
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
