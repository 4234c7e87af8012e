import type { GroupId, LogIndex } from '../../../src/lib/ids.ts';
import type { RaftMessage } from '../../../src/raft/messages.ts';
import type { Raft } from '../../../src/raft/raft.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** Election timeouts within which such a leader has heard of a later term. */
const TIMEOUTS_MAX = 2;

/**
 * A replica that lost something it had acknowledged neither votes, campaigns, acknowledges nor leads, until it has been filled (R16).
 * Then it has all that was committed when it noticed its loss. No leader goes on counting what it has lost.
 */
export class DamageChecker extends Checker {
  readonly title = 'damage';
  /** By group: the highest index that any replica held for committed. */
  readonly #committed = new Map<GroupId, LogIndex>();
  /** Ticks in which the leader that a replica follows counted what it has lost. */
  readonly #counting = new WeakMap<Raft, number>();
  /** What was committed when a replica began without what it had acknowledged. */
  readonly #wanted = new Map<SimReplica, LogIndex>();

  override onSend(replica: SimReplica, message: RaftMessage): void {
    if (!replica.raft.damaged) return;
    switch (message.type) {
      case 'pre-vote-request':
      case 'vote-request':
        this.#fail(replica, 'campaigns');
        return;
      case 'pre-vote-response':
      case 'vote-response':
        if (message.granted) this.#fail(replica, `votes for node ${message.to} in term ${message.term}`);
        return;
      case 'append-response':
        if (message.accepted) this.#fail(replica, `acknowledges entries up to ${message.match}`);
        return;
      default:
    }
  }

  override onTick({ raft, group, node }: SimReplica): void {
    if (raft.role !== 'leader') return;
    for (const { raft: follower } of this.cluster.replicasOf(group)) {
      if (!follower.damaged) continue;
      const follows = follower.leader === node.id && follower.term === raft.term;
      const match = follows ? raft.status().peers.find(({ peer }) => peer === follower.id)?.match : undefined;
      const isCounted = match !== undefined && match > follower.lastId.index;
      const ticks = isCounted ? (this.#counting.get(follower) ?? 0) + 1 : 0;
      this.#counting.set(follower, ticks);
      if (ticks <= TIMEOUTS_MAX * this.cluster.swarm.electionTicks) continue;
      this.fail(
        `node ${node.id} leads group ${group} and counts what node ${follower.id} has lost of it, up to ${match}`,
      );
    }
  }

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { raft, group } = replica;
      if (raft.commit > (this.#committed.get(group) ?? 0)) this.#committed.set(group, raft.commit);
      if (raft.damaged) {
        if (raft.role === 'leader') this.#fail(replica, 'leads');
        if (!this.#wanted.has(replica)) this.#wanted.set(replica, this.#committed.get(group) ?? 0);
      } else if (this.#wanted.size > 0) {
        this.#checkWhole(replica);
      }
    }
  }

  #checkWhole(replica: SimReplica): void {
    const wanted = this.#wanted.get(replica);
    if (wanted === undefined) return;
    this.#wanted.delete(replica);
    if (replica.raft.lastId.index >= wanted) return;
    this.#fail(replica, `takes itself for whole with ${replica.raft.lastId.index} of ${wanted} that were committed`);
  }

  #fail({ node, group }: SimReplica, what: string): never {
    this.fail(`node ${node.id} has lost entries of group ${group} and ${what}`);
  }
}
