import { assert } from '../lib/assert.ts';
import { reached } from '../lib/reached.ts';
import { deleteQueue } from './deletion.ts';
import { expireFront } from './expiry.ts';
import { firstExpiryMs, unusedUntilMs } from './queue-deadline.ts';
import type { ShardState } from './shard-state.ts';

/** Whether something in the shard has come to its end and is still there. */
export const isExpiryDue = (state: ShardState): boolean =>
  state.deadlines.first !== undefined && state.deadlines.first.atMs <= state.timeMs;

/** Ends whatever has come to its end by the shard's time, the earliest first, until the share of this `apply` is used up. */
export function expireDue(state: ShardState): void {
  while (isExpiryDue(state)) {
    if (state.dueQueuesLeft === 0) {
      reached('shard.due-queues-left-over');
      return;
    }
    state.dueQueuesLeft--;
    const { queue } = state.deadlines.first!;
    // What expired before its queue did is expired, not deleted.
    if (firstExpiryMs(queue) <= state.timeMs) {
      if (!expireFront(state, queue)) return;
    } else {
      assert(
        unusedUntilMs(queue) <= state.timeMs,
        () => `queue ${queue.id} is due, and nothing of it has come to its end`,
      );
      reached('shard.unused-queue-expired');
      deleteQueue(state, queue);
    }
  }
}
