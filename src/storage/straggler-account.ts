import type { GroupId } from '../lib/ids.ts';

interface Balance {
  liveBytes: number;
  /** Of messages that left since the last sweep, which are still stored. */
  deadBytes: number;
  /** What an earlier life left behind is not known. */
  isUnswept: boolean;
}

/** Less than this is not worth a sweep. */
const DEAD_BYTES_MIN = 8 * 1024 * 1024;

/** How much of the messages that were moved out of the journal is still alive (R13), by group. */
export class StragglerAccount {
  readonly #balances = new Map<GroupId, Balance>();

  add(group: GroupId, bytes: number): void {
    this.#balanceOf(group).liveBytes += bytes;
  }

  release(group: GroupId, bytes: number): void {
    const balance = this.#balanceOf(group);
    balance.liveBytes -= bytes;
    balance.deadBytes += bytes;
  }

  /** The group's messages are told anew, after a restart or from a snapshot: what else is stored of it is not known. */
  reset(group: GroupId): void {
    this.#balances.set(group, { liveBytes: 0, deadBytes: 0, isUnswept: true });
  }

  /** A sweep begins: what dies from now on counts for the next one. */
  sweeping(group: GroupId): void {
    const balance = this.#balanceOf(group);
    balance.deadBytes = 0;
    balance.isUnswept = false;
  }

  /** Groups of whose stragglers more is dead than alive, or nothing is known. */
  sweepsWanted(): GroupId[] {
    const wanted: GroupId[] = [];
    for (const [group, { liveBytes, deadBytes, isUnswept }] of this.#balances) {
      if (isUnswept || deadBytes >= Math.max(liveBytes, DEAD_BYTES_MIN)) wanted.push(group);
    }
    return wanted;
  }

  #balanceOf(group: GroupId): Balance {
    let balance = this.#balances.get(group);
    if (balance === undefined) {
      balance = { liveBytes: 0, deadBytes: 0, isUnswept: false };
      this.#balances.set(group, balance);
    }
    return balance;
  }
}
