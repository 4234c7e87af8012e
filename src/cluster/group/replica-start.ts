import type { GroupId, LogIndex } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import type { LogBase, RecoveredGroup } from '../../raft/log-store.ts';
import type { GroupJournal } from './group-journal.ts';
import type { LoadedCheckpoint, NodeStore } from './node-store.ts';

/** What a replica begins with. */
export type ReplicaStart =
  /** It is new, or its log holds everything from the first entry on. */
  | { readonly from: 'nothing' }
  | { readonly from: 'checkpoint'; readonly loaded: LoadedCheckpoint }
  /** Part of its state is gone: it has to be filled by a leader that was elected without it (R16). */
  | { readonly from: 'a-leader'; readonly reason: string };

/** Decides from what recovery found in the journal and among the checkpoints. */
export function assessReplica(
  found: RecoveredGroup | undefined,
  loaded: LoadedCheckpoint | 'none' | 'damaged',
): ReplicaStart {
  if (found === undefined) return { from: 'nothing' };
  const { base, log, damaged } = found;
  if (damaged) return { from: 'a-leader', reason: 'records of its journal are damaged' };
  if (loaded === 'none' || loaded === 'damaged') {
    if (base.last.index === 0) return { from: 'nothing' };
    return { from: 'a-leader', reason: `its checkpoint is ${loaded === 'none' ? 'missing' : 'damaged'}` };
  }
  const last = log.at(-1)?.last ?? base.last.index;
  if (loaded.at.index < base.last.index) return { from: 'a-leader', reason: 'its log begins behind its checkpoint' };
  if (loaded.at.index > last) return { from: 'a-leader', reason: 'its log ends before its checkpoint' };
  return { from: 'checkpoint', loaded };
}

/**
 * What the disk has of a group, and whether that is all that this replica once acknowledged. One that has to be filled
 * remembers so over restarts; one that nobody can fill is an error. Who else has the group is for others to say: what the log
 * says of it may be old, and may be damaged.
 */
export async function recoverReplica(
  group: GroupId,
  { isOnlyReplica }: { readonly isOnlyReplica: boolean },
  { store, logger }: { readonly store: NodeStore; readonly logger: Logger },
): Promise<ReplicaStart> {
  const found = store.recovered.get(group);
  if (found === undefined) return { from: 'nothing' };
  const { generation } = found.base;
  const loaded = await store.loadCheckpoint(group, generation);
  const start = assessReplica(found, loaded);
  await store.keepGeneration(group, start.from === 'nothing' && loaded !== 'none' ? undefined : generation);
  if (start.from !== 'a-leader') return start;
  if (isOnlyReplica) {
    throw new Error(
      `group ${group} is damaged and no other node has it: ${start.reason}; empty this node's data directory`,
    );
  }
  logger.error({ group, reason: start.reason }, 'a replica is damaged and waits for a leader to fill it');
  await store.setDamaged(group, true);
  return start;
}

/**
 * The journal of a replica that is to be filled by a leader. What is there stays as it is, since it may be the last copy
 * of something, until a snapshot takes its place, or the leader begins with the first entry: then the log begins anew.
 */
export class RefilledJournal implements GroupJournal {
  readonly #journal: GroupJournal;
  readonly #old: LogBase;
  #isBegun = false;

  constructor(journal: GroupJournal, old: LogBase) {
    this.#journal = journal;
    this.#old = old;
  }

  append: GroupJournal['append'] = (write, durable) => {
    if (this.#isBegun || (write.base === undefined && write.entries.length === 0)) {
      this.#journal.append(write, durable);
      return;
    }
    this.#isBegun = true;
    if (write.base !== undefined) {
      this.#journal.append(write, durable);
      return;
    }
    const { membership, generation } = this.#old;
    const base: LogBase = { last: { term: 0, index: 0 }, membership, generation: generation + 1 };
    this.#journal.append({ ...write, base }, durable);
    this.#journal.accounted(write.group);
  };

  readEntries: GroupJournal['readEntries'] = (group, from, to, bytesMax, done) =>
    this.#journal.readEntries(group, from, to, bytesMax, done);

  addLive(group: GroupId, index: LogIndex, bytes: number): void {
    this.#journal.addLive(group, index, bytes);
  }
  releaseLive(group: GroupId, index: LogIndex, bytes: number, at: LogIndex): void {
    this.#journal.releaseLive(group, index, bytes, at);
  }
  accounted(group: GroupId): void {
    this.#journal.accounted(group);
  }
  checkpointed(group: GroupId, index: LogIndex): void {
    this.#journal.checkpointed(group, index);
  }
  allocate(group: GroupId, bytes: number): Uint8Array {
    return this.#journal.allocate(group, bytes);
  }
}
