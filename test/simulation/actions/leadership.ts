import fc from 'fast-check';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });
const group = fc.nat({ max: 3 });

/** To another voter. */
export const transfer = defineAction({
  name: 'transfer',
  weight: 4,
  needsLeaders: true,
  arguments: fc.record({ group, node }),
  perform: (cluster, { group, node }) => {
    const leader = cluster.leaderOf(cluster.group(group));
    const others = leader?.raft.membership.voters.filter(voter => voter !== leader.node.id) ?? [];
    if (others.length > 0) leader?.transferTo(others[node % others.length]!);
  },
});

/** A node believes that another one's process is gone, rightly or not. */
export const hint = defineAction({
  name: 'hint-gone',
  weight: 6,
  arguments: fc.record({ node, peer: node }),
  perform: (cluster, { node, peer }) => {
    const target = cluster.liveNode(node);
    const peers = cluster.nodes.filter(one => one !== target);
    const gone = peers[peer % peers.length];
    if (target === undefined || gone === undefined) return;
    if (gone.isUp) cluster.statistics.falseHints++;
    target.peerGone(gone.id);
  },
});

/** A checkpoint and the reclaiming that follows from it, before its time. */
export const checkpoint = defineAction({
  name: 'checkpoint',
  weight: 2,
  arguments: fc.record({ node }),
  perform: (cluster, { node }) => cluster.liveNode(node)?.checkpointNow(),
});
