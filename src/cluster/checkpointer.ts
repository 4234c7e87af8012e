import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { Checkpointable, CheckpointCut } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';
import type { Raft } from '../raft/raft.ts';
import type { NodeStore } from './node-store.ts';

export interface CheckpointerOptions {
  /** A checkpoint is due after so many applied entries, or when a changed group has waited so long. */
  readonly entries: number;
  readonly idleMs: number;
  /** Applied entries that stay in the log for followers that restart (R13). */
  readonly trailingEntries: number;
  /** Pages encoded in one go before the event loop gets a turn (R10). */
  readonly pageBytes: number;
}

export interface CheckpointerDependencies {
  readonly driver: { readonly group: GroupId; readonly applied: EntryId; readonly raft: Raft };
  readonly machine: Checkpointable & { readonly applied: LogIndex };
  readonly store: NodeStore;
  readonly monotonicMs: () => number;
}

/**
 * Checkpoints one group's machine, a changed page at a time, and lets the log begin behind it (R14). The order is the
 * safety: the journal is durable up to the cut first, the checkpoint after, and only then may the log forget.
 */
export class Checkpointer {
  readonly #options: CheckpointerOptions & { readonly generation: number };
  readonly #deps: CheckpointerDependencies;
  #last: LogIndex;
  #lastMs: number;
  #isRunning = false;

  constructor(options: CheckpointerOptions & { readonly generation: number }, deps: CheckpointerDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#last = deps.machine.applied;
    this.#lastMs = deps.monotonicMs();
  }

  tick(): void {
    if (this.#isRunning || !this.#isDue()) return;
    this.#isRunning = true;
    void this.#checkpoint().finally(() => {
      this.#isRunning = false;
      this.#lastMs = this.#deps.monotonicMs();
    });
  }

  /** A cut lies at the last entry that changed the machine, and must be durable in this node's own journal. */
  #isDue(): boolean {
    const { machine, driver, monotonicMs } = this.#deps;
    const behind = machine.applied - this.#last;
    if (behind <= 0 || driver.raft.durable < machine.applied) return false;
    return behind >= this.#options.entries || monotonicMs() - this.#lastMs >= this.#options.idleMs;
  }

  async #checkpoint(): Promise<void> {
    const { machine, driver, store } = this.#deps;
    const { raft, group } = driver;
    const index = machine.applied;
    const term = raft.termAt(index);
    if (term === undefined) return;
    const at = { index, term };
    const cut: CheckpointCut = machine.cut('changes', at);
    const writer = store.beginCheckpoint(group, this.#options.generation, at);
    for (let pages = cut.nextPages(this.#options.pageBytes); pages.length > 0; ) {
      await writer.add(pages);
      pages = cut.nextPages(this.#options.pageBytes);
    }
    await writer.finish();
    cut.completed();
    store.journal.checkpointed(group, index);
    this.#last = index;
    this.#advanceBase(index);
  }

  #advanceBase(checkpointed: LogIndex): void {
    const { driver, store } = this.#deps;
    const { raft, group } = driver;
    const index = checkpointed - this.#options.trailingEntries;
    if (index <= raft.base.index) return;
    const term = raft.termAt(index);
    if (term === undefined) return;
    const last = { index, term };
    const base = { last, membership: raft.membershipAt(index), generation: this.#options.generation };
    store.journal.append({ group, hardState: undefined, entries: [], base }, () => raft.compactTo(last));
  }
}
