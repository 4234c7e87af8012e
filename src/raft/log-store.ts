import type { GroupId, LogIndex } from '../lib/ids.ts';
import type { Entry, EntryId, HardState, Membership } from './messages.ts';
import type { TermRun } from './ready.ts';

/** What one group asks the journal to make durable in one turn. */
export interface GroupWrite {
  readonly group: GroupId;
  readonly hardState: HardState | undefined;
  /** Ascending and gapless. If the first is not behind the group's last entry, everything from it on is replaced. */
  readonly entries: readonly Entry[];
  /** New base of the log proper: entries at or below are covered by a durable checkpoint (R13). */
  readonly base: LogBase | undefined;
}

/** Where a group's log begins, which membership held there, and which generation of its state it continues (R17). */
export interface LogBase {
  readonly last: EntryId;
  readonly membership: Membership;
  /** Counts installed snapshots; pages and bodies of other generations are not part of the replica any more. */
  readonly generation: number;
}

/** What recovery found for one group. Payloads stay on disk; they are read by index. */
export interface RecoveredGroup {
  readonly group: GroupId;
  readonly hardState: HardState;
  readonly base: LogBase;
  readonly log: readonly TermRun[];
  readonly configurations: readonly { readonly index: LogIndex; readonly membership: Membership }[];
  /** Records that had been acknowledged are damaged or missing (R11, R16). */
  readonly damaged: boolean;
}
