import type { LogIndex, Term } from '../../../src/lib/ids.ts';
import type { RecoveredGroup } from '../../../src/raft/log-store.ts';
import type { RaftMessage } from '../../../src/raft/messages.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * When a vote or an append response leaves a node, the durable bytes of its disk, read by the real recovery, say the same; and
 * what a leader holds for committed, a majority of disks has. Finds a missing sync without any crash.
 */
export class DurabilityChecker extends Checker {
  readonly title = 'durability at the wire';
  readonly #commits = new Map<SimReplica, LogIndex>();
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
      if (raft.role !== 'leader' || raft.commit <= (this.#commits.get(replica) ?? 0)) continue;
      this.#commits.set(replica, raft.commit);
      if (this.#isDrawn()) this.#checkMajority(replica, raft.commit);
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
    if (replica.raft.term > term) return match <= (found.log.at(-1)?.last ?? found.base.last.index);
    return has(found, match, replica.raft.termAt(match));
  }

  #checkMajority(replica: SimReplica, index: LogIndex): void {
    const term = replica.raft.termAt(index);
    const { voters } = replica.raft.membership;
    const having = voters.filter(voter => {
      const found = this.cluster.node(voter).disk.recoverDurable(replica.group);
      return found !== undefined && has(found, index, term);
    });
    if (having.length * 2 > voters.length) return;
    this.fail(
      `node ${replica.node.id} commits ${term}:${index} of group ${replica.group}, which only the disks of ` +
        `[${having.join(', ')}] of [${voters.join(', ')}] have`,
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
