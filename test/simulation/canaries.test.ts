import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Catch, hunt } from './canaries/hunt.ts';
import { CANARIES } from './canaries/index.ts';

/** Fixed in a full run, so that a failure can be repeated; `npm run canaries` draws fresh ones. */
const SEED = 620_400_000;
const HUNT_MS_MAX = 600_000;

it('each canary finds what it breaks in its file, once', () => {
  const patches = CANARIES.flatMap(canary => [canary, ...(canary.also ?? [])]);
  const wrong = patches.filter(({ file, find }) => readFileSync(file, 'utf8').split(find).length !== 2);
  expect(wrong).toEqual([]);
});

describe('a build that breaks one rule is found by the ordinary simulation', () => {
  const catches = new Map<string, Catch>();

  beforeAll(async () => {
    await hunt(CANARIES, [SEED], ({ name }, _, found) => catches.set(name, found));
  }, HUNT_MS_MAX);

  it.each(CANARIES)('$name: $breaks', ({ name }) => {
    const { runs, violation } = catches.get(name)!;
    expect(violation, `seed ${SEED}: nothing was noticed in ${runs} runs`).toBeDefined();
  });
});
