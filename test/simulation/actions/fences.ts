import fc from 'fast-check';
import { defineAction } from './action.ts';

/** A shard's leader fences once more who is fenced already: it had not heard of it, or had forgotten. */
export const repeatFence = defineAction({
  name: 'repeat-fence',
  weight: 3,
  arguments: fc.record({ group: fc.nat({ max: 3 }), node: fc.nat({ max: 9 }), back: fc.nat({ max: 2 }) }),
  perform: (cluster, { group, node, back }) => {
    const fenced = cluster.fences().filter(fence => fence.through > 0);
    const fence = fenced[node % fenced.length];
    if (fence === undefined) return;
    const through = Math.max(1, fence.through - back);
    cluster.fencing.repeat(cluster.group(group), { node: fence.node, through });
  },
});
