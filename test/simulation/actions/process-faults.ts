import fc from 'fast-check';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });
const downMs = fc.constantFrom(0, 50, 300, 1_000, 4_000);
/** A blackout is a loss of power, too. */
const loss = fc.constantFrom('process' as const, 'process' as const, 'power' as const);

/** Most losses need a write under way: `when` waits for one, or for a vote or an append response that leaves the node. */
export const crash = defineAction({
  name: 'crash',
  weight: 6,
  arguments: fc.record({ node, loss, downMs, when: fc.constantFrom('now', 'write', 'release') }),
  perform: (cluster, { node, loss, downMs, when }) => {
    const target = cluster.liveNode(node);
    if (target === undefined) return;
    if (when === 'now') cluster.crash(target, loss, downMs);
    else cluster.crashAt(target, when, loss, downMs);
  },
});

/** The leader of a group, wherever it is: the crash that matters most. */
export const crashLeader = defineAction({
  name: 'crash-leader',
  weight: 4,
  needsLeaders: true,
  arguments: fc.record({ group: fc.nat({ max: 3 }), loss, downMs }),
  perform: (cluster, { group, loss, downMs }) => {
    const leader = cluster.leaderOf(cluster.group(group));
    if (leader !== undefined) cluster.crash(leader.node, loss, downMs);
  },
});

/** Whoever wins the next election is gone before the others know: its first entry may be nowhere else (Raft figure 8). */
export const crashNextLeader = defineAction({
  name: 'crash-next-leader',
  weight: 3,
  arguments: fc.record({ loss, downMs }),
  perform: (cluster, { loss, downMs }) => {
    for (const target of cluster.nodes) if (target.isUp) cluster.crashAt(target, 'elected', loss, downMs);
  },
});

/** The whole room loses power. */
export const blackout = defineAction({
  name: 'blackout',
  weight: 1,
  arguments: fc.record({ downMs }),
  perform: (cluster, { downMs }) => {
    for (const target of cluster.nodes) if (target.isUp) cluster.crash(target, 'power', downMs);
  },
});

export const restart = defineAction({
  name: 'restart',
  weight: 2,
  arguments: fc.record({ node }),
  perform: (cluster, { node }) => {
    const down = cluster.nodes.filter(one => !one.isUp);
    if (down.length > 0) cluster.restart(down[node % down.length]!);
  },
});

/** Garbage collection, a busy event loop, a stopped process: no ticks and no messages, while disk and links go on. */
export const pause = defineAction({
  name: 'pause',
  weight: 3,
  arguments: fc.record({ node, ms: fc.constantFrom(30, 400, 1_500, 5_000) }),
  perform: (cluster, { node, ms }) => cluster.liveNode(node)?.pause(ms),
});
