import type { Plan } from './plan.ts';
import { QUIET_SWARM } from './quiet-swarm.ts';
import type { Run } from './simulate.ts';
import type { Swarm } from './swarm.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The smallest run found that still `fails`: actions are left out in ever smaller pieces, faults of the swarm are taken away one by
 * one. The world's seed stays: another seed is another run. Ends early when `isOver`, with the best so far.
 */
export async function shrink(run: Run, fails: (run: Run) => Promise<boolean>, isOver: () => boolean): Promise<Run> {
  let smallest = run;
  for (;;) {
    const { plan, swarm } = smallest;
    smallest = {
      ...smallest,
      plan: await withoutActions(plan, shorter => fails({ ...smallest, plan: shorter }), isOver),
    };
    smallest = { ...smallest, swarm: await quietened(swarm, calmer => fails({ ...smallest, swarm: calmer }), isOver) };
    if (isOver() || (smallest.plan.length === plan.length && smallest.swarm === swarm)) return smallest;
  }
}

async function withoutActions(
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
  isOver: () => boolean,
): Promise<Plan> {
  let shortest = plan;
  for (let size = Math.ceil(plan.length / 2); size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = shortest.length; end > 0 && !isOver(); end -= size) {
      const shorter = [...shortest.slice(0, Math.max(0, end - size)), ...shortest.slice(end)];
      if (await fails(shorter)) shortest = shorter;
    }
  }
  return shortest;
}

async function quietened(
  swarm: Swarm,
  fails: (swarm: Swarm) => Promise<boolean>,
  isOver: () => boolean,
): Promise<Swarm> {
  let calmest = swarm;
  for (const path of pathsOf(QUIET_SWARM as unknown as Fields)) {
    const quiet = valueAt(QUIET_SWARM as unknown as Fields, path);
    const present = valueAt(calmest as unknown as Fields, path);
    if (present === undefined || JSON.stringify(present) === JSON.stringify(quiet)) continue;
    const calmer = replaced(calmest as unknown as Fields, path, quiet) as unknown as Swarm;
    if (!isOver() && (await fails(calmer))) calmest = calmer;
  }
  return calmest;
}

/** Whole sections first, then what is in them. */
function pathsOf(fields: Fields, prefix: readonly string[] = []): (readonly string[])[] {
  return Object.entries(fields).flatMap(([key, value]) => {
    const path = [...prefix, key];
    return isFields(value) ? [path, ...pathsOf(value, path)] : [path];
  });
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !('min' in value && 'max' in value);

const valueAt = (fields: Fields, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Fields | undefined)?.[key], fields);

function replaced(fields: Fields, [key, ...rest]: readonly string[], value: unknown): Fields {
  if (key === undefined) return fields;
  return { ...fields, [key]: rest.length === 0 ? value : replaced(fields[key] as Fields, rest, value) };
}
