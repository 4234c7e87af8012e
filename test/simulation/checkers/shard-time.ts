import { ByteReader } from '../../../src/lib/bytes.ts';
import type { GroupId, LogIndex, Term } from '../../../src/lib/ids.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import { EntryKind } from '../../../src/raft/messages.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/** While it is steered, shard time is so much faster or slower than the leader's monotonic clock, at most. */
const STEERING_MAX = 0.1;
/** Behind the version of the payload. */
const TIME_AT = 1;
const TOLERANCE_MS = 1;

/**
 * Shard time (R28): along the log it never goes back; within a term it moves with the leader's monotonic clock, give or take the
 * steering; and it jumps forward only to where the wall clocks of a majority are or were.
 */
export class ShardTimeChecker extends Checker {
  readonly title = 'shard time';
  /** By group: the times of what was applied, by index. */
  readonly #applied = new Map<GroupId, { index: LogIndex; timeMs: number }>();
  readonly #written = new Map<SimReplica, { term: Term; timeMs: number; monotonicMs: number }>();

  /** The first replica that applies an entry; the others have the same one. */
  override onApply(replica: SimReplica, { index }: ApplyMeta, payload: Uint8Array): void {
    const known = this.#applied.get(replica.group);
    if (known !== undefined && index <= known.index) return;
    const timeMs = timeOf(payload);
    if (known !== undefined && timeMs < known.timeMs) {
      this.fail(
        `the time of group ${replica.group} goes back by ${known.timeMs - timeMs} ms from entry ${known.index} to ${index}`,
      );
    }
    this.#applied.set(replica.group, { index, timeMs });
  }

  override onWrite(replica: SimReplica, { entries }: GroupWrite): void {
    if (replica.raft.role !== 'leader') return;
    for (const { kind, term, payload } of entries) {
      if (kind === EntryKind.command && term === replica.raft.term) this.#checkPace(replica, term, timeOf(payload));
    }
  }

  #checkPace(replica: SimReplica, term: Term, timeMs: number): void {
    const { monotonicMs } = replica.node;
    const before = this.#written.get(replica);
    this.#written.set(replica, { term, timeMs, monotonicMs });
    if (before?.term !== term) return;
    const elapsed = monotonicMs - before.monotonicMs;
    const moved = timeMs - before.timeMs;
    const name = `node ${replica.node.id} moves the time of group ${replica.group} by ${moved} ms while its clock moves by ${elapsed}`;
    if (moved < elapsed * (1 - STEERING_MAX) - TOLERANCE_MS) this.fail(name);
    if (moved > elapsed * (1 + STEERING_MAX) + TOLERANCE_MS && !this.#isSaidByMajority(replica, timeMs)) {
      this.fail(`${name}; no majority of the voters' wall clocks was ever there`);
    }
  }

  /** Clocks may have been set back since they were heard, and run at other rates. */
  #isSaidByMajority({ raft }: SimReplica, timeMs: number): boolean {
    const { voters } = raft.membership;
    const { clockSkew, electionTicks: _ } = this.cluster.swarm;
    const toleranceMs = TOLERANCE_MS + 2 * (clockSkew ?? 0) * this.cluster.world.nowMs;
    const ahead = voters.filter(voter => this.cluster.node(voter).clock.wallMsMax + toleranceMs >= timeMs);
    return ahead.length * 2 > voters.length;
  }
}

const timeOf = (payload: Uint8Array): number => new ByteReader(payload.subarray(TIME_AT)).f64();
