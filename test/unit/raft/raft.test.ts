import { describe, expect, it } from 'vitest';
import { nodeId } from '../../../src/lib/ids.ts';
import { EntryKind, type RaftMessage } from '../../../src/raft/messages.ts';
import { DEFAULT_OPTIONS } from '../../scenario/replica.ts';
import {
  ALONE,
  accepted,
  append,
  entry,
  newLeader,
  newRaft,
  ONE,
  rejected,
  THREE,
  THREE_VOTERS,
  TWO,
} from '../../support/raft-replica.ts';

describe('a group of one', () => {
  it('leads when its own vote is durable, and commits when its own entries are', () => {
    const raft = newRaft({ membership: ALONE });
    raft.campaign('preferred');
    expect(raft.role).toBe('candidate');
    raft.writeCompleted(raft.takeReady()!.write!.number);
    expect(raft.role).toBe('leader');
    const result = raft.propose(Uint8Array.of(1));
    expect(result).toEqual({ proposed: true, id: { term: 2, index: 2 } });
    const { write, commit } = raft.takeReady()!;
    expect([write!.entries.length, commit]).toEqual([2, 0]);
    raft.writeCompleted(write!.number);
    expect(raft.takeReady()!.commit).toBe(2);
    expect(raft.takeReady()).toBeUndefined();
  });

  it('answers a read at once', () => {
    const raft = newRaft({ membership: ALONE });
    raft.campaign('preferred');
    raft.writeCompleted(raft.takeReady()!.write!.number);
    raft.writeCompleted(raft.takeReady()!.write!.number);
    expect(raft.readIndex(5)).toBe(true);
    expect(raft.takeReady()!.reads).toEqual([{ context: 5, index: 1 }]);
  });
});

