import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Quarry } from '../test/simulation/canaries/canary.ts';
import { hunt } from '../test/simulation/canaries/hunt.ts';
import { CANARIES } from '../test/simulation/canaries/index.ts';

/**
 * How many runs of the ordinary simulation it takes to notice each canary:
 *
 *   npm run canaries -- --tries 5              each from five fresh seeds
 *   npm run canaries -- --only forgotten-vote  names may be given in part
 *   npm run canaries -- --from FILE            other bugs than ours: JSON, each as in test/simulation/canaries/canary.ts
 */
const { values } = parseArgs({
  options: {
    tries: { type: 'string', default: '5' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
    from: { type: 'string' },
  },
});

/** Runs of one try count up from its seed: so far apart that no two tries have one in common. */
const SEEDS_APART = 100_000;

const first = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
const seeds = Array.from({ length: Number(values.tries) }, (_, i) => first + i * SEEDS_APART);
const all = values.from === undefined ? CANARIES : (JSON.parse(readFileSync(values.from, 'utf8')) as readonly Quarry[]);
const canaries = all.filter(({ name }) => name.includes(values.only));
const runsNeeded = new Map<string, number[]>(canaries.map(({ name }) => [name, []]));
const witnesses = new Map<string, Set<string>>(canaries.map(({ name }) => [name, new Set()]));
const escaped: string[] = [];

console.log(`${canaries.length} canaries from seeds ${seeds.join(', ')}`);
await hunt(canaries, seeds, ({ name }, seed, { runs, violation }) => {
  if (violation === undefined) escaped.push(`${name} was not noticed in ${runs} runs from seed ${seed}`);
  else witnesses.get(name)!.add(violation.witness);
  runsNeeded.get(name)!.push(runs);
  console.log(`${name}: ${runs} runs, ${violation?.message ?? 'NOT FOUND'}`);
});

const row = (name: string): object => {
  const runs = runsNeeded.get(name)!.toSorted((a, b) => a - b);
  return {
    min: runs[0],
    median: runs[runs.length >> 1],
    max: runs.at(-1),
    witnesses: [...witnesses.get(name)!].join(', '),
  };
};
console.table(Object.fromEntries(canaries.map(({ name }) => [name, row(name)])));
for (const sentence of escaped) console.log(sentence);
process.exitCode = escaped.length > 0 ? 1 : 0;
