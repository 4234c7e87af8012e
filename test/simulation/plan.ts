import fc from 'fast-check';
import { assert } from '../../src/lib/assert.ts';
import type { Action, ActionKind } from './actions/action.ts';
import { ACTION_KINDS } from './actions/index.ts';

/** What will be done to the cluster, in order. */
export type Plan = readonly Action[];

const ACTIONS_MAX = 120;

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

export const planArb: fc.Arbitrary<Plan> = fc.array(actionArb, { minLength: 1, maxLength: ACTIONS_MAX, size: 'max' });

/** One line per action, for people. */
export const describePlan = (plan: Plan): string =>
  plan
    .map(({ do: name, ...args }) => [name, ...Object.entries(args).map(([key, value]) => `${key}=${value}`)].join(' '))
    .join('\n');
