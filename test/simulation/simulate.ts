import { Cluster } from './cluster.ts';
import { kindOf, type Plan } from './plan.ts';
import { Statistics } from './statistics.ts';
import type { Swarm } from './swarm.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

/** All that a run depends on. As JSON this is a failure that can be kept. */
export interface Run {
  readonly swarm: Swarm;
  readonly plan: Plan;
  readonly seed: number;
}

export interface Report {
  readonly violation: Violation | undefined;
  /** Equal runs have equal hashes, in every process. */
  readonly traceHash: string;
  readonly occurrences: number;
  readonly virtualMs: number;
  readonly statistics: Statistics;
  /** The latest lines, or all of them. */
  readonly trace: readonly string[];
}

/** Before the first action: a leader for every group, mostly. */
const WARM_UP_MS = 1_500;
const PATIENCE_STEP_MS = 50;
const LIVENESS_BUDGET_MS = 120_000;
const LIVENESS_STEP_MS = 200;

/**
 * One run: the plan is carried out under its faults while the checkers watch (safety), then a majority is healed and must finish
 * everything that is pending (liveness). A function of its arguments.
 */
export async function simulate(
  run: Run,
  options: { readonly keepTrace: boolean } = { keepTrace: false },
): Promise<Report> {
  const world = new World(run.seed, options);
  let cluster: Cluster | undefined;
  let violation: Violation | undefined;
  const failed = (error: unknown): void => world.failed(error);
  process.on('unhandledRejection', failed);
  try {
    cluster = new Cluster(world, run.swarm);
    await carryOut(cluster, run);
    await finish(cluster);
  } catch (error) {
    violation = toViolation(error);
  } finally {
    process.off('unhandledRejection', failed);
  }
  const statistics = cluster?.statistics ?? new Statistics();
  statistics.leaderChanges = Math.max(0, statistics.elections - (cluster?.groups.length ?? 0));
  return {
    violation,
    traceHash: world.trace.hash(),
    occurrences: world.occurred,
    virtualMs: world.nowMs,
    statistics,
    trace: world.trace.lines(),
  };
}

async function carryOut(cluster: Cluster, { swarm, plan }: Run): Promise<void> {
  await cluster.advance(WARM_UP_MS);
  for (const action of plan) {
    if (swarm.muted.includes(action.do)) continue;
    const kind = kindOf(action);
    if (kind.needsLeaders) await leadersOf(cluster);
    await kind.perform(cluster, action);
  }
}

/** A patient plan gives every group the time to have a leader that serves. */
async function leadersOf(cluster: Cluster): Promise<void> {
  const untilMs = cluster.world.nowMs + (cluster.swarm.patienceMs ?? 0);
  while (cluster.world.nowMs < untilMs && !cluster.isServed) await cluster.advance(PATIENCE_STEP_MS);
}

async function finish(cluster: Cluster): Promise<void> {
  cluster.calmDown();
  const { world } = cluster;
  const deadlineMs = world.nowMs + LIVENESS_BUDGET_MS;
  for (let pending = cluster.pending(); pending !== undefined; pending = cluster.pending()) {
    if (world.nowMs > deadlineMs) throw new Violation('liveness', pending);
    await cluster.advance(LIVENESS_STEP_MS);
  }
  for (const checker of cluster.checkers) checker.atEnd();
}

/** Assertions in the code are witnesses like the checkers; any other error is a fault of the code under test, too. */
function toViolation(error: unknown): Violation {
  if (error instanceof Violation) return error;
  if (!(error instanceof Error)) return new Violation('unknown', String(error));
  const violation = new Violation(error.name, error.message);
  if (error.stack !== undefined) violation.stack = error.stack;
  return violation;
}
