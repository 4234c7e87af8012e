import type { GroupId, NodeId, Term } from '../../../src/lib/ids.ts';
import type { GroupWrite, RecoveredGroup } from '../../../src/raft/log-store.ts';
import type { RaftMessage } from '../../../src/raft/messages.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

interface Vote {
  readonly term: Term;
  readonly vote: NodeId | undefined;
}

/** At most one leader per term; no replica votes for two candidates in one term, also across restarts (Raft 5.2). */
export class ElectionChecker extends Checker {
  readonly title = 'election';
  readonly #leaders = new Map<string, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  /** What each replica's journal reported as durable. */
  readonly #durable = new Map<string, Vote>();
  /** What recovery found, which the core has to know from its start on. */
  readonly #recovered = new Map<string, Vote>();
  readonly #known = new Set<SimReplica>();
  /** Term in which a replica was last seen to lead. */
  readonly #seen = new Map<SimReplica, Term>();
  /** Leaders seen in all groups. */
  elections = 0;

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { raft } = replica;
      if (!this.#known.has(replica)) this.#checkStart(replica);
      if (raft.role === 'leader' && this.#seen.get(replica) !== raft.term) this.#noteLeader(replica);
    }
  }

  override onSend(replica: SimReplica, message: RaftMessage): void {
    if (message.type !== 'vote-response' || !message.granted) return;
    this.#noteVote(replica.group, replica.node.id, message.term, message.to);
  }

  override onDurable(replica: SimReplica, write: GroupWrite): void {
    const { hardState } = write;
    if (hardState === undefined) return;
    this.#durable.set(`${replica.group}/${replica.node.id}`, hardState);
    if (hardState.vote !== undefined) this.#noteVote(replica.group, replica.node.id, hardState.term, hardState.vote);
  }

  override onRecover(node: NodeId, group: GroupId, recovered: RecoveredGroup | undefined): void {
    if (recovered === undefined) this.#recovered.delete(`${group}/${node}`);
    else this.#recovered.set(`${group}/${node}`, recovered.hardState);
    const durable = this.#durable.get(`${group}/${node}`);
    if (durable === undefined) return;
    const found: Vote = recovered?.hardState ?? { term: 0, vote: undefined };
    if (found.term > durable.term) return;
    if (found.term === durable.term && (durable.vote === undefined || found.vote === durable.vote)) return;
    this.fail(
      `node ${node} group ${group} had durably voted for ${durable.vote} in term ${durable.term}, after a restart it knows ` +
        `term ${found.term} and vote ${found.vote}`,
    );
  }

  #checkStart(replica: SimReplica): void {
    this.#known.add(replica);
    const { raft, node, group } = replica;
    const found = this.#recovered.get(`${group}/${node.id}`);
    if (found === undefined || raft.term > found.term) return;
    const { term, vote } = raft.status();
    if (term === found.term && (found.vote === undefined || vote === found.vote)) return;
    this.fail(
      `node ${node.id} group ${group} starts with term ${term} and vote ${vote}; its disk has term ${found.term} and vote ` +
        `${found.vote}`,
    );
  }

  #noteLeader(replica: SimReplica): void {
    const { term } = replica.raft;
    this.#seen.set(replica, term);
    const key = `${replica.group}/${term}`;
    const known = this.#leaders.get(key);
    if (known === undefined) {
      this.#leaders.set(key, replica.node.id);
      this.elections++;
    } else if (known !== replica.node.id) {
      this.fail(`nodes ${known} and ${replica.node.id} both lead group ${replica.group} in term ${term}`);
    }
  }

  #noteVote(group: GroupId, node: NodeId, term: Term, candidate: NodeId): void {
    const key = `${group}/${node}/${term}`;
    const known = this.#votes.get(key);
    if (known === undefined) this.#votes.set(key, candidate);
    else if (known !== candidate) {
      this.fail(`node ${node} voted for ${known} and for ${candidate} in term ${term} of group ${group}`);
    }
  }
}