describe('a follower', () => {
  it('acknowledges with the write that carries the entries', () => {
    const raft = newRaft();
    raft.step(append(1, [0, 0], [entry(1, 1), entry(2, 1)]));
    const { messages, write } = raft.takeReady()!;
    expect(messages).toEqual([]);
    expect(write!.entries).toHaveLength(2);
    expect(write!.release).toMatchObject([{ type: 'append-response', accepted: true, match: 2 }]);
  });

  it('acknowledges a repeated append behind the write that is still under way', () => {
    const raft = newRaft();
    raft.step(append(1, [0, 0], [entry(1, 1)]));
    const first = raft.takeReady()!.write!;
    raft.step(append(1, [0, 0], [entry(1, 1)]));
    const second = raft.takeReady()!.write!;
    expect(second.number).toBe(first.number + 1);
    expect([second.hardState, second.entries]).toEqual([undefined, []]);
    expect(second.release).toMatchObject([{ type: 'append-response', match: 1 }]);
  });

  it('writes entries that replace others from the first that differs', () => {
    const raft = newRaft();
    raft.step(append(1, [0, 0], [entry(1, 1), entry(2, 1), entry(3, 1)]));
    raft.takeReady();
    raft.step(append(2, [0, 0], [entry(1, 1), entry(2, 2)]));
    const { write } = raft.takeReady()!;
    expect(write!.entries.map(({ index, term }) => [index, term])).toEqual([[2, 2]]);
    expect(raft.lastId).toEqual({ index: 2, term: 2 });
  });

  it('does not count a write as durable whose entries were replaced meanwhile, and came back later', () => {
    const raft = newRaft();
    raft.step(append(1, [0, 0], [entry(1, 1), entry(2, 1)]));
    const first = raft.takeReady()!.write!;
    raft.step(append(2, [0, 0], [entry(1, 2)]));
    raft.takeReady();
    raft.step(append(3, [0, 0], [entry(1, 1), entry(2, 1)]));
    const third = raft.takeReady()!.write!;
    raft.writeCompleted(first.number);
    expect(raft.durable).toBe(0);
    raft.writeCompleted(third.number);
    expect(raft.durable).toBe(2);
  });

  it('drops an append that does not form a log', () => {
    const bad: RaftMessage[] = [
      append(1, [0, 0], [entry(2, 1)]),
      append(1, [0, 0], [entry(1, 1), entry(3, 1)]),
      append(2, [0, 0], [entry(1, 2), entry(2, 1)]),
      append(2, [0, 0], [entry(1, 3)]),
      append(2, [0, 0], [{ ...entry(1, 2), kind: EntryKind.configuration }]),
    ];
    for (const message of bad) {
      const raft = newRaft();
      raft.step(message);
      expect(raft.lastId.index).toBe(0);
    }
  });

  it('needs no snapshot for what it has, and commits it', () => {
    const log = [{ term: 1, first: 1, last: 5 }];
    const raft = newRaft({ log });
    const snapshot = { last: { term: 1, index: 4 }, membership: THREE_VOTERS };
    raft.step({ type: 'snapshot-offer', from: TWO, to: ONE, term: 1, snapshot });
    const { install, commit, write } = raft.takeReady()!;
    expect([install, commit]).toEqual([undefined, 4]);
    expect(write!.release).toMatchObject([{ type: 'snapshot-response', installed: true, match: 4 }]);
  });

  it('asks for a snapshot once, and gives it up when the log overtakes it', () => {
    const raft = newRaft();
    const snapshot = { last: { term: 1, index: 4 }, membership: THREE_VOTERS };
    const offer: RaftMessage = { type: 'snapshot-offer', from: TWO, to: ONE, term: 1, snapshot };
    raft.step(offer);
    expect(raft.takeReady()!.install).toEqual({ from: TWO, snapshot });
    raft.step(offer);
    expect(raft.takeReady()).toBeUndefined();
    raft.step(
      append(
        1,
        [0, 0],
        [1, 2, 3, 4].map(index => entry(index, 1)),
        4,
      ),
    );
    expect(raft.installing).toBeUndefined();
  });

  it("drops the offer of a snapshot that a later term than its leader's has written", () => {
    const raft = newRaft();
    const snapshot = { last: { term: 3, index: 4 }, membership: THREE_VOTERS };
    raft.step({ type: 'snapshot-offer', from: TWO, to: ONE, term: 2, snapshot });
    expect(raft.installing).toBeUndefined();
  });

  it('gives a snapshot up when it asks for votes: a leader has all that is committed', () => {
    const raft = newRaft({ log: [{ term: 1, first: 1, last: 3 }] });
    const snapshot = { last: { term: 1, index: 5 }, membership: THREE_VOTERS };
    raft.step({ type: 'snapshot-offer', from: TWO, to: ONE, term: 1, snapshot });
    raft.takeReady();
    raft.campaign('preferred');
    expect(raft.installing).toBeDefined();
    raft.step({ type: 'pre-vote-response', from: THREE, to: ONE, term: 2, granted: true });
    expect([raft.role, raft.installing]).toEqual(['candidate', undefined]);
    expect(raft.takeReady()!.install).toBeUndefined();
  });

  it('does not go on with a campaign that began before its snapshot was installed', () => {
    const raft = newRaft({ log: [{ term: 1, first: 1, last: 3 }] });
    const membership = { voters: [TWO, THREE], outgoing: [], learners: [ONE] };
    const snapshot = { last: { term: 1, index: 5 }, membership };
    raft.step({ type: 'snapshot-offer', from: TWO, to: ONE, term: 1, snapshot });
    raft.takeReady();
    raft.campaign('preferred');
    expect(raft.role).toBe('pre-candidate');
    raft.snapshotInstalled(snapshot);
    for (const from of [TWO, THREE]) raft.step({ type: 'pre-vote-response', from, to: ONE, term: 2, granted: true });
    expect(raft.role).toBe('follower');
  });

  it('goes on from an installed snapshot and forgets a log that contradicts it', () => {
    const raft = newRaft({ log: [{ term: 1, first: 1, last: 9 }] });
    const membership = { voters: [ONE, TWO], outgoing: [], learners: [] };
    const snapshot = { last: { term: 2, index: 6 }, membership };
    raft.step({ type: 'snapshot-offer', from: TWO, to: ONE, term: 2, snapshot });
    raft.takeReady();
    raft.snapshotInstalled(snapshot);
    const { write, commit } = raft.takeReady()!;
    expect([commit, raft.applied, raft.lastId, raft.base]).toEqual([6, 6, snapshot.last, snapshot.last]);
    expect(write!.hardState!.commit).toBe(6);
    expect(write!.release).toMatchObject([{ type: 'snapshot-response', installed: true, match: 6 }]);
    expect(raft.membership).toEqual(membership);
  });

  it('recovers the membership that its log says, and goes back when that entry is replaced', () => {
    const changed = { voters: [ONE, TWO], outgoing: [], learners: [] };
    const log = [{ term: 1, first: 1, last: 3 }];
    const raft = newRaft({ log, configurations: [{ index: 3, membership: changed }] });
    expect(raft.membership).toEqual(changed);
    raft.step(append(2, [2, 1], [entry(3, 2)]));
    expect(raft.membership).toEqual(THREE_VOTERS);
  });
});

