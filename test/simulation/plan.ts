import fc from 'fast-check';
import { assert } from '../../src/lib/assert.ts';
import type { Action, ActionKind } from './actions/action.ts';
import { ACTION_KINDS } from './actions/index.ts';

/** What will be done to the cluster, in order. */
export type Plan = readonly Action[];

const ACTIONS_MAX = 16;
const ONE_IN_SO_MANY_ABSENT = 6;
const SHOWS_MS_MAX = 250;

const byName = new Map(ACTION_KINDS.map(kind => [kind.name, kind]));

export function kindOf(action: Action): ActionKind {
  const kind = byName.get(action.do);
  assert(kind !== undefined, () => `no action is called ${action.do}`);
  return kind;
}

/** Kinds that a swarm may switch off. */
export const MUTABLE_KINDS: readonly string[] = ACTION_KINDS.filter(kind => kind.mutable).map(kind => kind.name);

const actionArb: fc.Arbitrary<Action> = fc.oneof(
  ...ACTION_KINDS.map(kind => ({ weight: kind.weight, arbitrary: kind.actions })),
);

/** One action of nearly every kind, the place of each, and the time in which it may show. */
const seasoningArb = fc.tuple(
  ...ACTION_KINDS.filter(kind => kind.mutable).map(kind =>
    fc.option(
      fc.record({
        place: fc.nat({ max: ACTIONS_MAX }),
        action: kind.actions,
        ms: fc.integer({ min: 1, max: SHOWS_MS_MAX }),
      }),
      {
        nil: undefined,
        freq: ONE_IN_SO_MANY_ABSENT,
      },
    ),
  ),
);

/** Actions as their weights have it, and nearly every kind once more: no fault is rare, and most runs know most of them. */
export const planArb: fc.Arbitrary<Plan> = fc
  .tuple(fc.array(actionArb, { minLength: 1, maxLength: ACTIONS_MAX, size: 'max' }), seasoningArb)
  .map(([actions, seasoning]) => {
    const plan = [...actions];
    for (const one of seasoning) {
      if (one === undefined) continue;
      plan.splice(one.place % (plan.length + 1), 0, one.action, { do: 'advance', ms: one.ms });
    }
    return plan;
  });

/** One line per action, for people. */
export const describePlan = (plan: Plan): string =>
  plan
    .map(({ do: name, ...args }) => [name, ...Object.entries(args).map(([key, value]) => `${key}=${value}`)].join(' '))
    .join('\n');
