import { crc32 } from '../../../src/lib/crc32.ts';
import type { GroupId, LogIndex, Term } from '../../../src/lib/ids.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** What is committed, for ever; by index, which begins at 1. */
interface Ledger {
  readonly terms: Term[];
  /** The term of the replica that was the first to hold the entry for committed. */
  readonly committedIn: Term[];
  readonly checksums: number[];
}

/**
 * What one replica holds for committed, all others do (state machine safety, Raft 5.4.3): the first to commit an index fixes its
 * term, the first to apply it fixes its bytes.
 */
export class LedgerChecker extends Checker {
  readonly title = 'ledger';
  readonly #ledgers = new Map<GroupId, Ledger>();
  readonly #commits = new Map<SimReplica, LogIndex>();
  readonly #leaders = new Map<SimReplica, Term>();

  override onStep(): void {
    for (const replica of this.cluster.replicas()) {
      const { commit, role, term } = replica.raft;
      if (commit > (this.#commits.get(replica) ?? 0)) this.#noteCommitted(replica, commit);
      if (role === 'leader' && this.#leaders.get(replica) !== term) this.#checkLeader(replica);
    }
  }

  override onApply(replica: SimReplica, { index, term }: ApplyMeta, payload: Uint8Array): void {
    if (replica.raft.commit > (this.#commits.get(replica) ?? 0)) this.#noteCommitted(replica, replica.raft.commit);
    const { checksums, terms } = this.#ledger(replica.group);
    if (terms[index] !== term) {
      this.fail(
        `node ${replica.node.id} applied ${term}:${index} of group ${replica.group}; committed is term ${terms[index]}`,
      );
    }
    const checksum = crc32(payload);
    checksums[index] ??= checksum;
    if (checksums[index] !== checksum) {
      this.fail(`node ${replica.node.id} applied other bytes at ${term}:${index} of group ${replica.group}`);
    }
  }

  override atEnd(): void {
    for (const [group, { terms }] of this.#ledgers) {
      for (const replica of this.cluster.membersOf(group)) {
        if (replica.raft.commit >= terms.length - 1) continue;
        this.fail(
          `node ${replica.node.id} commits ${replica.raft.commit} of group ${group}; once it was ${terms.length - 1}`,
        );
      }
    }
  }

  #noteCommitted(replica: SimReplica, commit: LogIndex): void {
    const { terms, committedIn } = this.#ledger(replica.group);
    const first = Math.max((this.#commits.get(replica) ?? 0) + 1, replica.raft.base.index);
    for (let index = first; index <= commit; index++) {
      const term = replica.raft.termAt(index);
      if (term === undefined)
        this.fail(`node ${replica.node.id} committed ${index} of group ${replica.group} and does not have it`);
      terms[index] ??= term;
      committedIn[index] ??= replica.raft.term;
      if (terms[index] !== term) {
        this.fail(
          `node ${replica.node.id} committed ${term}:${index} of group ${replica.group}; committed was ${terms[index]}:${index}`,
        );
      }
    }
    this.#commits.set(replica, commit);
  }

  /**
   * A new leader has everything that was committed in earlier terms (leader completeness, Raft 5.4). Votes that come late may still
   * elect one for a term that is over; what was committed in later terms it need not have, and it cannot commit anything.
   */
  #checkLeader(replica: SimReplica): void {
    const { raft } = replica;
    this.#leaders.set(replica, raft.term);
    const { terms, committedIn } = this.#ledger(replica.group);
    for (let index = Math.max(1, raft.base.index); index < terms.length; index++) {
      const term = raft.termAt(index);
      if (term === terms[index] || committedIn[index]! > raft.term) continue;
      this.fail(
        `node ${replica.node.id} leads group ${replica.group} in term ${raft.term} and has ` +
          `${term === undefined ? 'nothing' : `term ${term}`} at ${index}; committed is term ${terms[index]}`,
      );
    }
  }

  #ledger(group: GroupId): Ledger {
    let ledger = this.#ledgers.get(group);
    if (ledger === undefined) {
      ledger = { terms: [0], committedIn: [0], checksums: [0] };
      this.#ledgers.set(group, ledger);
    }
    return ledger;
  }
}
