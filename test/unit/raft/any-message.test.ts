import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeId } from '../../../src/lib/ids.ts';
import { encodeMembership } from '../../../src/raft/membership.ts';
import { EntryKind, type RaftMessage } from '../../../src/raft/messages.ts';
import type { Raft } from '../../../src/raft/raft.ts';
import { ALONE, append, entry, newLeader, newRaft, ONE, THREE, THREE_VOTERS, TWO } from '../../support/raft-replica.ts';

const idArb = fc.constantFrom(1, 2, 3, 9).map(nodeId);
const smallArb = fc.nat(8);
const entryIdArb = fc.record({ term: smallArb, index: smallArb });
const LEARNING = { voters: [TWO], outgoing: [], learners: [ONE] };
const JOINING = { voters: [ONE, TWO, THREE], outgoing: [TWO, THREE], learners: [] };
const membershipArb = fc.constantFrom(THREE_VOTERS, ALONE, LEARNING, JOINING);
const entryArb = fc.oneof(
  fc.record({
    term: smallArb,
    index: smallArb,
    kind: fc.constantFrom(...Object.values(EntryKind)),
    payload: fc.uint8Array({ maxLength: 20 }),
  }),
  fc.record({
    term: smallArb,
    index: smallArb,
    kind: fc.constant(EntryKind.configuration),
    payload: membershipArb.map(encodeMembership),
  }),
);
/** What any peer may say, in a term near the replica's own. */
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
    term: fc.constantFrom(-1, 0, 0, 1, 1, 2),
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
  .map(
    message => (raft: Raft) => ({ ...message, term: Math.max(0, raft.term + message.term) }) as unknown as RaftMessage,
  );

/** A replica and the journal it writes to: writes are completed in the order they were taken. */
class Written {
  readonly raft: Raft;
  #taken = 0;

  constructor(raft: Raft) {
    this.raft = raft;
  }

  take(): void {
    const write = this.raft.takeReady()?.write;
    if (write !== undefined) this.#taken = write.number;
  }

  complete(): void {
    if (this.#taken > 0) this.raft.writeCompleted(this.#taken);
    this.#taken = 0;
  }

  /** The switch to a snapshot is durable behind all that was taken before. */
  install(): void {
    const { installing } = this.raft;
    this.complete();
    if (installing !== undefined && this.raft.installing === installing)
      this.raft.snapshotInstalled(installing.snapshot);
  }
}

type Input = (written: Written) => void;
const inputArb = fc.oneof<fc.WeightedArbitrary<Input>[]>(
  {
    weight: 8,
    arbitrary: messageArb.map(
      message =>
        ({ raft }) =>
          raft.step(message(raft)),
    ),
  },
  { weight: 2, arbitrary: fc.constant(({ raft }) => raft.tick()) },
  { weight: 1, arbitrary: fc.constant(({ raft }) => void raft.propose(Uint8Array.of(1))) },
  { weight: 1, arbitrary: fc.constant(({ raft }) => raft.campaign('leader-gone')) },
  { weight: 1, arbitrary: fc.constant(({ raft }) => void raft.readIndex(1)) },
  {
    weight: 1,
    arbitrary: idArb.map(
      id =>
        ({ raft }) =>
          raft.peerGone(id),
    ),
  },
  {
    weight: 1,
    arbitrary: idArb.map(
      id =>
        ({ raft }) =>
          void raft.transferLeadership(id),
    ),
  },
  { weight: 1, arbitrary: fc.constant(({ raft }) => raft.snapshotFailed()) },
  { weight: 2, arbitrary: fc.constant(written => written.install()) },
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
      () => newRaft({ membership: LEARNING, log: [{ term: 1, first: 1, last: 4 }] }),
      () => newRaft({ membership: JOINING, log: [{ term: 1, first: 1, last: 4 }] }),
    );
    fc.assert(
      fc.property(startArb, fc.array(fc.tuple(inputArb, fc.nat(2)), { maxLength: 60 }), (start, inputs) => {
        const written = new Written(start());
        const { raft } = written;
        let { term, commit } = raft;
        for (const [input, completed] of inputs) {
          input(written);
          written.take();
          if (completed > 0) written.complete();
          expect(raft.term).toBeGreaterThanOrEqual(term);
          expect(raft.commit).toBeGreaterThanOrEqual(commit);
          expect(raft.commit).toBeLessThanOrEqual(raft.lastId.index);
          ({ term, commit } = raft);
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
