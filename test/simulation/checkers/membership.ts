import type { GroupId, LogIndex, NodeId, Term } from '../../../src/lib/ids.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import { decodeMembership, sameMembership } from '../../../src/raft/membership.ts';
import { type EntryId, EntryKind, type Membership, type RaftMessage } from '../../../src/raft/messages.ts';
import { canBeDisjoint, hasMajorities } from '../majorities.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * A leader has the votes of a majority of the voters, of both voter sets while a change is under way; its own counts when it is
 * durable, and nobody else's does. It leads no longer than it is a voter. In force is the latest change in the log; no membership can have a majority that shares nobody with one of the membership before it; a change begins when the one before it
 * is committed, by a leader that knows what is (Raft 6, thesis 4).
 */
export class MembershipChecker extends Checker {
  readonly title = 'membership';
  /** By group, term and candidate: whose vote left for it. */
  readonly #votes = new Map<string, Set<NodeId>>();
  /** Learners whose log was ahead of that of a candidate: others may need it to elect anybody. */
  readonly #needed = new Set<SimReplica>();
  readonly #ledTerms = new Map<SimReplica, Term>();
  /** The membership in force at the end of each replica's log, as its journal was told. */
  readonly #changes = new Map<SimReplica, { readonly index: LogIndex; readonly membership: Membership }[]>();

  override onDeliver(replica: SimReplica, message: RaftMessage): void {
    const { raft } = replica;
    const isRequest = message.type === 'pre-vote-request' || message.type === 'vote-request';
    if (isRequest && isAhead(raft.lastId, message.last)) this.#needed.add(replica);
    const isLeader =
      message.type === 'append-request' || message.type === 'heartbeat' || message.type === 'snapshot-offer';
    if (isLeader && message.term >= raft.term) this.#needed.delete(replica);
  }

  override onSend(replica: SimReplica, message: RaftMessage): void {
    // One that has given up since may have lost the change that made it a voter: the request is only late.
    const isCampaigning = message.type === 'pre-vote-request' && replica.raft.role !== 'follower';
    if (isCampaigning && !this.#mayLead(replica))
      this.fail(`node ${replica.node.id} campaigns in group ${replica.group} and is no voter`);
    if (message.type !== 'vote-response' || !message.granted) return;
    this.#votesFor(replica.group, message.term, message.to).add(replica.node.id);
  }

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { role, term } = replica.raft;
      if (role !== 'leader' || this.#ledTerms.get(replica) === term) continue;
      this.#ledTerms.set(replica, term);
      this.#checkElected(replica);
    }
  }

  override onWrite(replica: SimReplica, { entries }: GroupWrite): void {
    const first = entries[0];
    if (first === undefined) return;
    const known = this.#changes.get(replica) ?? [];
    let changes = known.filter(({ index }) => index < first.index);
    for (const { kind, index, term, payload } of entries) {
      if (kind !== EntryKind.configuration) continue;
      const membership = decodeMembership(payload);
      if (membership === undefined) this.fail(`configuration ${index} of group ${replica.group} is unreadable`);
      const before = changes.at(-1) ?? this.#before(replica, index);
      if (before !== undefined) this.#checkChange(replica, before, { index, membership });
      if (replica.raft.role === 'leader' && term === replica.raft.term) this.#checkBegun(replica, before?.index ?? 0);
      changes = [...changes, { index, membership }];
    }
    this.#changes.set(replica, changes);
    this.#checkInForce(replica, changes.at(-1), known[changes.length]);
  }

  override onTick({ raft, node, group }: SimReplica): void {
    const { membership, commit } = raft;
    const isCommitted = raft.termAt(commit) === raft.term && raft.membershipAt(commit) === membership;
    if (raft.role !== 'leader' || !isCommitted || membership.outgoing.length > 0) return;
    if (membership.voters.includes(node.id)) return;
    this.fail(`node ${node.id} leads group ${group}, though it is committed that [${membership.voters.join()}] vote`);
  }

  /** The log of before is gone. */
  override onInstall(replica: SimReplica): void {
    this.#changes.delete(replica);
  }

