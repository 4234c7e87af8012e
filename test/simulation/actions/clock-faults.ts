import fc from 'fast-check';
import { defineAction } from './action.ts';

/** Somebody sets a wall clock. Monotonic clocks go on as they were. */
export const setClock = defineAction({
  name: 'set-clock',
  weight: 2,
  arguments: fc.record({
    node: fc.nat({ max: 9 }),
    ms: fc.constantFrom(-86_400_000, -4_000, -300, 300, 4_000, 6_000, 86_400_000),
  }),
  perform: ({ nodes }, { node, ms }) => nodes[node % nodes.length]!.clock.jump(ms),
});

/** All wall clocks go forward together, as after a night without power: the one jump that shard time follows at once. */
export const setAllClocks = defineAction({
  name: 'set-all-clocks',
  weight: 1,
  arguments: fc.record({ ms: fc.constantFrom(-10_000, 6_000, 3_600_000) }),
  perform: ({ nodes }, { ms }) => {
    for (const { clock } of nodes) clock.jump(ms);
  },
});
