import { describe, expect, it } from 'vitest';
import { utf8Encode } from '../../src/lib/bytes.ts';
import { type NodeId, nodeId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { type Entry, EntryKind, type Membership, type RaftMessage } from '../../src/raft/messages.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { Ready, RecoveredState } from '../../src/raft/ready.ts';
import { DEFAULT_OPTIONS } from '../scenario/replica.ts';

/**
 * One test per safety sentence of "In Search of an Understandable Consensus Algorithm (Extended Version)". Each has the
 * section in its name and three parts: the state, what happens, what the sentence says about it. Replica 1 is the one
 * under test; the others are messages.
 */

const T = DEFAULT_OPTIONS.electionTimeoutTicks;
const ids = (...values: number[]): NodeId[] => values.map(nodeId);
const votersUpTo = (count: number): Membership => ({
  voters: ids(...Array.from({ length: count }, (_, at) => at + 1)),
  outgoing: [],
  learners: [],
});

interface Start {
  readonly term?: number;
  readonly vote?: number;
  readonly commit?: number;
  /** The term of each entry, from index 1 on. */
  readonly log?: readonly number[];
  readonly size?: number;
  readonly seed?: number;
}

function replica({ term = 1, vote, commit = 0, log = [], size = 3, seed = 1 }: Start = {}): Raft {
  const recovered: RecoveredState = {
    hardState: { term, vote: vote === undefined ? undefined : nodeId(vote), commit },
    base: { term: 0, index: 0 },
    membership: votersUpTo(size),
    log: log.map((entryTerm, at) => ({ term: entryTerm, first: at + 1, last: at + 1 })),
    configurations: [],
    applied: 0,
    damaged: false,
  };
  return new Raft({ ...DEFAULT_OPTIONS, id: nodeId(1) }, recovered, new SeededRandom(seed));
}

const entry = (index: number, term: number, text = ''): Entry => ({
  index,
  term,
  kind: EntryKind.command,
  payload: utf8Encode(text),
});

const header = (from: number, term: number) => ({ from: nodeId(from), to: nodeId(1), term });

const append = (from: number, term: number, previous: readonly [number, number], terms: number[] = [], commit = 0) =>
  ({
    ...header(from, term),
    type: 'append-request',
    previous: { index: previous[0], term: previous[1] },
    entries: terms.map((entryTerm, at) => entry(previous[0] + 1 + at, entryTerm)),
    commit,
  }) satisfies RaftMessage;

const accepted = (from: number, term: number, match: number): RaftMessage => ({
  ...header(from, term),
  type: 'append-response',
  accepted: true,
  match,
  hint: { index: 0, term: 0 },
});

const voteRequest = (from: number, term: number, last: readonly [number, number]): RaftMessage => ({
  ...header(from, term),
  type: 'vote-request',
  last: { index: last[0], term: last[1] },
  force: false,
});

const vote = (from: number, term: number, granted = true): RaftMessage => ({
  ...header(from, term),
  type: 'vote-response',
  granted,
});

const heartbeat = (from: number, term: number, commit = 0): RaftMessage => ({
  ...header(from, term),
  type: 'heartbeat',
  commit,
  readRound: 0,
});

/** Everything that leaves: what is sent at once, and, its write being completed, what waited for that. */
function flush(raft: Raft): RaftMessage[] {
  const sent: RaftMessage[] = [];
  for (let ready = raft.takeReady(); ready !== undefined; ready = raft.takeReady()) {
    sent.push(...ready.messages);
    if (ready.write === undefined) continue;
    raft.writeCompleted(ready.write.number);
    sent.push(...ready.write.release);
  }
  return sent;
}

/** Through the pre-vote into the next term; its own vote is durable. */
function becomeCandidate(raft: Raft, peers: readonly number[] = [2, 3]): RaftMessage[] {
  raft.campaign('preferred');
  for (const peer of peers) {
    raft.step({ ...header(peer, raft.term + 1), type: 'pre-vote-response', granted: true });
    if (raft.role === 'candidate') break;
  }
  expect(raft.role).toBe('candidate');
  return flush(raft);
}

/** Elected by `peers`, with its own writes durable. */
function becomeLeader(raft: Raft, peers: readonly number[] = [2]): RaftMessage[] {
  becomeCandidate(raft, peers);
  for (const peer of peers) raft.step(vote(peer, raft.term));
  expect(raft.role).toBe('leader');
  return flush(raft);
}

const ofType = <Type extends RaftMessage['type']>(messages: readonly RaftMessage[], type: Type) =>
  messages.filter((message): message is RaftMessage & { type: Type } => message.type === type);

const termsOf = (raft: Raft): (number | undefined)[] =>
  Array.from({ length: raft.lastId.index }, (_, at) => raft.termAt(at + 1));

describe('5.1 Raft basics', () => {
  it('5.1: if one server has a smaller term than another, it updates its term to the larger value', () => {
    const messages = [
      append(2, 4, [0, 0]),
      heartbeat(2, 4),
      voteRequest(2, 4, [0, 0]),
      vote(2, 4, false),
      accepted(2, 4, 0),
    ];
    for (const message of messages) {
      const raft = replica({ term: 1 });
      raft.step(message);
      expect(raft.term, message.type).toBe(4);
    }
  });

  it('5.1: if a candidate or leader discovers that its term is out of date, it reverts to follower state', () => {
    const candidate = replica();
    becomeCandidate(candidate);
    candidate.step(vote(2, 9, false));
    const leader = replica();
    becomeLeader(leader);
    leader.step(accepted(2, 9, 0));
    for (const raft of [candidate, leader])
      expect([raft.role, raft.term, raft.leader]).toEqual(['follower', 9, undefined]);
  });

  it('5.1: a request with a stale term is rejected, and the answer tells the current one', () => {
    const raft = replica({ term: 3, log: [1] });
    raft.step(append(2, 2, [1, 1], [2]));
    raft.step(voteRequest(2, 2, [9, 2]));
    raft.step(heartbeat(2, 2, 1));
    const sent = flush(raft);
    expect(sent).toMatchObject([
      { type: 'append-response', accepted: false, term: 3 },
      { type: 'vote-response', granted: false, term: 3 },
      { type: 'heartbeat-response', term: 3 },
    ]);
    expect([raft.lastId.index, raft.commit]).toEqual([1, 0]);
  });
});

describe('5.2 Leader election', () => {
  it('5.2: when servers start up, they begin as followers', () => {
    expect(replica().role).toBe('follower');
  });

  it('5.2: a server remains a follower as long as it receives valid messages from a leader', () => {
    const raft = replica();
    for (let tick = 0; tick < 10 * T; tick++) {
      raft.step(heartbeat(2, 1));
      raft.tick();
    }
    expect([raft.role, raft.leader, raft.term]).toEqual(['follower', 2, 1]);
  });

  it('5.2: a leader sends periodic heartbeats to all followers', () => {
    const raft = replica();
    becomeLeader(raft);
    for (let tick = 0; tick < DEFAULT_OPTIONS.heartbeatTicks; tick++) raft.tick();
    expect(ofType(flush(raft), 'heartbeat').map(message => message.to)).toEqual([2, 3]);
  });

  it('5.2: to begin an election, a follower increments its term, votes for itself and requests votes of all others', () => {
    const raft = replica({ term: 4, log: [1, 4] });
    const requests = ofType(becomeCandidate(raft), 'vote-request');
    expect([raft.role, raft.term, raft.status().vote]).toEqual(['candidate', 5, 1]);
    expect(requests.map(({ to, term, last }) => [to, term, last])).toEqual([
      [2, 5, { term: 4, index: 2 }],
      [3, 5, { term: 4, index: 2 }],
    ]);
  });

  it('5.2: a candidate wins with votes from a majority of the servers in the full cluster for the same term', () => {
    const outcomes = [
      { size: 1, votes: [], role: 'leader' },
      { size: 3, votes: [2], role: 'leader' },
      { size: 3, votes: [], role: 'candidate' },
      { size: 5, votes: [2], role: 'candidate' },
      { size: 5, votes: [2, 5], role: 'leader' },
      { size: 5, votes: [2, 2, 2], role: 'candidate' },
      { size: 4, votes: [2], role: 'candidate' },
      { size: 3, votes: [7, 8, 9], role: 'candidate' },
    ];
    for (const { size, votes, role } of outcomes) {
      const raft = replica({ size });
      if (size === 1) {
        raft.campaign('preferred');
        flush(raft);
      } else {
        becomeCandidate(raft, [2, 3, 4]);
      }
      for (const peer of votes) raft.step(vote(peer, raft.term));
      expect(raft.role, `${votes} of ${size}`).toBe(role);
    }
  });

  it('5.2: votes of an earlier term do not count', () => {
    const raft = replica({ term: 4 });
    becomeCandidate(raft);
    raft.step(vote(2, 4));
    raft.step(vote(3, 4));
    expect(raft.role).toBe('candidate');
  });

  it('5.2: each server votes for at most one candidate in a given term, first come, first served', () => {
    const raft = replica({ term: 1 });
    raft.step(voteRequest(2, 2, [0, 0]));
    raft.step(voteRequest(3, 2, [5, 1]));
    raft.step(voteRequest(2, 2, [0, 0]));
    const answers = ofType(flush(raft), 'vote-response');
    const granted = answers.filter(answer => answer.granted).map(answer => answer.to);
    expect([...new Set(granted)]).toEqual([2]);
    expect(answers.filter(answer => !answer.granted).map(answer => answer.to)).toEqual([3]);
  });

  it('5.2: a vote is remembered over a restart', () => {
    const raft = replica({ term: 2, vote: 2 });
    raft.step(voteRequest(3, 2, [9, 2]));
    expect(ofType(flush(raft), 'vote-response')).toMatchObject([{ to: 3, granted: false }]);
    raft.step(voteRequest(2, 2, [0, 0]));
    expect(ofType(flush(raft), 'vote-response')).toMatchObject([{ to: 2, granted: true }]);
  });

  it('5.2: a candidate that hears from a leader of a term at least as large returns to follower state', () => {
    for (const term of [2, 3]) {
      const raft = replica({ term: 1 });
      becomeCandidate(raft);
      raft.step(append(3, term, [0, 0]));
      expect([raft.role, raft.term, raft.leader]).toEqual(['follower', term, 3]);
    }
  });

  it('5.2: a candidate rejects a message of a smaller term and continues in candidate state', () => {
    const raft = replica({ term: 5 });
    becomeCandidate(raft);
    raft.step(append(3, 5, [0, 0], [5]));
    expect([raft.role, raft.term, raft.lastId.index]).toEqual(['candidate', 6, 0]);
    expect(ofType(flush(raft), 'append-response')).toMatchObject([{ accepted: false, term: 6 }]);
  });

  it('5.2: on a split vote each candidate times out and starts a new election in a new term', () => {
    const raft = replica({ size: 5 });
    becomeCandidate(raft, [2, 3]);
    raft.step(vote(2, 2));
    raft.step(vote(4, 2, false));
    for (let tick = 0; tick < 2 * T; tick++) raft.tick();
    expect(raft.role).toBe('pre-candidate');
    raft.step({ ...header(2, 3), type: 'pre-vote-response', granted: true });
    raft.step({ ...header(3, 3), type: 'pre-vote-response', granted: true });
    expect([raft.role, raft.term]).toEqual(['candidate', 3]);
  });

  it('5.2: election timeouts are chosen randomly from a fixed interval', () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const raft = replica({ seed });
      let ticks = 0;
      while (raft.role === 'follower') {
        raft.tick();
        ticks += 1;
      }
      seen.add(ticks);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: T }, (_, at) => T + at));
  });
});

