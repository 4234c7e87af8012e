import { describe, expect, it } from 'vitest';
import type { Raft } from '../../../src/raft/raft.ts';
import { DEFAULT_OPTIONS } from '../../scenario/replica.ts';
import { accepted, append, entry, newRaft, ONE, THREE, TWO } from '../../support/raft-replica.ts';

describe('a voter that is to go', () => {
  const log = [{ term: 1, first: 1, last: 3 }];
  const changed = { voters: [TWO], outgoing: [], learners: [ONE] };
  const configurations = [
    { index: 2, membership: { ...changed, outgoing: [ONE, TWO] } },
    { index: 3, membership: changed },
  ];

  it('campaigns until the change is committed, for it may be the only one that has the entry, but has no vote', () => {
    const raft = newRaft({ log, configurations, hardState: { term: 1, vote: undefined, commit: 2 } });
    raft.campaign('preferred');
    expect(raft.role).toBe('pre-candidate');
    raft.step({ type: 'pre-vote-response', from: TWO, to: ONE, term: 2, granted: true });
    raft.writeCompleted(raft.takeReady()!.write!.number);
    expect(raft.role).toBe('candidate');
    raft.step({ type: 'vote-response', from: TWO, to: ONE, term: 2, granted: true });
    raft.takeReady();
    raft.step(accepted(TWO, 2, 4));
    expect([raft.role, raft.commit]).toEqual(['follower', 4]);
    expect(raft.takeReady()!.messages).toContainEqual({ type: 'timeout-now', from: ONE, to: TWO, term: 2 });
  });

  it('does not campaign any more when the change is committed', () => {
    const raft = newRaft({ log, configurations, hardState: { term: 1, vote: undefined, commit: 3 } });
    raft.campaign('preferred');
    expect(raft.role).toBe('follower');
  });
});

describe('a learner whose log is ahead of that of a candidate', () => {
  const learner = { voters: [TWO, THREE], outgoing: [], learners: [ONE] };
  const log = [{ term: 1, first: 1, last: 3 }];
  const request = { type: 'pre-vote-request', from: TWO, to: ONE, term: 2, force: false } as const;
  const patience = 2 * DEFAULT_OPTIONS.electionTimeoutTicks;
  const wait = (raft: Raft): void => {
    for (let i = 0; i < patience; i++) raft.tick();
  };

  it('campaigns by its own log, for the other may count on its vote, and hands over what it wins', () => {
    const raft = newRaft({ log, membership: learner });
    wait(raft);
    expect(raft.role).toBe('follower');
    raft.step({ ...request, last: { term: 1, index: 2 } });
    expect(raft.takeReady()!.messages).toMatchObject([{ type: 'pre-vote-response', granted: false }]);
    wait(raft);
    expect(raft.role).toBe('pre-candidate');
    for (const from of [TWO, THREE]) raft.step({ type: 'pre-vote-response', from, to: ONE, term: 2, granted: true });
    raft.writeCompleted(raft.takeReady()!.write!.number);
    expect(raft.role).toBe('candidate');
    raft.step({ type: 'vote-response', from: TWO, to: ONE, term: 2, granted: true });
    expect(raft.role).toBe('candidate');
    raft.step({ type: 'vote-response', from: THREE, to: ONE, term: 2, granted: true });
    expect(raft.role).toBe('leader');
    raft.takeReady();
    raft.step(accepted(TWO, 2, 4));
    raft.step(accepted(THREE, 2, 4));
    expect([raft.role, raft.commit]).toEqual(['follower', 4]);
    expect(raft.takeReady()!.messages).toContainEqual({ type: 'timeout-now', from: ONE, to: TWO, term: 2 });
  });

  it.each([
    { name: 'when a leader is heard', given: {}, heard: append(1, [3, 1], []) },
    { name: 'if it has lost something', given: { damaged: true } },
    { name: 'if it does not know who votes', given: { membership: { voters: [], outgoing: [], learners: [] } } },
    { name: 'if it was removed', given: { membership: { voters: [TWO, THREE], outgoing: [], learners: [] } } },
    { name: 'if the candidate has all that it has', given: {}, last: { term: 1, index: 3 } },
  ])('does not campaign $name', ({ given, heard, last = { term: 1, index: 2 } }) => {
    const raft = newRaft({ log, membership: learner, ...given });
    raft.step({ ...request, last });
    if (heard !== undefined) raft.step(heard);
    wait(raft);
    expect(raft.role).toBe('follower');
  });
});

describe('a replica that lost what it had acknowledged', () => {
  it('is filled by no leader that may count it, though the damage took the later term with it (R16)', () => {
    const raft = newRaft({ log: [{ term: 1, first: 1, last: 2 }], damaged: true });
    const { term } = raft;
    raft.step(append(term + 1, [2, 1], [entry(3, term + 1)]));
    expect(raft.term).toBe(term + 2);
    const { messages, write } = raft.takeReady()!;
    expect(write!.entries).toEqual([]);
    expect([...messages, ...write!.release].map(({ term: told }) => told)).toEqual([term + 2]);
    raft.writeCompleted(write!.number);
    raft.step(append(term + 3, [2, 1], [entry(3, term + 3)]));
    expect(raft.term).toBe(term + 3);
    expect(raft.takeReady()!.write!.entries).toMatchObject([{ index: 3 }]);
  });

  it('is filled by no leader that counts it either if a stale one was heard before', () => {
    const raft = newRaft({ log: [{ term: 1, first: 1, last: 2 }], damaged: true });
    raft.step(append(2, [2, 1], [entry(3, 2)]));
    expect(raft.term).toBe(3);
    const heartbeat = { type: 'heartbeat', from: TWO, to: ONE, readRound: 0 } as const;
    raft.step({ ...heartbeat, term: 5, commit: 9 });
    expect(raft.term).toBe(6);
    expect(raft.takeReady()!.messages).toMatchObject([{ term: 3 }, { type: 'heartbeat-response', term: 6 }]);
    raft.step({ ...heartbeat, term: 7, commit: 0 });
    raft.step(append(7, [2, 1], [entry(3, 7)]));
    expect(raft.term).toBe(7);
  });
});
