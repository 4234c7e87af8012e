import type { GroupId, NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import { membersOf, NO_MEMBERS } from '../../src/raft/membership.ts';
import type { Membership } from '../../src/raft/messages.ts';
import type { Cluster } from './cluster.ts';
import { hasMajorities } from './majorities.ts';
import type { SimNode } from './sim-node.ts';
import type { SimReplica } from './sim-replica.ts';

/** So far behind a learner may be when it becomes a voter. */
const LAG_ENTRIES_MAX = 5;
/** A leader is not always patient: now and then it promotes a learner that has nothing yet. */
const IMPATIENCE = 0.05;
/** After so long the replacement of a lost directory begins. */
const REPLACE_AFTER_MS = { min: 50, max: 1_500 };

/**
 * What group 0 decides about who holds which group, and how leaders carry it out: new members are learners first, then the voters
 * change by joint consensus (R9). A node never gets an id twice: one that lost its directory comes back as another node, which
 * takes the place of the old one.
 */
export class SimPlacement {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #first: Membership;
  /** The voters that each group is to have. */
  readonly #wanted = new Map<GroupId, readonly NodeId[]>();
  /** Groups whose change nobody is left to carry out. */
  readonly #givenUp = new Set<GroupId>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#random = cluster.world.random('placement');
    const voters = cluster.nodes.slice(0, cluster.swarm.nodes).map(node => node.id);
    this.#first = { voters, outgoing: [], learners: [] };
  }

  /** Who holds all groups when the cluster is formed. */
  isFounder(node: NodeId): boolean {
    return this.#first.voters.includes(node);
  }

  /** What a replica knows about its group that has nothing on its disk. */
  membershipAtStart(node: NodeId): Membership {
    return this.isFounder(node) ? this.#first : NO_MEMBERS;
  }

  /** Whether the node takes part in a membership that is, or may become, the one in force. */
  isMember(group: GroupId, node: NodeId): boolean {
    return (
      this.wantedOf(group).includes(node) ||
      this.membershipsInForce(group).some(membership => membersOf(membership).includes(node))
    );
  }

  /** Whether nobody else takes part in any membership that is, or may become, the one in force. */
  isHeldByOnly(group: GroupId, node: NodeId): boolean {
    return this.membershipsInForce(group).every(membership => membersOf(membership).every(member => member === node));
  }

  wantedOf(group: GroupId): readonly NodeId[] {
    return this.#wanted.get(group) ?? this.#first.voters;
  }

  add(group: GroupId, node: SimNode): void {
    const voters = this.wantedOf(group);
    if (!node.isGone && !voters.includes(node.id)) this.#want(group, [...voters, node.id]);
  }

  /** One voter always stays. */
  remove(group: GroupId, node: SimNode): void {
    const voters = this.wantedOf(group).filter(voter => voter !== node.id);
    if (voters.length > 0) this.#want(group, voters);
  }

  replace(group: GroupId, old: SimNode, fresh: SimNode): void {
    const voters = this.wantedOf(group);
    if (fresh.isGone || !voters.includes(old.id) || voters.includes(fresh.id)) return;
    this.#want(group, [...voters.filter(voter => voter !== old.id), fresh.id]);
  }

  /** Another directory under the same name: it takes the place of the lost one in every group. */
  replaceEverywhere(old: SimNode, fresh: SimNode): void {
    const { min, max } = REPLACE_AFTER_MS;
    this.#cluster.world.after(min + (max - min) * this.#random.next(), () => {
      for (const group of this.#cluster.groups) this.replace(group, old, fresh);
    });
  }

  /** A leader looks whether its group is what it is to be. The core refuses what it cannot begin now. */
  review(leader: SimReplica): void {
    const { raft, group } = leader;
    if (this.#givenUp.has(group)) return;
    const voters = this.wantedOf(group);
    const { voters: current, learners } = raft.membership;
    if (sameIds(voters, current) && learners.length === 0) return;
    const newcomers = voters.filter(voter => !current.includes(voter));
    const isReady =
      newcomers.every(voter => learners.includes(voter)) &&
      (this.#random.next() < IMPATIENCE || newcomers.every(voter => hasCaughtUp(leader, voter)));
    for (const voter of newcomers) this.#cluster.node(voter).hold(group);
    const target: Membership = isReady
      ? { voters, outgoing: [], learners: [] }
      : { voters: current, outgoing: [], learners: newcomers };
    if (leader.proposeMembership(target)) this.#cluster.statistics.membershipChanges++;
  }

  /**
   * Whether every group keeps its majorities on the disks that are left if this node's is lost: in what is committed, and in
   * whatever change may yet come to be.
   */
  mayLose(node: SimNode): boolean {
    const isLeft = (id: NodeId): boolean => id !== node.id && !this.#cluster.node(id).hasLostData;
    return this.#cluster.groups.every(group => this.hasMajorities(group, isLeft));
  }

  /** Whether these nodes are a majority of every membership that is, or may become, the one in force. */
  hasMajorities(group: GroupId, isThere: (node: NodeId) => boolean): boolean {
    return (
      this.membershipsInForce(group).every(membership => hasMajorities(membership, isThere)) &&
      hasMajorities({ voters: this.wantedOf(group), outgoing: [], learners: [] }, isThere)
    );
  }

  /** The latest that is committed, and all behind it in any log, also of nodes that are down. */
  membershipsInForce(group: GroupId): Membership[] {
    const logs = this.#cluster.nodes.flatMap(node => node.membershipsOf(group) ?? []);
    let committed = 0;
    for (const { commit, changes } of logs) {
      for (const { index } of changes) if (index <= commit && index > committed) committed = index;
    }
    const inForce = logs.flatMap(({ changes }) => changes.filter(({ index }) => index >= committed));
    return inForce.length === 0 ? [this.#first] : inForce.map(({ membership }) => membership);
  }

  /** Changes that nobody is left to carry out are given up. */
  calmDown(): void {
    for (const group of this.#cluster.groups) {
      if (this.wantedOf(group).some(voter => this.#cluster.node(voter).isGone)) this.#givenUp.add(group);
    }
  }

  pending(): string | undefined {
    for (const group of this.#cluster.groups) {
      const membership = this.#cluster.leaderOf(group)?.raft.membership;
      if (membership === undefined) continue;
      if (membership.outgoing.length > 0) return `the membership of group ${group} is joint`;
      if (!this.#givenUp.has(group) && !sameIds(membership.voters, this.wantedOf(group)))
        return `group ${group} has the voters [${membership.voters.join()}], wanted are [${this.wantedOf(group).join()}]`;
    }
    return undefined;
  }

  /** Nobody asks for members of whom a majority is lost already. */
  #want(group: GroupId, voters: readonly NodeId[]): void {
    const isLeft = (id: NodeId): boolean => !this.#cluster.node(id).hasLostData;
    if (!hasMajorities({ voters, outgoing: [], learners: [] }, isLeft)) return;
    const sorted = [...voters].sort((a, b) => a - b);
    this.#cluster.world.log('g{} is to have the voters {}', group, sorted.join());
    this.#wanted.set(group, sorted);
  }
}

function hasCaughtUp({ raft }: SimReplica, learner: NodeId): boolean {
  const progress = raft.status().peers.find(({ peer }) => peer === learner);
  return progress !== undefined && raft.lastId.index - progress.match <= LAG_ENTRIES_MAX;
}

const sameIds = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every((id, at) => id === b[at]);
