import { expect, it } from 'vitest';
import { DeadlineWatch } from '../../../src/cluster/shard/deadline-watch.ts';
import { DELAY_MAX_MS } from '../../../src/lib/clock.ts';
import { queueId } from '../../../src/lib/ids.ts';
import { NEVER } from '../../../src/queue/deadlines.ts';
import { LeadingShard } from '../../support/leading-shard.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ALICE, declare, enqueue, ShardDriver } from '../../support/shard-driver.ts';

/** A watch over one deadline that a test sets. */
class Watched {
  readonly clock = new ManualClock();
  readonly delays: number[] = [];
  deadlineMs = NEVER;
  /** Shard time in a millisecond of the clock. */
  rate = 1;
  isFull = false;
  proposals = 0;
  readonly watch = new DeadlineWatch({
    deadlineMs: () => this.deadlineMs,
    timeMs: () => this.clock.monotonicMs() * this.rate,
    after: (delayMs, callback) => {
      this.delays.push(delayMs);
      return this.clock.after(delayMs, callback);
    },
    propose: () => {
      if (!this.isFull) this.proposals++;
      return !this.isFull;
    },
  });

  setTo(deadlineMs: number): void {
    this.deadlineMs = deadlineMs;
    this.watch.look();
  }
}

it('proposes once when the time has come, and sets no timer while there is nothing to wait for', () => {
  const watched = new Watched();
  watched.watch.look();
  expect(watched.clock.timerCount).toBe(0);
  watched.setTo(100);
  watched.clock.advance(99);
  expect(watched.proposals).toBe(0);
  watched.clock.advance(1);
  watched.watch.look();
  watched.watch.look();
  expect(watched.proposals).toBe(1);
  expect(watched.clock.timerCount).toBe(0);
  watched.setTo(150);
  watched.clock.advance(50);
  expect(watched.proposals).toBe(2);
});

it('has one timer, which an earlier end moves and a later one does not', () => {
  const watched = new Watched();
  for (const deadlineMs of [500, 600, 700]) watched.setTo(deadlineMs);
  expect(watched.delays).toEqual([500]);
  watched.setTo(100);
  expect(watched.clock.timerCount).toBe(1);
  watched.deadlineMs = 300;
  watched.clock.advance(299);
  expect(watched.proposals).toBe(0);
  watched.clock.advance(1);
  expect(watched.proposals).toBe(1);
});

it('waits for the rest when shard time is slower than the clock', () => {
  const watched = new Watched();
  watched.rate = 0.9;
  watched.setTo(90);
  watched.clock.advance(99);
  expect(watched.proposals).toBe(0);
  watched.clock.advance(3);
  expect(watched.proposals).toBe(1);
});

it('sets no timer above a day', () => {
  const watched = new Watched();
  watched.setTo(3.5 * DELAY_MAX_MS);
  watched.clock.advance(4 * DELAY_MAX_MS);
  expect(Math.max(...watched.delays)).toBe(DELAY_MAX_MS);
  expect(watched.proposals).toBe(1);
});

it('tries again when the entry could not be proposed', () => {
  const watched = new Watched();
  watched.isFull = true;
  watched.setTo(10);
  watched.clock.advance(10);
  watched.isFull = false;
  watched.clock.advance(1_000);
  expect(watched.proposals).toBe(1);
});

it('goes on with the next leader where the last one stopped', () => {
  const shard = new LeadingShard();
  const sender = new ShardDriver();
  const silent = {
    isCongested: false,
    attached: () => {},
    answered: () => {},
    deliver: () => {},
    consumerCancelled: () => {},
    refused: () => {},
    detached: () => {},
  };
  shard.leader.attach(
    { node: ALICE, incarnation: sender.sender(ALICE).incarnation, attach: 1, answeredThrough: 0, consumers: [] },
    silent,
  );
  const other = queueId(9);
  shard.leader.batch(
    ALICE,
    sender.batch(ALICE, [declare(undefined, { messageTtlMs: 100 }), enqueue('a'), declare(other, { expiresMs: 300 })]),
  );
  shard.commitAll();
  expect(shard.clock.timerCount).toBe(1);
  shard.changeLeader();
  expect(shard.clock.timerCount).toBe(1);
  shard.clock.advance(100);
  shard.commitAll();
  expect(shard.machine.overview().messages.expired).toBe(1);
  shard.clock.advance(200);
  shard.commitAll();
  expect(shard.machine.overview().queues.map(({ id }) => id)).not.toContain(other);
  expect(shard.clock.timerCount).toBe(0);
});
