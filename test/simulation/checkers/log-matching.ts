import { crc32 } from '../../../src/lib/crc32.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import type { Entry } from '../../../src/raft/messages.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

interface Known {
  readonly checksum: number;
  /** Term of the entry before it; undefined if everybody who wrote it had compacted that. */
  previousTerm: number | undefined;
}

/**
 * An index and a term name one entry with one prefix (Raft 5.3). By induction it is enough that everybody's entry of that index and
 * term has the same bytes and follows an entry of the same term.
 */
export class LogMatchingChecker extends Checker {
  readonly title = 'log matching';
  readonly #entries = new Map<string, Known>();

  override onWrite(replica: SimReplica, write: GroupWrite): void {
    const [first] = write.entries;
    let previousTerm = first && replica.raft.termAt(first.index - 1);
    for (const entry of write.entries) {
      this.#note(replica, entry, previousTerm);
      previousTerm = entry.term;
    }
  }

  #note(replica: SimReplica, entry: Entry, previousTerm: number | undefined): void {
    const key = `${replica.group}/${entry.index}/${entry.term}`;
    const checksum = crc32(entry.payload, entry.kind);
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, { checksum, previousTerm });
      return;
    }
    if (known.checksum !== checksum) {
      this.fail(
        `entry ${entry.term}:${entry.index} of group ${replica.group} has other bytes on node ${replica.node.id}`,
      );
    }
    if (previousTerm === undefined) return;
    known.previousTerm ??= previousTerm;
    if (known.previousTerm !== previousTerm) {
      this.fail(
        `entry ${entry.term}:${entry.index} of group ${replica.group} follows term ${previousTerm} on node ${replica.node.id} ` +
          `and term ${known.previousTerm} elsewhere`,
      );
    }
  }
}