  #checkElected(replica: SimReplica): void {
    const { raft, node, group } = replica;
    if (!this.#mayLead(replica)) this.fail(`node ${node.id} leads group ${group} in term ${raft.term} and is no voter`);
    const votes = this.#votesFor(group, raft.term, node.id);
    const isOwnDurable = hasOnDisk(replica, raft.term);
    const hasVoted = (voter: NodeId): boolean => (voter === node.id ? isOwnDurable : votes.has(voter));
    if (hasMajorities(raft.membership, hasVoted)) return;
    const { voters, outgoing } = raft.membership;
    this.fail(
      `node ${node.id} leads group ${group} in term ${raft.term} with the votes of [${[...votes].join()}]` +
        `${isOwnDurable ? ' and its own' : '; its own is not on its disk'}; voters are ` +
        `[${voters.join()}] and, for now, [${outgoing.join()}]`,
    );
  }

  /** A voter of what is committed, as far as it knows, or of any change behind it; or one whose log is needed. */
  #mayLead(replica: SimReplica): boolean {
    const { raft } = replica;
    if (this.#needed.has(replica) && raft.membership.learners.includes(raft.id)) return true;
    for (let index = raft.commit; index <= raft.lastId.index; index++) {
      const { voters, outgoing } = raft.membershipAt(index);
      if (voters.includes(raft.id) || outgoing.includes(raft.id)) return true;
    }
    return false;
  }

  #checkChange(replica: SimReplica, before: Change, after: Change): void {
    if (!canBeDisjoint(before.membership, after.membership)) return;
    this.fail(
      `entry ${after.index} of group ${replica.group} on node ${replica.node.id} changes ${describe(before.membership)} to ` +
        `${describe(after.membership)}, whose majorities need not share anybody`,
    );
  }

  /** `takenBack`: the change that stood behind the present last one. */
  #checkInForce({ raft, node, group }: SimReplica, last: Change | undefined, takenBack: Change | undefined): void {
    const { membership } = raft;
    const isRight = last === undefined || sameMembership(membership, last.membership);
    const isOld = last === undefined && takenBack !== undefined && sameMembership(membership, takenBack.membership);
    if (isRight && !isOld) return;
    this.fail(
      `node ${node.id} takes ${describe(membership)} for the members of group ${group}; its log says ` +
        `${last === undefined ? 'so no more' : describe(last.membership)}`,
    );
  }

  #checkBegun({ raft, node, group }: SimReplica, before: LogIndex): void {
    if (before > raft.commit)
      this.fail(
        `node ${node.id} changes the members of group ${group} again; the change at ${before} is not committed`,
      );
    if (raft.termAt(raft.commit) !== raft.term)
      this.fail(`node ${node.id} changes the members of group ${group} and has committed nothing in term ${raft.term}`);
  }

  /** What held before the entry, where no write of this life has shown it. */
  #before({ raft }: SimReplica, index: LogIndex): Change | undefined {
    if (index - 1 < raft.base.index || index - 1 > raft.lastId.index) return undefined;
    const membership = raft.membershipAt(index - 1);
    return membership.voters.length === 0 ? undefined : { index: this.#indexOf(raft, index - 1), membership };
  }

  /** Where that membership came into the log; the base, if it is not known. */
  #indexOf(raft: SimReplica['raft'], at: LogIndex): LogIndex {
    const membership = raft.membershipAt(at);
    let index = at;
    while (index > raft.base.index && raft.membershipAt(index - 1) === membership) index--;
    return index;
  }

  #votesFor(group: GroupId, term: Term, candidate: NodeId): Set<NodeId> {
    const key = `${group}/${term}/${candidate}`;
    let votes = this.#votes.get(key);
    if (votes === undefined) {
      votes = new Set();
      this.#votes.set(key, votes);
    }
    return votes;
  }
}

interface Change {
  readonly index: LogIndex;
  readonly membership: Membership;
}

const isAhead = (one: EntryId, other: EntryId): boolean =>
  one.term > other.term || (one.term === other.term && one.index > other.index);

/** Its vote for itself, or what makes the disk no witness. */
function hasOnDisk({ node, group }: SimReplica, term: Term): boolean {
  const found = node.disk.recoverDurable(group)?.hardState;
  return node.disk.isDamaged || (found !== undefined && found.term === term && found.vote === node.id);
}

const describe = ({ voters, outgoing }: Membership): string => `[${voters.join()}] and [${outgoing.join()}]`;
