import type { LogIndex } from '../../src/lib/ids.ts';
import type { RecoveredGroup } from '../../src/raft/log-store.ts';
import type { Membership } from '../../src/raft/messages.ts';
import type { SimReplica } from './sim-replica.ts';

/** What a log says about who takes part: what holds at the base or the commit index, and every change behind it. */
export interface KnownMemberships {
  readonly commit: LogIndex;
  readonly changes: readonly { readonly index: LogIndex; readonly membership: Membership }[];
}

/** Of a replica that runs. */
export function membershipsIn({ raft }: SimReplica): KnownMemberships {
  const changes: { index: LogIndex; membership: Membership }[] = [];
  for (let index = raft.commit; index <= raft.lastId.index; index++) {
    const membership = raft.membershipAt(index);
    if (changes.at(-1)?.membership !== membership && membership.voters.length > 0) changes.push({ index, membership });
  }
  return { commit: raft.commit, changes };
}

/** What may be left of it after a crash is known, too. */
export function withDisk(
  known: KnownMemberships | undefined,
  found: RecoveredGroup | undefined,
): KnownMemberships | undefined {
  if (found === undefined) return known;
  const { base, configurations, hardState } = found;
  const changes = [{ index: base.last.index, membership: base.membership }, ...configurations];
  return {
    commit: Math.max(hardState.commit, base.last.index, known?.commit ?? 0),
    changes: [...changes.filter(({ membership }) => membership.voters.length > 0), ...(known?.changes ?? [])],
  };
}
