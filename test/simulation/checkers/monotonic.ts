import type { LogIndex, Term } from '../../../src/lib/ids.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

interface Watermarks {
  term: Term;
  commit: LogIndex;
  applied: LogIndex;
  base: LogIndex;
}

/** Term, commit index, applied index and base never go back within one life of a replica. */
export class MonotonicChecker extends Checker {
  readonly title = 'monotonic';
  /** Replicas are objects of one life. */
  readonly #seen = new Map<SimReplica, Watermarks>();

  override onStep(): void {
    for (const replica of this.cluster.replicas()) this.#check(replica);
  }

  #check(replica: SimReplica): void {
    const { raft } = replica;
    const applied = replica.applied.index;
    const seen = this.#seen.get(replica);
    if (seen === undefined) {
      this.#seen.set(replica, { term: raft.term, commit: raft.commit, applied, base: raft.base.index });
      return;
    }
    if (raft.term < seen.term || raft.commit < seen.commit || applied < seen.applied || raft.base.index < seen.base) {
      this.fail(
        `node ${replica.node.id} group ${replica.group} went back from term ${seen.term}, commit ${seen.commit}, applied ` +
          `${seen.applied}, base ${seen.base} to ${raft.term}, ${raft.commit}, ${applied}, ${raft.base.index}`,
      );
    }
    if (applied > raft.commit) this.fail(`node ${replica.node.id} applied ${applied}, committed is ${raft.commit}`);
    seen.term = raft.term;
    seen.commit = raft.commit;
    seen.applied = applied;
    seen.base = raft.base.index;
  }
}
