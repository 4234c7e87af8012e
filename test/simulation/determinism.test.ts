import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from './bundle.ts';
import { runOf } from './run.ts';
import { simulate } from './simulate.ts';

const FIRST = 7_000;
const RUNS = 6;
const HOOK_MS_MAX = 180_000;

/** Another day, and time that passes at another pace. */
const LATER = `
  const now = Date.now, uptime = performance.now.bind(performance);
  Date.now = () => now() * 1.01 + 400 * 86_400_000;
  performance.now = () => uptime() * 3 + 1e9;
`;

describe('a run is a function of its number', () => {
  const hashes: string[] = [];
  let folder: string;
  let program: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warren-determinism-'));
    program = await bundle('scripts/simulate.ts', folder);
    for (let i = 0; i < RUNS; i++) hashes.push((await simulate(runOf(FIRST + i))).traceHash);
  }, HOOK_MS_MAX);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has the same trace a second time, in another order', async () => {
    const again: string[] = [];
    for (let i = RUNS - 1; i >= 0; i--) again.unshift((await simulate(runOf(FIRST + i))).traceHash);
    expect(again).toEqual(hashes);
    expect(new Set(hashes).size).toBe(RUNS);
  });

  it.each([
    { where: 'in another process', flags: [], environment: {} },
    {
      where: 'on another day, in another place, with another heap',
      flags: [
        '--hash-seed=77',
        '--max-semi-space-size=1',
        '--import',
        `data:text/javascript,${encodeURIComponent(LATER)}`,
      ],
      environment: { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' },
    },
  ])('has the same trace $where', ({ flags, environment }) => {
    const options = ['--json', '--hashes', '--seed', String(FIRST), '--runs', String(RUNS)];
    const said = execFileSync(process.execPath, [...flags, program, ...options], {
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });
    expect(JSON.parse(said)).toEqual({ runs: RUNS, hashes });
  });
});
