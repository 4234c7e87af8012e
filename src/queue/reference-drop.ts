import { reached } from '../lib/reached.ts';
import { noteDeadline } from './queue-deadline.ts';
import type { QueueState } from './queue-state.ts';
import { accountedBytes, LARGE, type ReferenceChunk, ReferenceState } from './reference-chunks.ts';
import type { ShardState } from './shard-state.ts';

/** Ends a reference and releases its share of the body. The caller looks whether the chunk has run empty. */
export function dropReference(state: ShardState, chunk: ReferenceChunk, i: number): void {
  state.tracker.touch(chunk);
  const storage = chunk.storage!;
  const shares = storage.shares[i]!;
  const { bodiesReleased } = state.effects;
  if (shares === LARGE) state.large.release(state.tracker, storage.positions[i]!, bodiesReleased);
  else bodiesReleased.add(storage.entries[i]!, accountedBytes(storage.lengths[i]!, shares));
  storage.states[i] = ReferenceState.gone;
  chunk.alive--;
}

/** Drops what a purge left in this chunk. To be called before a reference of the chunk becomes ready again. */
export function freshen(state: ShardState, queue: QueueState, chunk: ReferenceChunk): void {
  if (chunk.generation === queue.generation) return;
  state.tracker.touch(chunk);
  reached('shard.purged-chunk-freshened');
  chunk.generation = queue.generation;
  for (let i = 0; i < chunk.count; i++) {
    if (chunk.storage!.states[i] === ReferenceState.ready) dropReference(state, chunk, i);
  }
}

/** Goes on releasing what purges and deletions left behind, a chunk at a time. */
export function continueDrops(state: ShardState): void {
  const { drops } = state.pending;
  while (drops.length > 0 && state.referencesLeft > 0) {
    const { kind, queue } = drops[0]!;
    const isDone = kind === 'purge' ? stepPurge(state, queue) : stepDelete(state, queue);
    if (!isDone) return;
    drops.shift();
  }
}

function stepPurge(state: ShardState, queue: QueueState): boolean {
  if (!queue.chunks) return true;
  for (const chunk of queue.chunks.values()) {
    if (chunk.generation === queue.generation) continue;
    if (state.referencesLeft <= 0) return false;
    state.referencesLeft -= chunk.count;
    freshen(state, queue, chunk);
    if (chunk.alive === 0) queue.chunkEmptied(state.tracker, state.pool, chunk);
  }
  return true;
}

function stepDelete(state: ShardState, queue: QueueState): boolean {
  if (!queue.chunks) return true;
  for (const chunk of queue.chunks.values()) {
    if (state.referencesLeft <= 0) return false;
    state.referencesLeft -= chunk.count;
    for (let i = 0; i < chunk.count; i++) {
      if (chunk.storage!.states[i] !== ReferenceState.gone) dropReference(state, chunk, i);
    }
    state.tracker.touch(chunk);
    chunk.empty(state.pool);
    state.tracker.remove(chunk);
    queue.chunks.delete(chunk.number);
  }
  queue.chunks = undefined;
  return true;
}

/** Drops all ready messages at once for every observer; their bodies are released now or in later steps. */
export function purge(state: ShardState, queue: QueueState): number {
  const messages = queue.ready;
  if (messages === 0) return 0;
  state.tracker.touch(queue);
  queue.startGeneration();
  noteDeadline(state, queue);
  state.counters.ready -= messages;
  state.counters.purged += messages;
  const tail = queue.tailChunk;
  if (tail) {
    state.referencesLeft -= tail.count;
    freshen(state, queue, tail);
    if (tail.alive === 0) queue.chunkEmptied(state.tracker, state.pool, tail);
  }
  if (!stepPurge(state, queue) && !state.pending.drops.some(work => work.queue === queue)) {
    state.pending.drops.push({ kind: 'purge', queue });
  }
  return messages;
}
