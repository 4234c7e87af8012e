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

/** Of a node that is down: what its disk says, which may be less than its log said when it stopped. Undefined if it knows nothing. */
export function membershipsOnDisk(
  found: RecoveredGroup | undefined,
  stopped: KnownMemberships | undefined,
): KnownMemberships | undefined {
  if (found === undefined) return stopped;
  const { base, configurations, hardState } = found;
  const changes = [{ index: base.last.index, membership: base.membership }, ...configurations];
  return {
    commit: Math.max(hardState.commit, base.last.index, stopped?.commit ?? 0),
    changes: [...changes.filter(({ membership }) => membership.voters.length > 0), ...(stopped?.changes ?? [])],
  };
}
