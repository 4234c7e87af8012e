import type { LogIndex, NodeId, Term } from '../../../src/lib/ids.ts';
import type { RecoveredGroup } from '../../../src/raft/log-store.ts';
import type { Membership, RaftMessage } from '../../../src/raft/messages.ts';
import { hasMajorities } from '../majorities.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * When a vote or an append response leaves a node, the durable bytes of its disk, read by the real recovery, say the same; and
 * what a leader holds for committed, a majority of disks has. Finds a missing sync without any crash.
 */
export class DurabilityChecker extends Checker {
  readonly title = 'durability at the wire';
  readonly #commits = new Map<SimReplica, { readonly term: Term; readonly commit: LogIndex }>();
  /** Who took part when a leader was last looked at: by these, or by those of now, it commits. */
  readonly #memberships = new Map<SimReplica, Membership>();
  #appends = 0;

  override onSend(replica: SimReplica, message: RaftMessage): void {
    if (message.type === 'vote-response' && message.granted) this.#checkVote(replica, message.term, message.to);
    if (message.type === 'append-response' && message.accepted && this.#isDrawn()) {
      this.#checkHas(replica, message.term, message.match, message.type);
    }
    if (message.type === 'snapshot-response' && message.installed) {
      this.#checkHas(replica, message.term, message.match, message.type);
    }
  }

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { raft } = replica;
      if (raft.role !== 'leader') continue;
      const { membership } = raft;
      const before = this.#memberships.get(replica) ?? membership;
      this.#memberships.set(replica, membership);
      const known = this.#commits.get(replica);
      if (known?.term === raft.term && raft.commit <= known.commit) continue;
      this.#commits.set(replica, { term: raft.term, commit: raft.commit });
      // What a new leader begins with was committed by others, with the members of then.
      if (known?.term === raft.term && this.#isDrawn()) this.#checkMajority(replica, raft.commit, [before, membership]);
    }
  }

  #isDrawn(): boolean {
    return this.#appends++ % this.cluster.swarm.compareDiskEvery === 0;
  }

  #checkVote(replica: SimReplica, term: Term, candidate: number): void {
    const found = replica.node.disk.recoverDurable(replica.group)?.hardState;
    if (found !== undefined && (found.term > term || (found.term === term && found.vote === candidate))) return;
    this.fail(
      `node ${replica.node.id} votes for ${candidate} in term ${term} of group ${replica.group}; its disk has term ${found?.term} ` +
        `and vote ${found?.vote}`,
    );
  }

  #checkHas(replica: SimReplica, term: Term, match: LogIndex, type: RaftMessage['type']): void {
    const found = replica.node.disk.recoverDurable(replica.group);
    if (found !== undefined && found.hardState.term > term) return;
    if (found !== undefined && found.hardState.term === term && this.#holds(replica, found, term, match)) return;
    this.fail(
      `node ${replica.node.id} says in a ${type} of term ${term} that it has ${match} of group ${replica.group}; its disk has term ` +
        `${found?.hardState.term} and ${describe(found)}`,
    );
  }

  /** A replica that has gone on to a later term meanwhile may be about to replace what the message speaks of. */
  #holds(replica: SimReplica, found: RecoveredGroup, term: Term, match: LogIndex): boolean {
    // Nor does it know the term of what lies before its log any more: that was committed.
    if (replica.raft.term > term || match < replica.raft.base.index)
      return match <= (found.log.at(-1)?.last ?? found.base.last.index);
    return has(found, match, replica.raft.termAt(match));
  }

  #checkMajority(replica: SimReplica, index: LogIndex, memberships: readonly Membership[]): void {
    const term = replica.raft.termAt(index);
    const isThere = (voter: NodeId): boolean => {
      // What was on a disk that is lost by now, nobody can tell any more.
      if (this.cluster.node(voter).isGone) return true;
      const { disk } = this.cluster.node(voter);
      const found = disk.recoverDurable(replica.group);
      // Damage may have taken away what this voter had.
      return disk.isDamaged || (found !== undefined && has(found, index, term));
    };
    if (memberships.some(membership => hasMajorities(membership, isThere))) return;
    const { voters, outgoing } = memberships.at(-1)!;
    const having = this.cluster.nodes.map(node => node.id).filter(isThere);
    this.fail(
      `node ${replica.node.id} commits ${term}:${index} of group ${replica.group}, which only the disks of [${having.join()}] ` +
        `have; voters are [${voters.join()}] and, for now, [${outgoing.join()}]`,
    );
  }
}

/** Below a base everything was committed: what it was is the ledger's concern. */
const has = (found: RecoveredGroup, index: LogIndex, term: Term | undefined): boolean =>
  index < found.base.last.index || (term !== undefined && termAt(found, index) === term);

function termAt(found: RecoveredGroup, index: LogIndex): Term | undefined {
  if (index === found.base.last.index) return found.base.last.term;
  return found.log.find(run => index >= run.first && index <= run.last)?.term;
}

function describe(found: RecoveredGroup | undefined): string {
  if (found === undefined) return 'nothing';
  const { last } = found.base;
  return `base ${last.term}:${last.index}, entries ${found.log.map(run => `${run.term}:${run.first}-${run.last}`).join(' ')}`;
}
