import fc from 'fast-check';
import type { Cluster } from '../cluster.ts';
import type { SimNode } from '../sim-node.ts';
import { defineAction } from './action.ts';

/** More directories than this are not lost in one run: each brings another node. */
const NODES_MAX = 9;
/** Replicas of a group. */
const REPLICAS_MAX = 5;

const node = fc.nat({ max: 9 });
const group = fc.nat({ max: 3 });

export const addReplica = defineAction({
  name: 'add-replica',
  weight: 3,
  needsLeaders: true,
  arguments: fc.record({ group, node }),
  perform: (cluster, { group, node }) => {
    const target = cluster.group(group);
    const fresh = pick(others(cluster, group), node);
    if (fresh !== undefined && cluster.placement.wantedOf(target).length < REPLICAS_MAX)
      cluster.placement.add(target, fresh);
  },
});

/** Also the leader, which then removes itself. `leader`: certainly it. */
export const removeReplica = defineAction({
  name: 'remove-replica',
  weight: 2,
  needsLeaders: true,
  arguments: fc.record({ group, node, leader: fc.boolean() }),
  perform: (cluster, { group, node, leader }) => {
    const { placement } = cluster;
    const voters = placement.wantedOf(cluster.group(group));
    const old = pickOld(cluster, group, node, leader);
    if (old !== undefined && voters.length > 1) placement.remove(cluster.group(group), old);
  },
});

export const replaceReplica = defineAction({
  name: 'replace-replica',
  weight: 6,
  needsLeaders: true,
  arguments: fc.record({ group, node, leader: fc.boolean(), by: node }),
  perform: (cluster, { group, node, leader, by }) => {
    const old = pickOld(cluster, group, node, leader);
    const fresh = pick(others(cluster, group), by);
    if (old !== undefined && fresh !== undefined) cluster.placement.replace(cluster.group(group), old, fresh);
  },
});

/** A node that is no member of a group any more learns that it may close its replica. */
export const letGo = defineAction({
  name: 'let-go',
  weight: 1,
  arguments: fc.record({ group, node }),
  perform: (cluster, { group, node }) => {
    const target = pick(others(cluster, group), node);
    if (target !== undefined && !cluster.placement.isMember(cluster.group(group), target.id))
      target.letGo(cluster.group(group));
  },
});

/** The machine comes back with an empty disk, as a new participant that replaces the old one (R9). */
export const wipe = defineAction({
  name: 'wipe',
  weight: 2,
  arguments: fc.record({ node, downMs: fc.constantFrom(0, 500, 4_000) }),
  perform: (cluster, { node, downMs }) => {
    const target = pick(
      cluster.nodes.filter(one => !one.isGone),
      node,
    );
    if (target !== undefined && cluster.nodes.length < NODES_MAX) cluster.wipe(target, downMs);
  },
});

/** Nodes that the group is not to have among its voters. */
function others(cluster: Cluster, group: number): SimNode[] {
  const voters = cluster.placement.wantedOf(cluster.group(group));
  return cluster.nodes.filter(node => !node.isGone && !voters.includes(node.id));
}

function pickOld(cluster: Cluster, group: number, number: number, leader: boolean): SimNode | undefined {
  const found = leader ? cluster.leaderOf(cluster.group(group))?.node : undefined;
  const voters = cluster.placement.wantedOf(cluster.group(group));
  return (
    found ??
    pick(
      voters.map(voter => cluster.node(voter)),
      number,
    )
  );
}

const pick = (nodes: readonly SimNode[], number: number): SimNode | undefined => nodes[number % nodes.length];
