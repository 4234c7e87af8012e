import fc from 'fast-check';
import { defineAction } from './action.ts';

export const advance = defineAction({
  name: 'advance',
  weight: 48,
  mutable: false,
  arguments: fc.record({ ms: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 100, max: 1_200 })) }),
  perform: (cluster, { ms }) => cluster.advance(ms),
});
