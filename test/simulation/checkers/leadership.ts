import type { LogIndex, NodeId, Term } from '../../../src/lib/ids.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import type { Membership, RaftMessage } from '../../../src/raft/messages.ts';
import { hasMajorities } from '../majorities.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

interface Reign {
  readonly term: Term;
  /** In ticks of the leader: since when it leads these members. */
  since: number;
  membership: Membership;
  /** Those when the commit index was last looked at. */
  committing: Membership;
  readonly heard: Map<NodeId, number>;
  /** What each replica has acknowledged to this leader. */
  readonly acknowledged: Map<NodeId, LogIndex>;
  commit: LogIndex;
  /** Ticks one after the other in which it took no proposals. */
  refusing: number;
}

interface Read {
  /** What was committed anywhere when it began. */
  readonly committed: LogIndex;
  /** Who has answered a heartbeat since. */
  readonly answered: Set<NodeId>;
}

/** Election timeouts after which a leader without a majority, or with a disk that hangs, must have stepped down. */
const TIMEOUTS_MAX = 2;
const HANGS_MAX = 3;

/**
 * A leader commits what a majority of the voters has acknowledged to it, of both voter sets during a change (Raft 5.3, 6). One that
 * a majority does not answer, or whose own disk hangs, makes room within two or three of its election timeouts (CheckQuorum,
 * thesis 6.2; R10). A transfer that does not come about is given up after one (thesis 3.10). A read that it confirms sees everything
 * that was committed when the read began, for a majority has answered since (Raft 8).
 */
export class LeadershipChecker extends Checker {
  readonly title = 'leadership';
  readonly #reigns = new Map<SimReplica, Reign>();
  /** Writes that are under way, oldest first, with the tick of their beginning. */
  readonly #writes = new Map<SimReplica, Map<GroupWrite, number>>();
  /** By group: the highest index that any replica held for committed. */
  readonly #committed = new Map<number, LogIndex>();
  readonly #reads = new Map<SimReplica, Map<number, Read>>();

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { group, raft } = replica;
      if (raft.commit > (this.#committed.get(group) ?? 0)) this.#committed.set(group, raft.commit);
      if (raft.role === 'leader') this.#checkCommit(replica, this.#reignOf(replica));
    }
  }

