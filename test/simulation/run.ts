import fc from 'fast-check';
import { MUTABLE_KINDS, planArb } from './plan.ts';
import type { Report, Run } from './simulate.ts';
import { swarmArb } from './swarm.ts';

/** Draws whole runs. The seed of the world does not shrink: another seed is another run. */
export const runArb: fc.Arbitrary<Run> = fc.record({
  swarm: swarmArb(MUTABLE_KINDS),
  plan: planArb,
  seed: fc.noShrink(fc.nat()),
});

/** The run that belongs to a number: what `scripts/simulate.ts` counts through. */
export const runOf = (number: number): Run => fc.sample(runArb, { seed: number, numRuns: 1 })[0]!;

/** What a failed run says: the violation, then what led to it. */
export const describeFailure = ({ violation, trace }: Report): string =>
  `${trace.join('\n')}\n\n${violation?.stack ?? 'no violation'}`;
