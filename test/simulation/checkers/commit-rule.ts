import type { LogIndex, Term } from '../../../src/lib/ids.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** A leader commits by counting only up to an entry of its own term; earlier ones are committed with it (Raft 5.4.2). */
export class CommitRuleChecker extends Checker {
  readonly title = 'commit rule';
  /** Commit index when the replica was last seen, and the term that it led; undefined: it did not lead. */
  readonly #seen = new Map<SimReplica, { commit: LogIndex; ledTerm: Term | undefined }>();

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { commit, role, term } = replica.raft;
      const ledTerm = role === 'leader' ? term : undefined;
      const seen = this.#seen.get(replica);
      if (seen === undefined) {
        this.#seen.set(replica, { commit, ledTerm });
        continue;
      }
      if (ledTerm !== undefined && seen.ledTerm === ledTerm && commit > seen.commit) this.#check(replica, commit);
      seen.commit = commit;
      seen.ledTerm = ledTerm;
    }
  }

  #check({ raft, node, group }: SimReplica, commit: LogIndex): void {
    const term = raft.termAt(commit);
    if (term === raft.term) return;
    this.fail(`node ${node.id} leads group ${group} in term ${raft.term} and commits ${term}:${commit} by counting`);
  }
}
