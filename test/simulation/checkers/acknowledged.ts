import type { LogIndex, Term } from '../../../src/lib/ids.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import type { AppendResponse, RaftMessage } from '../../../src/raft/messages.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * What is committed is never written anew; what is acknowledged to a leader is what it has, and stays as long as it leads
 * (Raft 5.3).
 */
export class AcknowledgedChecker extends Checker {
  readonly title = 'acknowledged entries';
  readonly #acknowledged = new Map<SimReplica, { term: Term; match: LogIndex }>();
  /** Up to here the journal has what is committed. */
  readonly #written = new Map<SimReplica, LogIndex>();

  override onSend(replica: SimReplica, message: RaftMessage): void {
    if (message.type !== 'append-response' || !message.accepted) return;
    this.#checkSame(replica, message);
    const known = this.#acknowledged.get(replica);
    if (known === undefined || known.term < message.term) {
      this.#acknowledged.set(replica, { term: message.term, match: message.match });
    } else if (known.term === message.term && known.match < message.match) {
      known.match = message.match;
    }
  }

  override onWrite(replica: SimReplica, { entries }: GroupWrite): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    const { raft, node, group } = replica;
    const name = `node ${node.id} writes entry ${first} of group ${group} in term ${raft.term}`;
    const known = this.#acknowledged.get(replica);
    if (known !== undefined && known.term === raft.term && first <= known.match)
      this.fail(`${name}, though it has acknowledged ${known.match} in this term`);
    const written = this.#written.get(replica) ?? 0;
    if (first <= written) this.fail(`${name}, though ${written} was committed when it was last written`);
    this.#written.set(replica, Math.min(raft.commit, entries.at(-1)!.index));
  }

  #checkSame({ raft, node, group }: SimReplica, { to, term, match }: AppendResponse): void {
    const leader = this.cluster.node(to).replicas.get(group)?.raft;
    if (leader?.role !== 'leader' || leader.term !== term || raft.term !== term) return;
    const [own, leaders] = [raft.termAt(match), leader.termAt(match)];
    if (match <= leader.lastId.index && (own === leaders || own === undefined || leaders === undefined)) return;
    this.fail(
      `node ${node.id} acknowledges ${own}:${match} of group ${group} to node ${to}, which has ${leaders ?? 'nothing'} there ` +
        `and leads in term ${term}`,
    );
  }
}