  override onDeliver(replica: SimReplica, message: RaftMessage): void {
    const reign = this.#reigns.get(replica);
    if (reign?.term !== message.term) return;
    reign.heard.set(message.from, replica.ticks);
    if (message.type === 'append-response' && message.accepted) {
      const known = reign.acknowledged.get(message.from) ?? 0;
      reign.acknowledged.set(message.from, Math.max(known, message.match));
    } else if (message.type === 'heartbeat-response') {
      for (const { answered } of this.#reads.get(replica)?.values() ?? []) answered.add(message.from);
    }
  }

  override onWrite(replica: SimReplica, write: GroupWrite): void {
    if (write.base !== undefined) return;
    let writes = this.#writes.get(replica);
    if (writes === undefined) {
      writes = new Map();
      this.#writes.set(replica, writes);
    }
    writes.set(write, replica.ticks);
  }

  override onDurable(replica: SimReplica, write: GroupWrite): void {
    this.#writes.get(replica)?.delete(write);
  }

  override onTick(replica: SimReplica): void {
    const { raft, ticks } = replica;
    if (raft.role !== 'leader') {
      this.#reigns.delete(replica);
      return;
    }
    const reign = this.#reignOf(replica);
    if (reign.membership !== raft.membership) {
      reign.membership = raft.membership;
      reign.since = ticks;
    }
    this.#checkQuorum(replica, reign);
    this.#checkDisk(replica, reign);
    this.#checkTransfer(replica, reign);
  }

  override onReadBegun(replica: SimReplica, read: number): void {
    let reads = this.#reads.get(replica);
    if (reads === undefined) {
      reads = new Map();
      this.#reads.set(replica, reads);
    }
    reads.set(read, { committed: this.#committed.get(replica.group) ?? 0, answered: new Set([replica.node.id]) });
  }

  override onReadConfirmed(replica: SimReplica, read: number): void {
    const reads = this.#reads.get(replica);
    const begun = reads?.get(read);
    if (begun === undefined) this.fail(`node ${replica.node.id} confirms a read that nobody asked for`);
    reads!.delete(read);
    const { raft, node, group } = replica;
    const name = `node ${node.id} confirms a read of group ${group} at ${raft.commit}`;
    if (raft.commit < begun.committed) this.fail(`${name}; when it began ${begun.committed} was committed`);
    if (!hasMajorities(raft.membership, voter => begun.answered.has(voter)))
      this.fail(`${name}; since it began only [${[...begun.answered].join()}] have answered`);
  }

  #reignOf(replica: SimReplica): Reign {
    const { raft, ticks } = replica;
    let reign = this.#reigns.get(replica);
    if (reign?.term !== raft.term) {
      const { term, membership, commit } = raft;
      reign = {
        term,
        since: ticks,
        membership,
        committing: membership,
        heard: new Map(),
        acknowledged: new Map(),
        commit,
        refusing: 0,
      };
      this.#reigns.set(replica, reign);
    }
    return reign;
  }

  /** By the members of when it was last looked at, or of now: both voter sets, and nobody else. */
  #checkCommit({ raft, node, group }: SimReplica, reign: Reign): void {
    const { commit, membership } = raft;
    const before = reign.committing;
    reign.committing = membership;
    if (commit <= reign.commit) return;
    reign.commit = commit;
    const has = (voter: NodeId): boolean =>
      voter === node.id ? raft.durable >= commit : (reign.acknowledged.get(voter) ?? 0) >= commit;
    if (hasMajorities(before, has) || hasMajorities(membership, has)) return;
    const having = [...reign.acknowledged.keys()].filter(has);
    this.fail(
      `node ${node.id} commits ${commit} of group ${group} in term ${raft.term}, which [${having.join()}] have acknowledged; voters ` +
        `are [${membership.voters.join()}] and, for now, [${membership.outgoing.join()}]`,
    );
  }

  #checkQuorum({ raft, node, group, ticks }: SimReplica, { since, heard }: Reign): void {
    const max = TIMEOUTS_MAX * this.cluster.swarm.electionTicks;
    const { membership } = raft;
    const from = ticks - max;
    if (since > from) return;
    const isHeard = (voter: NodeId): boolean => voter === node.id || (heard.get(voter) ?? since) >= from;
    if (hasMajorities(membership, isHeard)) return;
    this.fail(
      `node ${node.id} leads group ${group} in term ${raft.term}, though for ${max} ticks it heard only ` +
        `[${[...heard.keys()].filter(isHeard).join()}] of the voters [${membership.voters.join()}] and [${membership.outgoing.join()}]`,
    );
  }

  #checkTransfer({ raft, node, group }: SimReplica, reign: Reign): void {
    reign.refusing = raft.acceptsProposals ? 0 : reign.refusing + 1;
    if (reign.refusing <= this.cluster.swarm.electionTicks) return;
    this.fail(`node ${node.id} leads group ${group} and has taken no proposals for ${reign.refusing} ticks`);
  }

  #checkDisk(replica: SimReplica, { since }: Reign): void {
    const { raft, node, group, ticks } = replica;
    const { voters, outgoing } = raft.membership;
    if ([...voters, ...outgoing].every(voter => voter === node.id)) return;
    const [oldest] = this.#writes.get(replica)?.values() ?? [];
    const max = HANGS_MAX * this.cluster.swarm.electionTicks;
    if (oldest === undefined || ticks - Math.max(oldest, since) <= max) return;
    this.fail(`node ${node.id} leads group ${group} in term ${raft.term}; its disk has not answered for ${max} ticks`);
  }
}
