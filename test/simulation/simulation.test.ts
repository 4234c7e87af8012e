import { describe, expect, it } from 'vitest';
import { describeFailure, runOf } from './run.ts';
import { simulate } from './simulate.ts';

/** Fixed in a full run; `npm run simulate` draws fresh numbers, and shrinks what it finds. */
const FIRST = 1;
const RUNS = 60;

describe('the simulated cluster', () => {
  it('keeps its promises under faults, then recovers', async () => {
    for (let number = FIRST; number < FIRST + RUNS; number++) {
      const report = await simulate(runOf(number));
      const replay = `npm run simulate -- --seed ${number} --runs 1`;
      expect(report.violation, `${describeFailure(report)}\n\n${replay}`).toBeUndefined();
    }
  }, 300_000);
});
