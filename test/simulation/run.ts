import fc from 'fast-check';
import { namedSwarm } from './named-swarms.ts';
import { MUTABLE_KINDS, planArb } from './plan.ts';
import type { Report, Run } from './simulate.ts';
import { swarmArb } from './swarm.ts';

/** Draws whole runs. */
const runArb: fc.Arbitrary<Run> = fc.record({
  swarm: swarmArb(MUTABLE_KINDS),
  plan: planArb,
  seed: fc.nat(),
});

/** Runs of the ordinary swarm, or of one that has a name. */
const runsOf = (swarm: string | undefined): fc.Arbitrary<Run> =>
  swarm === undefined ? runArb : runArb.map(run => ({ ...run, swarm: namedSwarm(swarm, run.swarm) }));

/** The run that belongs to a number, in every process: what `scripts/simulate.ts` counts through. */
export const runOf = (number: number, swarm?: string): Run =>
  fc.sample(runsOf(swarm), { seed: number, numRuns: 1 })[0]!;

/** What a failed run says: what led to it, then the violation. */
export const describeFailure = ({ violation, trace }: Report): string =>
  `${trace.join('\n')}\n\n${violation?.stack ?? 'no violation'}`;
