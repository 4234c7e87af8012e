import type { Canary } from './canary.ts';

/** Readers that miss something of a stream, and streams that lose it. */
export const STREAM_CANARIES: readonly Canary[] = [
  {
    name: 'reader-passed-over',
    breaks: 'now and then a reader does not get a message that the stream has',
    file: 'src/queue/delivery.ts',
    find: 'consumer.cursor = position + 1;',
    replace: 'consumer.cursor = position + (position % 7 === 3 ? 2 : 1);',
    runsMax: 300,
  },
  {
    name: 'cursor-forgotten-in-checkpoint',
    breaks: 'after a restart or a snapshot readers begin anew (R14)',
    file: 'src/queue/consumers.ts',
    find: 'if (this.isReader) out.u48(this.cursor);',
    replace: 'if (this.isReader) out.u48(0);',
    runsMax: 300,
  },
  {
    name: 'held-message-dropped',
    breaks: 'what a reader holds is gone when the stream has dropped it: a new leader cannot send it again (R25)',
    file: 'src/queue/reference-drop.ts',
    find: 'if (chunk.storage!.counts[i] === 0) {',
    replace: 'if (chunk.storage!.counts[i] === 0 || chunk.alive === 3) {',
    runsMax: 200,
  },
  {
    name: 'dropped-message-kept-for-ever',
    breaks: 'what the stream has dropped stays on disk when its last reader lets go (R13)',
    file: 'src/queue/reference-drop.ts',
    find: 'if (counts[i]! > 0 || states[i] !== ReferenceState.checkedOut) return;',
    replace: 'if (counts[i]! >= 0 || states[i] !== ReferenceState.checkedOut) return;',
    runsMax: 300,
  },
  {
    name: 'repeated-delivery-of-another-offset',
    breaks: 'what is sent again after a change of leaders says another offset',
    file: 'src/cluster/shard/shard-frames.ts',
    find: 'if (isInStream) out.u48(offset);',
    replace: 'if (isInStream) out.u48(mayLeap ? offset + 1 : offset);',
    runsMax: 200,
  },
];
