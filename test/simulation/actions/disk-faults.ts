import fc from 'fast-check';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });

/** The next sync fails: the node must stop, what it wrote may be there or not (R18). */
export const failSync = defineAction({
  name: 'fail-sync',
  weight: 1,
  arguments: fc.record({ node, downMs: fc.constantFrom(200, 2_000) }),
  perform: (cluster, { node, downMs }) => cluster.liveNode(node)?.disk.failNextSync(downMs),
});

/** The disk answers nothing for a while; heartbeats go on. */
export const hangDisk = defineAction({
  name: 'hang-disk',
  weight: 1,
  arguments: fc.record({ node, ms: fc.constantFrom(100, 1_000, 4_000) }),
  perform: (cluster, { node, ms }) => cluster.liveNode(node)?.disk.hang(ms),
});
