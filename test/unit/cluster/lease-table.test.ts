import { beforeEach, describe, expect, it } from 'vitest';
import { LeaseTable } from '../../../src/cluster/metadata/lease-table.ts';
import { NodeLease } from '../../../src/cluster/metadata/node-lease.ts';
import { incarnation, nodeId } from '../../../src/lib/ids.ts';

const TIMES = { routingLeaseMs: 2_000, nodeLeaseMs: 10_000, goneGraceMs: 1_000 };
const [A, B] = [nodeId(1), nodeId(2)];
const FIRST = incarnation(1);
const SECOND = incarnation(2);

describe("the leases that group 0's leader grants", () => {
  let leases: LeaseTable;

  beforeEach(() => {
    leases = new LeaseTable(TIMES);
    leases.reset(
      [
        { node: A, incarnation: FIRST },
        { node: B, incarnation: FIRST },
      ],
      10,
      0,
    );
  });

  it('make a change wait for every node that may route, until it has applied it', () => {
    leases.renew(A, FIRST, 10, 500);
    leases.renew(B, FIRST, 10, 500);
    leases.applied(A, FIRST, 12);
    expect(leases.answerableThrough(12, 600)).toBe(10);
    leases.applied(B, FIRST, 11);
    expect(leases.answerableThrough(12, 600)).toBe(11);
    leases.applied(B, FIRST, 12);
    expect(leases.answerableThrough(12, 600)).toBe(12);
  });

  it('of a predecessor are unknown: a new leader waits a full term for each node', () => {
    leases.applied(A, FIRST, 20);
    expect(leases.answerableThrough(20, 1_999)).toBe(0);
    expect(leases.answerableThrough(20, 2_000)).toBe(20);
    expect(leases.expired(9_999)).toEqual([]);
    expect(leases.expired(10_000)).toHaveLength(2);
  });

  it('count from when the leadership was confirmed, not from when the renewal came', () => {
    leases.renew(A, FIRST, 10, 5_000);
    leases.renew(B, FIRST, 10, 3_000);
    expect(leases.answerableThrough(11, 4_999)).toBe(10);
    leases.applied(A, FIRST, 11);
    expect(leases.answerableThrough(11, 5_000)).toBe(11);
  });

  it('never shorten by a round that was begun earlier and confirmed later', () => {
    leases.renew(A, FIRST, 10, 5_000);
    leases.renew(A, FIRST, 10, 4_000);
    leases.processGone(B, 0);
    expect(leases.answerableThrough(11, 6_500)).toBe(10);
  });

  it('let a node that lags behind what was answered live, but not route', () => {
    leases.answered(15);
    expect(leases.renew(A, FIRST, 14, 3_000)).toBe('behind');
    expect(leases.renew(A, FIRST, 15, 3_000)).toBe('granted');
    expect(leases.expired(12_000)).toEqual([{ node: B, incarnation: FIRST }]);
  });

  it('are refused to an incarnation that is not the current one', () => {
    leases.admit(A, SECOND, 100);
    expect(leases.renew(A, FIRST, 50, 200)).toBe('refused');
    expect(leases.renew(A, SECOND, 50, 200)).toBe('granted');
    leases.remove(A, FIRST);
    expect(leases.has(A, SECOND)).toBe(true);
    leases.remove(A, SECOND);
    expect(leases.renew(A, SECOND, 50, 300)).toBe('refused');
  });

  it('end at once for routing, and soon for the rest, when the process is gone', () => {
    leases.renew(A, FIRST, 10, 0);
    leases.processGone(B, 100);
    leases.applied(A, FIRST, 11);
    expect(leases.answerableThrough(11, 100)).toBe(11);
    expect(leases.expired(1_099)).toEqual([]);
    expect(leases.expired(1_100)).toEqual([{ node: B, incarnation: FIRST }]);
  });

  it('come back to a node that was wrongly taken for gone, once it has caught up', () => {
    leases.processGone(B, 100);
    leases.answered(11);
    expect(leases.renew(B, FIRST, 10, 200)).toBe('behind');
    expect(leases.renew(B, FIRST, 11, 300)).toBe('granted');
    expect(leases.answerableThrough(12, 400)).toBeLessThan(12);
  });
});

describe("a node's own view of its leases", () => {
  const node = (startedMs = 0) => new NodeLease({ ...TIMES, marginMs: 1_000 }, startedMs);

  it('lets it route only after its first grant, and counts from when the renewal was sent', () => {
    const lease = node();
    expect(lease.mayRoute(0)).toBe(false);
    lease.granted(100, 'granted');
    expect(lease.mayRoute(2_079)).toBe(true);
    expect(lease.mayRoute(2_080)).toBe(false);
  });

  it('ends before it ends at the leader, whatever way the renewal took, and on a slower clock', () => {
    const leases = new LeaseTable(TIMES);
    leases.reset([{ node: A, incarnation: FIRST }], 0, 0);
    const lease = node();
    for (const [sentMs, startedMs] of [
      [0, 300],
      [500, 700],
      [900, 900],
    ] as const) {
      lease.granted(sentMs, leases.renew(A, FIRST, 5, startedMs));
    }
    for (let nowMs = 0; nowMs < 15_000; nowMs += 50) {
      // The node's clock may be slower than the leader's.
      const leaderMs = nowMs * 1.009;
      if (lease.mayRoute(nowMs)) expect(leases.answerableThrough(6, leaderMs)).toBe(5);
      if (lease.mayServe(nowMs)) expect(leases.expired(leaderMs)).toEqual([]);
    }
  });

  it('is not made shorter by a late answer to an early renewal', () => {
    const lease = node();
    lease.granted(5_000, 'granted');
    lease.granted(1_000, 'granted');
    expect(lease.mayRoute(6_979)).toBe(true);
  });

  it('lets it serve its clients, but not route, while it lags behind', () => {
    const lease = node();
    lease.granted(5_000, 'behind');
    expect(lease.mayRoute(5_100)).toBe(false);
    expect(lease.mayServe(13_999)).toBe(true);
    expect(lease.mayServe(14_000)).toBe(false);
  });

  it('ends for ever with a refusal', () => {
    const lease = node();
    lease.granted(1_000, 'refused');
    lease.granted(2_000, 'granted');
    expect(lease.mayServe(2_000)).toBe(false);
    expect(lease.mayRoute(2_000)).toBe(false);
  });
});
