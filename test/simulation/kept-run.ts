import fc from 'fast-check';
import type { Action } from './actions/action.ts';
import { ACTION_KINDS } from './actions/index.ts';
import { MUTABLE_KINDS } from './plan.ts';
import { QUIET_SWARM } from './quiet-swarm.ts';
import type { Run } from './simulate.ts';
import { type Swarm, swarmArb } from './swarm.ts';

/** A run as a file: what `npm run simulate` writes after a failure, and what `regressions/` is made of. */
export interface KeptRun extends Run {
  /** The bug that this run found. */
  readonly what: string;
  /** The commit that had it. */
  readonly commit: string;
}

type Json = null | boolean | number | string | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** Draws of which the kinds of values are learned that a field may have. */
const SAMPLES = 200;
/** By the type of an argument; a word has to be named by the kind of action (`absent`). */
const ABSENT: Readonly<Record<string, number | boolean>> = { number: 0, boolean: false };

/**
 * Reads a kept run. Fields that came after the file was written mean that their fault is absent (`QUIET_SWARM`); an action's
 * argument that the file lacks is what its kind says (`absent`), or 0 or false. Whatever the present swarm and plan do not know is an error that names it.
 */
export function readKeptRun(file: string, text: string): KeptRun {
  const fail = (message: string): never => {
    throw new Error(`${file} does not fit the present simulator: ${message}`);
  };
  const kept = JSON.parse(text) as JsonObject;
  for (const key of Object.keys(kept)) {
    if (!['what', 'commit', 'swarm', 'plan', 'seed'].includes(key)) fail(`a kept run has no ${key}`);
  }
  const { what, commit, swarm, plan, seed } = kept;
  if (typeof what !== 'string' || what === '') return fail('what: which bug did it find?');
  if (typeof commit !== 'string') return fail('commit: a text is wanted');
  if (typeof seed !== 'number') return fail('seed: a number is wanted');
  if (!isObject(swarm)) return fail('swarm: an object is wanted');
  if (!Array.isArray(plan)) return fail('plan: a list of actions is wanted');
  return {
    what,
    commit,
    seed,
    swarm: fill('swarm', swarm, QUIET_SWARM as unknown as JsonObject, kindsOfSwarm(), fail) as unknown as Swarm,
    plan: plan.map((action: Json, at) => readAction(`plan[${at}]`, action, fail)),
  };
}

type Fail = (message: string) => never;

function fill(path: string, given: JsonObject, quiet: JsonObject, kinds: Kinds, fail: Fail): JsonObject {
  for (const key of Object.keys(given)) if (!(key in quiet)) fail(`there is no ${path}.${key} any more`);
  const filled: Record<string, Json | undefined> = {};
  for (const [key, usual] of Object.entries(quiet)) {
    const field = `${path}.${key}`;
    const value = given[key];
    if (value === undefined) {
      if (usual !== undefined) filled[key] = usual;
      continue;
    }
    const allowed = kinds.get(field);
    if (allowed !== undefined && !allowed.has(kindOfValue(value))) {
      fail(`${field} is ${kindOfValue(value)}, wanted is ${[...allowed].sort().join(' or ')}`);
    }
    filled[key] = isObject(value) && isObject(usual) ? fill(field, value, usual, kinds, fail) : value;
  }
  return filled;
}

function readAction(path: string, action: Json, fail: Fail): Action {
  if (!isObject(action) || typeof action.do !== 'string') return fail(`${path} is not an action`);
  const kind = ACTION_KINDS.find(one => one.name === action.do);
  if (kind === undefined) return fail(`${path}: no action is called ${action.do} any more`);
  const known = fc.sample(kind.actions, { seed: 1, numRuns: 1 })[0]!;
  for (const key of Object.keys(action)) if (!(key in known)) fail(`${path}: ${kind.name} has no ${key} any more`);
  const filled: Record<string, string | number | boolean> = { do: kind.name };
  for (const [key, sample] of Object.entries(known)) {
    if (key === 'do') continue;
    const value = action[key] ?? kind.absent[key] ?? ABSENT[typeof sample];
    if (typeof value !== typeof sample) fail(`${path}: ${key} of ${kind.name} is ${kindOfValue(value)}`);
    filled[key] = value as string | number | boolean;
  }
  return filled as unknown as Action;
}

type Kinds = ReadonlyMap<string, ReadonlySet<string>>;
let learned: Kinds | undefined;

/** By path: the kinds of values with which a field was drawn. */
function kindsOfSwarm(): Kinds {
  if (learned !== undefined) return learned;
  const kinds = new Map<string, Set<string>>();
  const look = (path: string, value: JsonObject): void => {
    for (const [key, inner] of Object.entries(value)) {
      if (inner === undefined) continue;
      const field = `${path}.${key}`;
      kinds.set(field, (kinds.get(field) ?? new Set()).add(kindOfValue(inner)));
      if (isObject(inner)) look(field, inner);
    }
  };
  look('swarm', QUIET_SWARM as unknown as JsonObject);
  for (const swarm of fc.sample(swarmArb(MUTABLE_KINDS), { seed: 1, numRuns: SAMPLES })) {
    look('swarm', swarm as unknown as JsonObject);
  }
  learned = kinds;
  return kinds;
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const kindOfValue = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'a list' : value === undefined ? 'missing' : `a ${typeof value}`;
