import fc from 'fast-check';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });
const downMs = fc.constantFrom(0, 200, 2_000);

/** The next sync fails: the node must stop, what it wrote may be there or not (R18). */
export const failSync = defineAction({
  name: 'fail-sync',
  weight: 8,
  arguments: fc.record({ node, downMs: fc.constantFrom(200, 2_000) }),
  perform: (cluster, { node, downMs }) => cluster.liveHolder(node)?.disk.failNextSync(downMs),
});

/** The disk answers nothing for a while; heartbeats go on. */
export const hangDisk = defineAction({
  name: 'hang-disk',
  weight: 1,
  arguments: fc.record({ node, ms: fc.constantFrom(100, 1_000, 4_000) }),
  perform: (cluster, { node, ms }) => cluster.liveHolder(node)?.disk.hang(ms),
});

/** For a while no file grows (R18). */
export const fillDisk = defineAction({
  name: 'fill-disk',
  weight: 1,
  arguments: fc.record({ node, ms: fc.constantFrom(100, 1_000, 4_000) }),
  perform: (cluster, { node, ms }) => cluster.liveHolder(node)?.disk.fill(ms),
});

/** The disk loses what it had synced; the process finds out when it reads it, or when it starts the next time (R16). */
export const damageDisk = defineAction({
  name: 'damage-disk',
  weight: 16,
  arguments: fc.record({
    node,
    what: fc.constantFrom('record', 'value', 'batch'),
    crash: fc.constantFrom('none', 'process', 'power', 'blackout'),
    downMs,
  }),
  perform: (cluster, { node, what, crash, downMs }) => cluster.damage(node, what, crash, downMs),
});
