import { describe, expect, it } from 'vitest';
import { hunt } from './canaries/hunt.ts';
import { CANARIES } from './canaries/index.ts';

/** Fixed in a full run, so that a failure can be repeated; `npm run simulate` draws fresh ones. */
const SEED = 20_261_122;

describe('a build that breaks one rule is found by the ordinary simulation', () => {
  it.each(CANARIES)(
    '$name: $breaks',
    canary => {
      const { runs, violation } = hunt(canary, { seed: SEED });
      expect(violation, `seed ${SEED}: nothing was noticed in ${runs} runs`).toBeDefined();
    },
    200_000,
  );
});