describe('a leader', () => {
  it('is limited by the in-flight window, by number and by bytes', () => {
    const byNumber = newLeader({}, { appendBytesMax: 1 });
    for (let at = 0; at < 10; at++) byNumber.propose(new Uint8Array(1));
    const toTwo = byNumber.takeReady()!.messages.filter(message => message.to === TWO);
    expect(toTwo).toHaveLength(DEFAULT_OPTIONS.inflightEntriesMax);

    const byBytes = newLeader({}, { inflightBytesMax: 100 });
    for (let at = 0; at < 10; at++) byBytes.propose(new Uint8Array(200));
    expect(byBytes.takeReady()!.messages.filter(message => message.to === TWO)).toHaveLength(1);
    byBytes.step(accepted(TWO, 2, 2));
    expect(byBytes.takeReady()!.messages.filter(message => message.to === TWO)).toHaveLength(1);
  });

  it('sends everything proposed since the last ready in one append', () => {
    const raft = newLeader();
    for (let at = 0; at < 5; at++) raft.propose(new Uint8Array(10));
    const { messages, write } = raft.takeReady()!;
    expect(write!.entries).toHaveLength(5);
    expect(messages.map(message => message.type)).toEqual(['append-request', 'append-request']);
  });

  it('has entries that are no longer in memory read for a slow peer, and ignores late answers', () => {
    const raft = newLeader({ log: [{ term: 1, first: 1, last: 5 }] }, {}, [TWO]);
    expect(raft.entriesFrom(1, 5, 100)).toBeUndefined();
    raft.step(rejected(THREE, 2, 5));
    expect(raft.takeReady()!.fetches).toEqual([
      { peer: THREE, from: 1, to: 5, bytesMax: DEFAULT_OPTIONS.appendBytesMax },
    ]);
    const read = [entry(1, 1), entry(2, 1)];
    raft.entriesFetched(THREE, read);
    expect(raft.takeReady()!.messages).toMatchObject([{ to: THREE, previous: { index: 0 }, entries: read, commit: 6 }]);
    raft.entriesFetched(THREE, read);
    raft.entriesFetched(TWO, read);
    expect(raft.takeReady()).toBeUndefined();
  });

  it('sends no more of what was read than one append takes, however far the driver read', () => {
    const raft = newLeader({ log: [{ term: 1, first: 1, last: 5 }] }, { appendBytesMax: 100 }, [TWO]);
    raft.step(rejected(THREE, 2, 5));
    raft.takeReady();
    const read = [1, 2, 3].map(index => ({ ...entry(index, 1), payload: new Uint8Array(60) }));
    raft.entriesFetched(THREE, read);
    const [append] = raft.takeReady()!.messages;
    expect(append).toMatchObject({ to: THREE, previous: { index: 0 }, entries: [{ index: 1 }] });
    expect(append).toHaveProperty('entries.length', 1);
  });

  it('probes a peer that fell silent while its entries were read, instead of appending to it without end', () => {
    const raft = newLeader({ log: [{ term: 1, first: 1, last: 5 }] }, {}, [TWO]);
    raft.step(accepted(THREE, 2, 2));
    expect(raft.takeReady()!.fetches).toMatchObject([{ peer: THREE, from: 3 }]);
    for (let tick = 0; tick < 2 * DEFAULT_OPTIONS.electionTimeoutTicks; tick++) {
      raft.step({ type: 'heartbeat-response', from: TWO, to: ONE, term: 2, readRound: 0, lastIndex: 6 });
      raft.tick();
    }
    raft.takeReady();
    raft.entriesFetched(THREE, [entry(3, 1)]);
    const appends = raft.takeReady()!.messages.filter(({ to }) => to === THREE);
    expect(appends).toMatchObject([
      { previous: { index: 2 }, entries: [{ index: 3 }] },
      { previous: { index: 3 }, entries: [] },
    ]);
    expect(raft.takeReady()).toBeUndefined();
    raft.step(accepted(THREE, 2, 3));
    expect(raft.takeReady()!.fetches).toMatchObject([{ peer: THREE, from: 4 }]);
  });

  it('asks for a snapshot for a peer whose entries are gone, and goes on behind it', () => {
    const raft = newLeader({}, {}, [TWO]);
    raft.appliedTo(1);
    raft.compactTo({ term: 2, index: 1 });
    expect(raft.takeReady()).toBeUndefined();
    raft.step(rejected(THREE, 2, 0));
    expect(raft.takeReady()!.snapshotsWanted).toEqual([THREE]);
    const snapshot = { last: { term: 2, index: 1 }, membership: THREE_VOTERS };
    raft.snapshotStarted(THREE, snapshot);
    expect(raft.takeReady()!.messages).toMatchObject([{ type: 'snapshot-offer', to: THREE, snapshot }]);
    expect(raft.takeReady()).toBeUndefined();
    raft.step({ type: 'snapshot-response', from: THREE, to: ONE, term: 2, installed: true, match: 1 });
    expect(raft.takeReady()!.messages).toMatchObject([{ type: 'append-request', to: THREE, previous: { index: 1 } }]);
  });

  it('asks for a snapshot when a peer has another entry where the log begins', () => {
    const raft = newLeader(
      { hardState: { term: 3, vote: undefined, commit: 5 }, base: { term: 3, index: 5 }, applied: 5 },
      {},
      [TWO],
    );
    raft.step({ ...rejected(THREE, 4, 5), hint: { index: 5, term: 1 } } as RaftMessage);
    expect(raft.takeReady()!.snapshotsWanted).toEqual([THREE]);
  });

  it('refuses proposals of a membership before it has committed in its term, and a second one', () => {
    const raft = newRaft();
    const target = { voters: [ONE, TWO], outgoing: [], learners: [] };
    expect(raft.proposeMembership(target).proposed).toBe(false);
    const leader = newLeader();
    expect(leader.proposeMembership({ ...target, voters: [] }).proposed).toBe(false);
    expect(leader.proposeMembership(target).proposed).toBe(true);
    expect(leader.membership).toEqual({ voters: [ONE, TWO], outgoing: [ONE, TWO, THREE], learners: [] });
    expect(leader.proposeMembership({ ...target, voters: [ONE] }).proposed).toBe(false);
  });

  it('stops when a quorum is not heard for an election timeout', () => {
    const raft = newLeader();
    for (let tick = 0; tick < 2 * DEFAULT_OPTIONS.electionTimeoutTicks; tick++) raft.tick();
    expect(raft.role).toBe('follower');
    expect(raft.takeReady()!.role).toEqual({ role: 'follower', term: 2, leader: undefined });
  });

  it('makes room for another when its own disk hangs (R10)', () => {
    const raft = newLeader();
    raft.propose(new Uint8Array(1));
    raft.takeReady();
    const heard = (): void => {
      raft.step({ type: 'heartbeat-response', from: TWO, to: ONE, term: 2, readRound: 0, lastIndex: 2 });
      raft.tick();
    };
    for (let tick = 0; tick < DEFAULT_OPTIONS.electionTimeoutTicks; tick++) heard();
    expect(raft.role).toBe('leader');
    for (let tick = 0; tick < DEFAULT_OPTIONS.electionTimeoutTicks; tick++) heard();
    expect(raft.role).toBe('follower');
  });

  it('probes a peer that it never heard where its log is, also when the peer was gone and came back', () => {
    const compacted = {
      base: { term: 1, index: 10 },
      applied: 10,
      hardState: { term: 1, vote: undefined, commit: 10 },
    };
    const raft = newLeader(compacted, {}, [TWO]);
    raft.peerGone(THREE);
    raft.takeReady();
    raft.peerConnected(THREE);
    const { messages, snapshotsWanted } = raft.takeReady()!;
    expect(snapshotsWanted).toEqual([]);
    expect(messages).toMatchObject([{ type: 'append-request', to: THREE, previous: { term: 1, index: 10 } }]);
  });

  it('refuses to transfer to itself, to strangers, to learners and to the silent', () => {
    const raft = newLeader();
    expect(raft.transferLeadership(ONE)).toBe(false);
    expect(raft.transferLeadership(nodeId(9))).toBe(false);
    raft.peerGone(THREE);
    expect(raft.transferLeadership(THREE)).toBe(false);
    expect(raft.transferLeadership(TWO)).toBe(true);
    expect(raft.propose(new Uint8Array(1))).toEqual({ proposed: false, leader: ONE });
  });

  it('takes proposals again when nobody has taken over within an election timeout', () => {
    const raft = newLeader();
    raft.transferLeadership(TWO);
    const tick = (): void => {
      raft.step({ type: 'heartbeat-response', from: TWO, to: ONE, term: 2, readRound: 0, lastIndex: 0 });
      raft.tick();
    };
    for (let i = 1; i < DEFAULT_OPTIONS.electionTimeoutTicks; i++) tick();
    expect(raft.propose(new Uint8Array(1)).proposed).toBe(false);
    tick();
    expect(raft.propose(new Uint8Array(1)).proposed).toBe(true);
  });
});
