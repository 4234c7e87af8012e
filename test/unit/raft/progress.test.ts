import { describe, expect, it } from 'vitest';
import { nodeId } from '../../../src/lib/ids.ts';
import { Inflight, Progress } from '../../../src/raft/progress.ts';

const snapshot = (index: number) => ({
  last: { term: 1, index },
  membership: { voters: [nodeId(1)], outgoing: [], learners: [] },
});

/** A peer in replicate whose log is known up to `match`. */
function replicating(match: number): Progress {
  const progress = new Progress(match + 1, 3, 100);
  progress.sent(0, 0);
  progress.accepted(match);
  return progress;
}

describe('in-flight window', () => {
  it('is full by number', () => {
    const inflight = new Inflight(2, 100);
    inflight.add(1, 1);
    expect(inflight.full).toBe(false);
    inflight.add(2, 1);
    expect(inflight.full).toBe(true);
    expect(() => inflight.add(3, 1)).toThrow();
  });

  it('is full by bytes, and takes one append above them', () => {
    const inflight = new Inflight(10, 100);
    inflight.add(1, 500);
    expect(inflight.full).toBe(true);
    inflight.freeTo(1);
    expect([inflight.full, inflight.count, inflight.bytes]).toEqual([false, 0, 0]);
  });

  it('frees everything up to an index, also around the end of its ring', () => {
    const inflight = new Inflight(3, 100);
    for (let index = 1; index <= 30; index++) {
      inflight.add(index, 10);
      if (index % 3 === 0) inflight.freeTo(index - 1);
      if (index % 3 === 0) expect([inflight.count, inflight.bytes]).toEqual([1, 10]);
      inflight.freeTo(index);
    }
    expect(inflight.count).toBe(0);
  });
});

describe('probe', () => {
  it('waits for the answer to one append', () => {
    const progress = new Progress(5, 3, 100);
    expect([progress.state, progress.probing, progress.next]).toEqual(['probe', false, 5]);
    progress.sent(2, 10);
    expect([progress.probing, progress.next]).toEqual([true, 5]);
  });

  it('goes back where the peer rejects, and only for the append that is under way', () => {
    const progress = new Progress(9, 3, 100);
    progress.sent(0, 0);
    progress.rejected(7, 3);
    expect(progress.next).toBe(9);
    progress.rejected(8, 4);
    expect([progress.next, progress.probing]).toEqual([4, false]);
  });

  it('goes forward for a damaged peer that has the entries and does not acknowledge them', () => {
    const progress = new Progress(5, 3, 100);
    progress.sent(2, 10);
    progress.rejected(4, 7);
    expect([progress.state, progress.next, progress.match]).toEqual(['probe', 7, 0]);
  });

  it('stays where it is when such a peer has everything', () => {
    const progress = new Progress(5, 3, 100);
    progress.sent(0, 0);
    progress.rejected(4, 5);
    expect([progress.next, progress.probing]).toEqual([5, true]);
  });

  it('is repeated when heartbeats are answered and nothing moves', () => {
    const progress = new Progress(5, 3, 100);
    progress.sent(1, 1);
    progress.heartbeatAnswered(3);
    expect(progress.probing).toBe(true);
    progress.heartbeatAnswered(3);
    expect(progress.probing).toBe(false);
  });
});

describe('replicate', () => {
  it('sends ahead of the answers and frees the window as they come', () => {
    const progress = replicating(4);
    expect([progress.state, progress.next]).toEqual(['replicate', 5]);
    progress.sent(2, 10);
    progress.sent(1, 10);
    expect([progress.next, progress.inflight.count]).toEqual([8, 2]);
    progress.accepted(6);
    expect([progress.match, progress.inflight.count]).toEqual([6, 1]);
  });

  it('never lowers what it knows to match', () => {
    const progress = replicating(4);
    progress.accepted(2);
    expect([progress.match, progress.next]).toEqual([4, 5]);
  });

  it('becomes a probe when an append does not fit', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    progress.rejected(7, 6);
    expect([progress.state, progress.next, progress.inflight.count]).toEqual(['probe', 6, 0]);
  });

  it('ignores a rejection from before what is known to match', () => {
    const progress = replicating(4);
    progress.rejected(3, 1);
    expect([progress.state, progress.next]).toEqual(['replicate', 5]);
  });

  it('sends again what a peer did not get', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    progress.heartbeatAnswered(5);
    expect(progress.state).toBe('replicate');
    progress.heartbeatAnswered(5);
    expect([progress.state, progress.next]).toEqual(['probe', 6]);
  });

  it('has an answer repeated that did not come back', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    progress.heartbeatAnswered(7);
    progress.heartbeatAnswered(7);
    expect([progress.state, progress.repeatAnswer]).toEqual(['replicate', true]);
  });

  it('leaves a slow peer alone while it moves', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    progress.heartbeatAnswered(5);
    progress.accepted(5);
    progress.heartbeatAnswered(5);
    expect([progress.state, progress.repeatAnswer]).toEqual(['replicate', false]);
  });
});

describe('snapshot', () => {
  it('sends nothing but the offer until the peer has it', () => {
    const progress = replicating(4);
    progress.becomeSnapshot(snapshot(20));
    expect([progress.state, progress.offerDue]).toEqual(['snapshot', true]);
    expect(() => progress.sent(1, 1)).toThrow();
    progress.rejected(30, 5);
    expect(progress.state).toBe('snapshot');
  });

  it('is over when the peer acknowledges an entry at or behind it', () => {
    const progress = replicating(4);
    progress.becomeSnapshot(snapshot(20));
    progress.accepted(10);
    expect(progress.state).toBe('snapshot');
    progress.accepted(20);
    expect([progress.state, progress.next]).toEqual(['replicate', 21]);
  });
});

describe('quorum check', () => {
  it('asks for what was heard since it was last asked; one silent period is not yet inactive', () => {
    const progress = new Progress(1, 3, 100);
    expect([progress.takeHeard(), progress.recentlyActive]).toEqual([false, false]);
    progress.heard();
    expect([progress.takeHeard(), progress.recentlyActive]).toEqual([true, true]);
    expect([progress.takeHeard(), progress.recentlyActive]).toEqual([false, false]);
  });
});
