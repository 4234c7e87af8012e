import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeId } from '../../../src/lib/ids.ts';
import { EntryKind, type RaftMessage } from '../../../src/raft/messages.ts';
import type { Raft } from '../../../src/raft/raft.ts';
import { ALONE, append, entry, newLeader, newRaft, ONE, THREE_VOTERS, TWO } from '../../support/raft-replica.ts';

const idArb = fc.constantFrom(1, 2, 3, 9).map(nodeId);
const smallArb = fc.nat(8);
const entryIdArb = fc.record({ term: smallArb, index: smallArb });
const entryArb = fc.record({
  term: smallArb,
  index: smallArb,
  kind: fc.constantFrom(...Object.values(EntryKind)),
  payload: fc.uint8Array({ maxLength: 20 }),
});
const membershipArb = fc.constantFrom(THREE_VOTERS, ALONE);
const messageArb = fc
  .record({
    type: fc.constantFrom<RaftMessage['type']>(
      'vote-request',
      'pre-vote-request',
      'vote-response',
      'pre-vote-response',
      'append-request',
      'append-response',
      'heartbeat',
      'heartbeat-response',
      'snapshot-offer',
      'snapshot-response',
      'timeout-now',
    ),
    from: idArb,
    to: fc.constant(ONE),
    term: smallArb,
    last: entryIdArb,
    force: fc.boolean(),
    granted: fc.boolean(),
    previous: entryIdArb,
    entries: fc.array(entryArb, { maxLength: 3 }),
    commit: smallArb,
    accepted: fc.boolean(),
    match: smallArb,
    hint: entryIdArb,
    readRound: smallArb,
    lastIndex: smallArb,
    snapshot: fc.record({ last: entryIdArb, membership: membershipArb }),
    installed: fc.boolean(),
  })
  .map(message => message as unknown as RaftMessage);

const inputArb = fc.oneof(
  { weight: 8, arbitrary: messageArb.map(message => (raft: Raft) => raft.step(message)) },
  { weight: 2, arbitrary: fc.constant((raft: Raft) => raft.tick()) },
  { weight: 1, arbitrary: fc.constant((raft: Raft) => void raft.propose(Uint8Array.of(1))) },
  { weight: 1, arbitrary: fc.constant((raft: Raft) => raft.campaign('leader-gone')) },
  { weight: 1, arbitrary: fc.constant((raft: Raft) => void raft.readIndex(1)) },
  { weight: 1, arbitrary: idArb.map(id => (raft: Raft) => raft.peerGone(id)) },
  { weight: 1, arbitrary: idArb.map(id => (raft: Raft) => void raft.transferLeadership(id)) },
);

describe('any replica', () => {
  it('ignores what is addressed to others and what comes from itself', () => {
    const raft = newRaft();
    raft.step({ ...append(5, [0, 0], [entry(1, 5)]), to: TWO });
    raft.step({ ...append(5, [0, 0], [entry(1, 5)]), from: ONE });
    expect(raft.takeReady()).toBeUndefined();
  });

  it('survives any messages, keeps its watermarks in order and never lowers its term', () => {
    const startArb = fc.constantFrom(
      () => newRaft(),
      () => newRaft({ log: [{ term: 1, first: 1, last: 4 }], damaged: true }),
      () => newLeader(),
      () => newRaft({ membership: ALONE }),
    );
    fc.assert(
      fc.property(startArb, fc.array(fc.tuple(inputArb, fc.nat(2)), { maxLength: 60 }), (start, inputs) => {
        const raft = start();
        let { term, commit } = raft;
        for (const [input, completed] of inputs) {
          input(raft);
          const write = raft.takeReady()?.write;
          if (write !== undefined && completed > 0) raft.writeCompleted(write.number);
          expect(raft.term).toBeGreaterThanOrEqual(term);
          expect(raft.commit).toBeGreaterThanOrEqual(commit);
          expect(raft.commit).toBeLessThanOrEqual(raft.lastId.index);
          ({ term, commit } = raft);
        }
      }),
      { numRuns: 500 },
    );
  });
});
