import fc from 'fast-check';
import { defineAction } from './action.ts';

/** A client connection breaks; the client comes back elsewhere. */
export const disconnectConsumer = defineAction({
  name: 'disconnect-consumer',
  weight: 2,
  arguments: fc.record({ consumer: fc.nat({ max: 9 }) }),
  perform: ({ workload: { consumers } }, { consumer }) => consumers[consumer % consumers.length]!.disconnect(),
});

export const burst = defineAction({
  name: 'burst',
  weight: 2,
  arguments: fc.record({ publisher: fc.nat({ max: 9 }), count: fc.constantFrom(3, 20, 60) }),
  perform: ({ workload: { publishers } }, { publisher, count }) =>
    publishers[publisher % publishers.length]!.burst(count),
});

/** Group 0 takes a node for dead that is not: its clients lose everything they hold (R24). */
export const fenceLiving = defineAction({
  name: 'fence-living',
  weight: 1,
  arguments: fc.record({ node: fc.nat({ max: 9 }) }),
  perform: (cluster, { node }) => {
    const target = cluster.liveNode(node);
    if (target !== undefined) cluster.fenceNode(target);
  },
});
