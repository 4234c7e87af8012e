import { nodeId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { type Entry, EntryKind, type RaftMessage } from '../../src/raft/messages.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { RecoveredState } from '../../src/raft/ready.ts';
import { DEFAULT_OPTIONS } from '../scenario/replica.ts';

export const [ONE, TWO, THREE] = [nodeId(1), nodeId(2), nodeId(3)];
export const THREE_VOTERS = { voters: [ONE, TWO, THREE], outgoing: [], learners: [] };
export const ALONE = { voters: [ONE], outgoing: [], learners: [] };

export const recovered = (given: Partial<RecoveredState> = {}): RecoveredState => ({
  hardState: { term: 1, vote: undefined, commit: 0 },
  base: { term: 0, index: 0 },
  membership: THREE_VOTERS,
  log: [],
  configurations: [],
  applied: 0,
  damaged: false,
  ...given,
});

export const newRaft = (given: Partial<RecoveredState> = {}, options: Partial<typeof DEFAULT_OPTIONS> = {}) =>
  new Raft({ ...DEFAULT_OPTIONS, ...options, id: ONE }, recovered(given), new SeededRandom(7));

export const entry = (index: number, term: number, bytes = 1): Entry => ({
  index,
  term,
  kind: EntryKind.command,
  payload: new Uint8Array(bytes),
});

export const append = (
  term: number,
  previous: readonly [number, number],
  entries: Entry[],
  commit = 0,
): RaftMessage => ({
  type: 'append-request',
  from: TWO,
  to: ONE,
  term,
  previous: { index: previous[0], term: previous[1] },
  entries,
  commit,
});

export const accepted = (from: typeof TWO, term: number, match: number): RaftMessage => ({
  type: 'append-response',
  from,
  to: ONE,
  term,
  accepted: true,
  match,
  hint: { index: 0, term: 0 },
});

export const rejected = (from: typeof TWO, term: number, previous: number): RaftMessage => ({
  type: 'append-response',
  from,
  to: ONE,
  term,
  accepted: false,
  match: previous,
  hint: { index: 0, term: 0 },
});

/** Replica 1 of three, elected in term 2, its first entry committed with those who answer. */
export function newLeader(
  given: Partial<RecoveredState> = {},
  options: Partial<typeof DEFAULT_OPTIONS> = {},
  answering = [TWO, THREE],
): Raft {
  const raft = newRaft(given, options);
  raft.campaign('preferred');
  const { term } = raft;
  raft.step({ type: 'pre-vote-response', from: TWO, to: ONE, term: term + 1, granted: true });
  raft.writeCompleted(raft.takeReady()!.write!.number);
  raft.step({ type: 'vote-response', from: TWO, to: ONE, term: term + 1, granted: true });
  raft.writeCompleted(raft.takeReady()!.write!.number);
  for (const peer of answering) raft.step(accepted(peer, term + 1, raft.lastId.index));
  raft.takeReady();
  return raft;
}