describe('5.3 Log replication', () => {
  it('5.3: the leader appends a command to its log as a new entry and sends it to each of the others', () => {
    const raft = replica();
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    raft.step(accepted(3, 2, 1));
    flush(raft);
    const result = raft.propose(utf8Encode('x'));
    const appends = ofType(flush(raft), 'append-request');
    expect(result).toEqual({ proposed: true, id: { term: 2, index: 2 } });
    expect(appends.map(({ to, previous, entries }) => [to, previous, entries.map(each => each.index)])).toEqual([
      [2, { term: 2, index: 1 }, [2]],
      [3, { term: 2, index: 1 }, [2]],
    ]);
  });

  it('5.3: an entry is committed once the leader that created it has replicated it on a majority', () => {
    const raft = replica({ size: 5 });
    becomeLeader(raft, [2, 3]);
    raft.propose(utf8Encode('x'));
    flush(raft);
    raft.step(accepted(2, 2, 2));
    expect(raft.commit).toBe(0);
    raft.step(accepted(3, 2, 2));
    expect(raft.commit).toBe(2);
  });

  it('5.3: the leader counts itself only when the entry is on its own disk', () => {
    const raft = replica();
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    raft.propose(utf8Encode('x'));
    const ready = raft.takeReady() as Ready;
    raft.step(accepted(2, 2, 2));
    expect(raft.commit).toBe(1);
    raft.writeCompleted(ready.write!.number);
    expect(raft.commit).toBe(2);
  });

  it('5.3: the leader includes the highest index it knows to be committed, and followers learn of it', () => {
    const leader = replica();
    becomeLeader(leader);
    leader.step(accepted(2, 2, 1));
    expect(ofType(flush(leader), 'append-request')).toMatchObject([{ to: 2, commit: 1 }]);
    const follower = replica();
    follower.step(append(2, 1, [0, 0], [1, 1, 1], 2));
    expect(follower.commit).toBe(2);
  });

  it('5.3: a follower commits no further than the last entry that it knows to share with the leader', () => {
    const raft = replica({ log: [1, 1, 1] });
    raft.step(append(2, 2, [1, 1], [], 3));
    expect(raft.commit).toBe(1);
  });

  it('5.3: the leader retries until all followers eventually store all log entries', () => {
    const raft = replica();
    const first = ofType(becomeLeader(raft), 'append-request').filter(message => message.to === 3);
    let again: RaftMessage[] = [];
    for (let round = 0; round < 3; round++) {
      raft.step({ ...header(3, 2), type: 'heartbeat-response', readRound: 0, lastIndex: 0 });
      again = again.concat(ofType(flush(raft), 'append-request').filter(message => message.to === 3));
    }
    expect(again[0]).toEqual(first[0]);
  });

  it('5.3: if the follower has no entry of the previous index and term, it refuses the new entries', () => {
    const cases = [
      { previous: [3, 2], hint: { index: 2, term: 2 } },
      { previous: [2, 1], hint: { index: 1, term: 1 } },
      { previous: [2, 3], hint: { index: 2, term: 2 } },
    ] as const;
    for (const { previous, hint } of cases) {
      const raft = replica({ term: 3, log: [1, 2] });
      raft.step(append(2, 3, previous, [3]));
      expect(ofType(flush(raft), 'append-response')).toMatchObject([{ accepted: false, match: previous[0], hint }]);
      expect(termsOf(raft)).toEqual([1, 2]);
    }
  });

  it("5.3: conflicting entries in follower logs are overwritten with entries from the leader's log (figure 7)", () => {
    const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const followers = {
      a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
      b: [1, 1, 1, 4],
      c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      e: [1, 1, 1, 4, 4, 4, 4],
      f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    };
    for (const [name, log] of Object.entries(followers)) {
      const raft = replica({ term: 7, log });
      let next = leader.length;
      raft.step(append(2, 8, [next, leader[next - 1]!], [8]));
      for (let answer = ofType(flush(raft), 'append-response')[0]!; !answer.accepted; ) {
        const tried = next;
        next = answer.hint.index;
        while (next > 0 && leader[next - 1]! > answer.hint.term) next -= 1;
        expect(next, name).toBeLessThan(tried);
        raft.step(append(2, 8, [next, leader[next - 1] ?? 0], [...leader.slice(next), 8]));
        answer = ofType(flush(raft), 'append-response')[0]!;
      }
      expect(termsOf(raft), name).toEqual([...leader, 8]);
    }
  });

  it('5.3: on a rejection the leader goes back to where the logs may agree', () => {
    const raft = replica({ term: 6, log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6] });
    becomeLeader(raft);
    raft.step({ ...header(3, 7), type: 'append-response', accepted: false, match: 10, hint: { index: 10, term: 3 } });
    expect(raft.takeReady()!.fetches).toMatchObject([{ peer: 3, from: 4 }]);
    raft.entriesFetched(nodeId(3), [entry(4, 4)]);
    expect(ofType(flush(raft), 'append-request')).toMatchObject([{ to: 3, previous: { index: 3, term: 1 } }]);
  });

  it('5.3: appending is idempotent; a repeated or late request takes nothing back', () => {
    const raft = replica();
    raft.step(append(2, 1, [0, 0], [1, 1, 1]));
    raft.step(append(2, 1, [0, 0], [1]));
    raft.step(append(2, 1, [1, 1], [1]));
    expect(termsOf(raft)).toEqual([1, 1, 1]);
    expect(ofType(flush(raft), 'append-response').map(({ accepted: is, match }) => [is, match])).toEqual([
      [true, 3],
      [true, 1],
      [true, 2],
    ]);
  });

  it('5.3, leader append-only: a leader never overwrites or deletes entries in its own log', () => {
    const raft = replica({ log: [1, 1] });
    becomeLeader(raft);
    raft.step(append(3, 2, [0, 0], [2, 2, 2, 2]));
    raft.step(append(3, 2, [1, 1], [2]));
    expect([raft.role, termsOf(raft)]).toEqual(['leader', [1, 1, 2]]);
  });
});

