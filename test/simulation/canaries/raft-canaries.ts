import type { Canary } from './canary.ts';

/** The rules of consensus that have to survive a crash. */
export const RAFT_CANARIES: readonly Canary[] = [
  {
    name: 'acknowledged-before-sync',
    breaks: 'a follower acknowledges entries that its disk may still lose (DESIGN section 4, Raft 5.3)',
    file: 'src/raft/follower.ts',
    find: "core.sendWhenDurable({\n    type: 'append-response',",
    replace: "core.send({\n    type: 'append-response',",
    runsMax: 200,
  },
  {
    name: 'forgotten-vote',
    breaks: 'a vote is given and not written down (Raft 5.2)',
    file: 'src/raft/core.ts',
    find: 'if (this.#vote !== to) this.hardStateChanged = true;',
    replace: '',
    runsMax: 200,
  },
  {
    name: 'old-term-counted',
    breaks: 'an entry of an earlier term is committed by counting its copies (Raft 5.4.2, figure 8)',
    file: 'src/raft/leader.ts',
    find: 'if (log.termAt(agreed) !== core.term) {',
    replace: 'if (log.termAt(agreed) === undefined) {',
    runsMax: 400,
  },
  {
    name: 'vote-in-reclaimed-segment',
    breaks: 'the head of a segment does not repeat the votes that stand in older segments (R12)',
    file: 'src/storage/record-payloads.ts',
    find: 'writer.u32(group.hardState.vote ?? 0);',
    replace: 'writer.u32(0);',
    runsMax: 200,
  },
];
