import type { GroupId, LogIndex } from '../../lib/ids.ts';
import type { Checkpointable, CheckpointCut } from '../../raft/checkpoint.ts';
import type { EntryId } from '../../raft/messages.ts';
import type { Raft } from '../../raft/raft.ts';
import type { NodeStore } from './node-store.ts';
import { baseOf, type TrailingWindow } from './trailing-window.ts';

const NO_ROOM_WANTED: TrailingWindow['wanted'] = { through: 0, isUrgent: false };

export interface CheckpointerOptions {
  /** A checkpoint is due after so many applied entries or bytes, or when a changed group has waited so long. */
  readonly entries: number;
  readonly bytes: number;
  readonly idleMs: number;
  /** Applied entries, and bytes of them, that stay in the log for followers that restart (R13). */
  readonly trailingEntries: number;
  readonly trailingBytesMax: number;
  /** Bytes that stay as long as a follower that answers needs them. */
  readonly catchUpBytesMax: number;
  /** The same behind a snapshot that is on its way. */
  readonly offeredBytesMax: number;
  /** Pages encoded in one go before the event loop gets a turn (R10). */
  readonly pageBytes: number;
}

export interface CheckpointerDependencies {
  readonly driver: {
    readonly group: GroupId;
    readonly applied: EntryId;
    readonly appliedBytes: number;
    readonly raft: Raft;
  };
  readonly machine: Checkpointable & { readonly applied: LogIndex };
  readonly store: NodeStore;
  /** The entry of a snapshot that is on its way to a follower. */
  readonly offered: () => LogIndex | undefined;
  readonly monotonicMs: () => number;
}

/**
 * Checkpoints one group's machine, a changed page at a time, and lets the log begin behind it (R14). The order is the
 * safety: the journal is durable up to the cut first, the checkpoint after, and only then may the log forget.
 */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #deps: CheckpointerDependencies;
  #last: LogIndex;
  #lastBytes: number;
  #lastMs: number;
  /** The log has to begin behind this entry, and whom that has to respect. */
  #wanted: TrailingWindow['wanted'] = NO_ROOM_WANTED;
  #running: Promise<void> | undefined;
  #isSuspended = false;

  constructor(options: CheckpointerOptions, deps: CheckpointerDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#last = deps.machine.applied;
    this.#lastBytes = deps.driver.appliedBytes;
    this.#lastMs = deps.monotonicMs();
  }

  /** The last entry that a durable checkpoint covers. */
  get covered(): LogIndex {
    return this.#last;
  }

  /**
   * The journal needs the room of entries up to this one (R13): checkpoint and base move behind it as soon as it is
   * applied. Unless it is urgent, what followers that answer still need stays.
   */
  makeRoom(through: LogIndex, isUrgent: boolean): void {
    this.#wanted = { through, isUrgent };
  }

  tick(): void {
    if (this.#running !== undefined || this.#isSuspended) return;
    if (!this.#isDue()) {
      if (this.#wanted.through > 0) this.#advanceBase(this.#last);
      return;
    }
    this.#running = this.#checkpoint().finally(() => {
      this.#running = undefined;
      this.#lastMs = this.#deps.monotonicMs();
    });
  }

  /** Begins no checkpoint until `resume`. Resolves when the one under way is over. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    await this.#running;
  }

  /** `isReplaced`: the machine is another one, of which a checkpoint is stored. */
  resume({ isReplaced }: { readonly isReplaced: boolean }): void {
    this.#isSuspended = false;
    if (!isReplaced) return;
    this.#last = this.#deps.machine.applied;
    this.#lastBytes = this.#deps.driver.appliedBytes;
  }

  /** A cut lies at the last entry that changed the machine; if room is wanted behind it, at the last one at all. */
  get #cutIndex(): LogIndex {
    const { machine, driver } = this.#deps;
    return this.#wanted.through > machine.applied ? driver.applied.index : machine.applied;
  }

  /** A cut must be durable in this node's own journal. */
  #isDue(): boolean {
    const { driver, monotonicMs } = this.#deps;
    const { entries, bytes, idleMs } = this.#options;
    const index = this.#cutIndex;
    const behind = index - this.#last;
    if (behind <= 0 || driver.raft.durable < index) return false;
    if (this.#wanted.through > this.#last) return true;
    if (behind >= entries || driver.appliedBytes - this.#lastBytes >= bytes) return true;
    return monotonicMs() - this.#lastMs >= idleMs;
  }

  async #checkpoint(): Promise<void> {
    const { machine, driver, store } = this.#deps;
    const { raft, group } = driver;
    const index = this.#cutIndex;
    const term = raft.termAt(index);
    if (term === undefined) return;
    const at = { index, term };
    const bytes = driver.appliedBytes;
    const cut: CheckpointCut = machine.cut('changes', at);
    const writer = store.beginCheckpoint(group, store.generationOf(group), at);
    for (let pages = cut.nextPages(this.#options.pageBytes); pages.length > 0; ) {
      await writer.add(pages);
      pages = cut.nextPages(this.#options.pageBytes);
    }
    await writer.finish();
    cut.completed();
    store.journal.checkpointed(group, index);
    this.#last = index;
    this.#lastBytes = bytes;
    this.#advanceBase(index);
  }

  #advanceBase(checkpointed: LogIndex): void {
    const { driver, store, offered } = this.#deps;
    const { raft, group } = driver;
    const { trailingEntries, trailingBytesMax, catchUpBytesMax, offeredBytesMax } = this.#options;
    const awaited = offered();
    const keptBytesMax = awaited === undefined ? catchUpBytesMax : offeredBytesMax;
    const index = baseOf({
      checkpointed,
      wanted: this.#wanted,
      entries: trailingEntries,
      restartFloor: store.floorWithin(group, checkpointed, trailingBytesMax),
      catchUpFloor: store.floorWithin(group, checkpointed, keptBytesMax),
      followers: raft.status().peers,
      offered: awaited,
    });
    if (this.#wanted.through <= index) this.#wanted = NO_ROOM_WANTED;
    const term = raft.termAt(index);
    if (index <= raft.base.index || term === undefined) return;
    const last = { index, term };
    const base = { last, membership: raft.membershipAt(index), generation: store.generationOf(group) };
    // In this order: what the journal gives up nobody may ask it for any more.
    raft.compactTo(last);
    store.journal.append({ group, hardState: undefined, entries: [], base }, () => {});
  }
}