describe('5.4 Safety', () => {
  it('5.4.1: the voter denies its vote if its own log is more up-to-date than that of the candidate', () => {
    const cases = [
      { log: [1], last: [1, 1], granted: true },
      { log: [1], last: [1, 2], granted: true },
      { log: [1], last: [9, 0], granted: false },
      { log: [1, 1], last: [1, 1], granted: false },
      { log: [1, 1], last: [1, 2], granted: true },
      { log: [1, 2], last: [9, 1], granted: false },
      { log: [], last: [0, 0], granted: true },
    ] as const;
    for (const { log, last, granted } of cases) {
      const raft = replica({ term: 2, log });
      raft.step(voteRequest(2, 3, last));
      expect(ofType(flush(raft), 'vote-response'), `${log} asked by ${last}`).toMatchObject([{ granted }]);
    }
  });

  it("5.4.2: only entries from the leader's current term are committed by counting replicas (figure 8)", () => {
    const raft = replica({ term: 2, log: [1, 2] });
    becomeLeader(raft);
    raft.step(accepted(2, 3, 2));
    raft.step(accepted(3, 3, 2));
    expect(raft.commit).toBe(0);
    raft.step(accepted(2, 3, 3));
    expect(raft.commit).toBe(3);
  });

  it('5.4.3, leader completeness: entries of earlier terms keep their term and index when a new leader sends them', () => {
    const raft = replica({ term: 2, log: [1, 2] });
    becomeLeader(raft);
    expect(termsOf(raft)).toEqual([1, 2, 3]);
  });

  it('5.4.3, state machine safety: a committed entry is never replaced', () => {
    const raft = replica();
    raft.step(append(2, 1, [0, 0], [1, 1], 2));
    raft.step(append(3, 2, [0, 0], [2, 2, 2]));
    raft.step(append(3, 2, [1, 2], [2]));
    expect([termsOf(raft), raft.commit]).toEqual([[1, 1], 2]);
  });
});

