import { expect, it } from 'vitest';
import { staleGenerated } from '../../scripts/verify-generated.ts';

it('src/gen is what proto/ gives', () => {
  expect(staleGenerated()).toEqual([]);
});
