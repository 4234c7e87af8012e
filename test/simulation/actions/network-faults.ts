import fc from 'fast-check';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });

/** `side` is a bit set: nodes inside cannot talk to nodes outside; `one-way`: only what leaves the side is lost. */
export const partition = defineAction({
  name: 'partition',
  weight: 4,
  arguments: fc.record({
    side: fc.integer({ min: 1, max: 30 }),
    oneWay: fc.boolean(),
    ms: fc.constantFrom(300, 1_500, 5_000),
  }),
  perform: (cluster, { side, oneWay, ms }) => cluster.partition(side, { oneWay, durationMs: ms }),
});

export const heal = defineAction({
  name: 'heal',
  weight: 2,
  arguments: fc.constant({}),
  perform: cluster => cluster.network.heal(),
});

/** Nothing arrives on a link for a while, then everything does. */
export const clog = defineAction({
  name: 'clog',
  weight: 2,
  arguments: fc.record({ from: node, to: node, ms: fc.constantFrom(100, 1_000, 4_000) }),
  perform: (cluster, { from, to, ms }) => {
    const { nodes } = cluster;
    const [source, target] = [nodes[from % nodes.length]!, nodes[to % nodes.length]!];
    if (source !== target) cluster.network.clog(source.id, target.id, ms);
  },
});