describe('5.5 to 8', () => {
  it('5.5: requests are idempotent, also those of voting', () => {
    const raft = replica();
    raft.step(voteRequest(2, 2, [0, 0]));
    raft.step(voteRequest(2, 2, [0, 0]));
    const answers = ofType(flush(raft), 'vote-response');
    expect(answers.map(answer => answer.granted)).toEqual([true, true]);
    expect(raft.status().vote).toBe(2);
  });

  it('5.6, figure 2: votes, campaigns and acknowledgements wait for stable storage', () => {
    const voter = replica();
    voter.step(voteRequest(2, 2, [0, 0]));
    const follower = replica();
    follower.step(append(2, 1, [0, 0], [1]));
    const candidate = replica();
    candidate.campaign('preferred');
    candidate.step({ ...header(2, 2), type: 'pre-vote-response', granted: true });
    candidate.step({ ...header(3, 2), type: 'pre-vote-response', granted: true });
    const held = [voter, follower, candidate].map(raft => {
      const { messages, write } = raft.takeReady()!;
      expect(messages.filter(message => !message.type.startsWith('pre-vote'))).toEqual([]);
      return [...new Set(write!.release.map(message => message.type))];
    });
    expect(held).toEqual([['vote-response'], ['append-response'], ['vote-request']]);
  });

  it('6: a server uses the latest configuration in its log, whether it is committed or not', () => {
    const raft = replica({ size: 3 });
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    flush(raft);
    expect(raft.proposeMembership(votersUpTo(5)).proposed).toBe(true);
    expect(raft.membership).toEqual({ ...votersUpTo(5), outgoing: ids(1, 2, 3) });
    expect(raft.commit).toBe(1);
  });

  it('6: during joint consensus, agreement needs separate majorities of the old and the new configuration', () => {
    const raft = replica({ size: 3 });
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    flush(raft);
    raft.proposeMembership({ voters: ids(3, 4, 5), outgoing: [], learners: [] });
    flush(raft);
    raft.step(accepted(2, 2, 2));
    raft.step(accepted(4, 2, 2));
    expect(raft.commit).toBe(1);
    raft.step(accepted(5, 2, 2));
    expect(raft.commit).toBe(2);
  });

  it('6: when the joint configuration is committed, the leader creates the entry that leaves it', () => {
    const raft = replica({ size: 3 });
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    flush(raft);
    const target = { voters: ids(1, 2), outgoing: [], learners: [] };
    raft.proposeMembership(target);
    flush(raft);
    raft.step(accepted(2, 2, 2));
    expect([raft.membership, raft.lastId.index]).toEqual([target, 3]);
  });

  it('6: a leader that is not part of the new configuration steps down once that is committed', () => {
    const raft = replica({ size: 3 });
    becomeLeader(raft);
    raft.step(accepted(2, 2, 1));
    flush(raft);
    raft.proposeMembership({ voters: ids(2, 3), outgoing: [], learners: [] });
    flush(raft);
    for (const index of [2, 3]) {
      expect(raft.role).toBe('leader');
      raft.step(accepted(2, 2, index));
      raft.step(accepted(3, 2, index));
      if (index === 2) flush(raft);
    }
    expect([raft.role, raft.commit]).toEqual(['follower', 3]);
    for (let tick = 0; tick < 4 * T; tick++) raft.tick();
    expect(raft.role).toBe('follower');
  });

  it('6: servers disregard vote requests when they believe a current leader exists', () => {
    const raft = replica();
    raft.step(heartbeat(2, 1));
    flush(raft);
    raft.step(voteRequest(3, 5, [9, 4]));
    expect([raft.term, flush(raft)]).toEqual([1, []]);
    for (let tick = 0; tick < T; tick++) raft.tick();
    raft.step(voteRequest(3, 5, [9, 4]));
    expect(ofType(flush(raft), 'vote-response')).toMatchObject([{ to: 3, granted: true, term: 5 }]);
  });

  it("7: a follower that has the snapshot's last entry keeps what follows; otherwise its whole log goes", () => {
    const membership = votersUpTo(3);
    const cases = [
      { last: { index: 2, term: 2 }, left: [undefined, 2, 2] },
      { last: { index: 2, term: 3 }, left: [undefined, 3] },
    ];
    for (const { last, left } of cases) {
      const raft = replica({ term: 3, log: [1, 2, 2] });
      raft.step({ ...header(2, 3), type: 'snapshot-offer', snapshot: { last, membership } });
      flush(raft);
      if (raft.installing !== undefined) raft.snapshotInstalled({ last, membership });
      else {
        raft.appliedTo(2);
        raft.compactTo(last);
      }
      expect([termsOf(raft), raft.commit]).toEqual([left, 2]);
    }
  });

  it('8: each leader commits a blank no-op entry at the start of its term', () => {
    const raft = replica({ term: 4, log: [1, 4] });
    const [message] = ofType(becomeLeader(raft), 'append-request');
    expect(message!.entries).toMatchObject([{ kind: EntryKind.empty, term: 5, index: 3 }]);
  });

  it('8: a leader exchanges heartbeats with a majority before it answers a read, and knows what is committed', () => {
    const raft = replica();
    becomeLeader(raft);
    raft.readIndex(7);
    const [beat] = ofType(flush(raft), 'heartbeat');
    raft.step({ ...header(2, 2), type: 'heartbeat-response', readRound: beat!.readRound, lastIndex: 0 });
    expect(raft.takeReady()?.reads ?? []).toEqual([]);
    raft.step(accepted(2, 2, 1));
    expect(raft.takeReady()!.reads).toEqual([{ context: 7, index: 1 }]);
    raft.readIndex(8);
    flush(raft);
    raft.step({ ...header(3, 2), type: 'heartbeat-response', readRound: 1, lastIndex: 1 });
    expect(raft.takeReady()?.reads ?? []).toEqual([]);
    raft.step({ ...header(3, 2), type: 'heartbeat-response', readRound: 2, lastIndex: 1 });
    expect(raft.takeReady()!.reads).toEqual([{ context: 8, index: 1 }]);
  });
});
