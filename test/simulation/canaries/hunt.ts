import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '../../../src/lib/assert.ts';
import type { Canary } from './canary.ts';

const ROOT = join(import.meta.dirname, '../../..');
/** All that the simulator is made of. */
const PARTS = ['package.json', 'scripts', 'src', 'test/simulation'];

export interface Catch {
  /** Runs until the violation was seen; all of them if there was none. */
  readonly runs: number;
  readonly violation: { readonly number: number; readonly witness: string; readonly message: string } | undefined;
}

/** Runs the ordinary simulation of a build in which the canary's rule is broken, until something is noticed. */
export function hunt(canary: Canary, options: { readonly seed: number }): Catch {
  const folder = mkdtempSync(join(tmpdir(), `warren-canary-${canary.name}-`));
  try {
    build(canary, folder);
    return run(folder, ['--seed', String(options.seed), '--runs', String(canary.runsMax), '--json']);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function build(canary: Canary, folder: string): void {
  for (const part of PARTS) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const file = join(folder, canary.file);
  const pieces = readFileSync(file, 'utf8').split(canary.find);
  assert(
    pieces.length === 2,
    () => `${canary.file} has ${pieces.length - 1} times what canary ${canary.name} replaces`,
  );
  writeFileSync(file, pieces.join(canary.replace));
}

/** In a process of its own: the broken build has nothing in common with this one. */
function run(folder: string, options: readonly string[]): Catch {
  const child = spawnSync(process.execPath, ['scripts/run.mjs', 'simulate', ...options], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert(child.stdout.trim() !== '', () => `the simulation said nothing: ${child.stderr}`);
  return JSON.parse(child.stdout.trim().split('\n').at(-1)!) as Catch;
}
