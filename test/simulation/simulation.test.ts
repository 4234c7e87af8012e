import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MUTABLE_KINDS, planArb } from './plan.ts';
import { simulate } from './simulate.ts';
import { swarmArb } from './swarm.ts';

describe('the simulated cluster', () => {
  it('keeps its promises under faults, then recovers', () => {
    fc.assert(
      fc.property(swarmArb(MUTABLE_KINDS), planArb, fc.noShrink(fc.integer()), (swarm, plan, seed) => {
        const report = simulate({ swarm, plan, seed });
        expect(report.violation).toBeUndefined();
      }),
      { numRuns: 50, seed: 1 },
    );
  });
});
