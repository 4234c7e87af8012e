import type { GroupId, LogIndex } from '../../lib/ids.ts';
import type { GroupWrite } from '../../raft/log-store.ts';
import type { Entry } from '../../raft/messages.ts';

/** What the groups of a node ask of its one journal. Callbacks come in later turns, never from within the call. */
export interface GroupJournal {
  /** Writes of one group become durable in call order; all writes of a loop turn share one sync (R7). */
  append(write: GroupWrite, durable: () => void): void;
  /** Entries `from` to `to`, `bytesMax` of them at most, but at least one. What is asked for must be in the journal. */
  readEntries(
    group: GroupId,
    from: LogIndex,
    to: LogIndex,
    bytesMax: number,
    done: (entries: readonly Entry[]) => void,
  ): void;
  /** A message body came alive in, or left, the entry: its segment must stay while bodies in it live (R13). */
  addLive(group: GroupId, index: LogIndex, bytes: number): void;
  /** `at`: the entry whose application let it go. Until a checkpoint covers that, a restart will ask for the body again. */
  releaseLive(group: GroupId, index: LogIndex, bytes: number, at: LogIndex): void;
  /** After a restart: all that lives was added. Before this nothing of the group is given up. */
  accounted(group: GroupId): void;
  /** A durable checkpoint holds the group's state after entry `index`. */
  checkpointed(group: GroupId, index: LogIndex): void;
  /**
   * Memory for an entry's payload that the journal's thread can write without a copy (R20). It is shared with other entries
   * of the group only: what one group keeps for long must not keep what another one has long given up.
   */
  allocate(group: GroupId, bytes: number): Uint8Array;
}
