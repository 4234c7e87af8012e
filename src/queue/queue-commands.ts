import { reached } from '../lib/reached.ts';
import type { Count, DeleteQueue, EnsureQueue, Purge } from './commands.ts';
import { deleteQueue } from './deletion.ts';
import type { Outcome } from './outcomes.ts';
import { noteUse } from './queue-deadline.ts';
import { QueueState } from './queue-state.ts';
import { purge } from './reference-drop.ts';
import type { Session } from './sessions.ts';
import type { ShardState } from './shard-state.ts';

/** A queue exists here from its first use on (R3); whose deletion is still remembered does not come back. */
export function ensureQueue(state: ShardState, session: Session, command: EnsureQueue): Outcome | undefined {
  const { queues, tombstones, tracker } = state;
  if (queues.has(command.queue)) return undefined;
  if (tombstones.has(command.queue)) {
    reached('shard.deleted-queue-not-created');
    return { kind: 'no-such-queue' };
  }
  if (session.topologyIndex < tombstones.prunedThrough) {
    reached('shard.stale-topology-refused');
    return { kind: 'stale-topology' };
  }
  const queue = new QueueState(command.queue, command.config);
  tracker.touch(queue);
  queues.set(command.queue, queue);
  noteUse(state, queue);
  return undefined;
}

export function purgeQueue(state: ShardState, command: Purge): Outcome {
  const queue = state.queues.get(command.queue);
  return queue ? { kind: 'purged', messages: purge(state, queue) } : { kind: 'no-such-queue' };
}

/** Asked for by every declaration of a queue that is there. */
export function countQueue(state: ShardState, command: Count): Outcome {
  const queue = state.queues.get(command.queue);
  if (!queue) return { kind: 'no-such-queue' };
  noteUse(state, queue);
  return { kind: 'counted', ready: queue.ready, consumers: queue.consumerCount };
}

/** On the command's conditions. */
export function deleteQueueIf(state: ShardState, command: DeleteQueue): Outcome {
  const queue = state.queues.get(command.queue);
  if (!queue) return { kind: 'no-such-queue' };
  if (command.ifUnused && queue.consumerCount > 0) return { kind: 'in-use' };
  if (command.ifEmpty && queue.ready > 0) return { kind: 'not-empty' };
  return { kind: 'deleted', messages: deleteQueue(state, queue) };
}
