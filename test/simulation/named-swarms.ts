import { assert } from '../../src/lib/assert.ts';
import type { Swarm } from './swarm.ts';

/** Changes to a drawn swarm that a whole series of runs has in common. */
const NAMED: Readonly<Record<string, (drawn: Swarm) => Swarm>> = {
  /** Every fault in every run. */
  harsh: drawn => ({
    ...drawn,
    network: { ...drawn.network, loss: 0.05, duplicate: 0.05, reorder: 0.2, slow: 0.02, breaks: 0.005 },
    disk: { ...drawn.disk, slowSync: 0.01 },
    clockSkew: 0.2,
    muted: [],
  }),
  /** No faults but those of the plan: the machine and its clients at work. */
  gentle: ({ network, disk, clockSkew: _, ...drawn }) => ({
    ...drawn,
    network: { delayMs: network.delayMs },
    disk: { syncMs: disk.syncMs, readMs: disk.readMs },
  }),
  /** Leaders die young, connections are bad: many terms, many entries that are replaced (Raft figure 8). */
  'short-reigns': drawn => ({
    ...drawn,
    electionTicks: 4,
    leaderLifeMs: { min: 0, max: 300 },
    network: { ...drawn.network, loss: 0.2 },
    limits: { ...drawn.limits, appendBytesMax: 1 },
  }),
  /** Segments, checkpoints and caches as small as they get: reclaiming and snapshots all the time. */
  small: drawn => ({
    ...drawn,
    limits: { ...drawn.limits, segmentBytes: 8_192, checkpointEntries: 10, trailingEntries: 2, cachedBytesMax: 512 },
  }),
};

export function namedSwarm(name: string, drawn: Swarm): Swarm {
  const change = NAMED[name];
  assert(change !== undefined, () => `no swarm is called ${name}; there are ${Object.keys(NAMED).join(', ')}`);
  return change(drawn);
}
