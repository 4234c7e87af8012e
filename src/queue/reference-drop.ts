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

/** The stream does not keep the message any more. For those who hold it, it stays: it may have to be sent to them again. */
export function dropFromStream(state: ShardState, chunk: ReferenceChunk, i: number): void {
  if (chunk.storage!.counts[i] === 0) {
    dropReference(state, chunk, i);
    return;
  }
  reached('shard.dropped-message-is-held');
  state.tracker.touch(chunk);
  chunk.storage!.states[i] = ReferenceState.checkedOut;
}

/** A reader of a stream does not hold the message at `position` any more, whatever it made of it. */
export function letGo(state: ShardState, queue: QueueState, position: number): void {
  const chunk = queue.chunkOfHeld(position);
  state.tracker.touch(chunk);
  const i = position - chunk.origin;
  const { counts, states } = chunk.storage!;
  counts[i]!--;
  if (counts[i]! > 0 || states[i] !== ReferenceState.checkedOut) return;
  dropReference(state, chunk, i);
  if (chunk.alive === 0) queue.chunkEmptied(state.tracker, state.pool, chunk);
}

/** Drops what a purge left in this chunk. To be called before a reference of the chunk becomes ready again. */
export function freshen(state: ShardState, queue: QueueState, chunk: ReferenceChunk): void {
  if (chunk.generation === queue.generation) return;
  state.tracker.touch(chunk);
  reached('shard.purged-chunk-freshened');
  chunk.generation = queue.generation;
  const drop = queue.stream === undefined ? dropReference : dropFromStream;
  for (let i = 0; i < chunk.count; i++) {
    if (chunk.storage!.states[i] === ReferenceState.ready) drop(state, chunk, i);
  }
}

/** Goes on releasing what purges and deletions left behind, a chunk at a time. */
export function continueDrops(state: ShardState): void {
  const { drops } = state.pending;
  while (drops.length > 0 && state.dropsLeft > 0) {
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
    if (state.dropsLeft <= 0) return false;
    state.dropsLeft -= chunk.count;
    freshen(state, queue, chunk);
    if (chunk.alive === 0) queue.chunkEmptied(state.tracker, state.pool, chunk);
  }
  return true;
}

function stepDelete(state: ShardState, queue: QueueState): boolean {
  if (!queue.chunks) return true;
  for (const chunk of queue.chunks.values()) {
    if (state.dropsLeft <= 0) return false;
    state.dropsLeft -= chunk.count;
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
    state.dropsLeft -= tail.count;
    freshen(state, queue, tail);
    if (tail.alive === 0) queue.chunkEmptied(state.tracker, state.pool, tail);
  }
  if (!stepPurge(state, queue) && !state.pending.drops.some(work => work.queue === queue)) {
    state.pending.drops.push({ kind: 'purge', queue });
  }
  return messages;
}
