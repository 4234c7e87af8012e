import { describe, expect, it } from 'vitest';
import { gapsAround, summarize } from './gaps.ts';
import { History } from './history.ts';
import { checkHistory } from './history-checker.ts';

/** A history on a clock of its own: every event is one millisecond after the one before. */
function world() {
  let nowMs = 0;
  const history = new History(() => nowMs++);
  const publisher = history.connected('publisher', 'warren-0');
  const consumer = history.connected('consumer', 'warren-1');
  return {
    history,
    publisher,
    consumer,
    pass: (ms: number) => {
      nowMs += ms;
    },
    publish: (count: number) => {
      for (let sequence = 0; sequence < count; sequence++) {
        history.published(publisher, sequence);
        history.confirmed(publisher, sequence);
      }
    },
    deliver: (sequence: number, redelivered = false, connection = consumer) =>
      history.delivered(connection, publisher, sequence, redelivered),
    settle: (sequence: number, connection = consumer) => history.settled(connection, publisher, sequence),
  };
}

const found = (history: History) =>
  Object.entries(checkHistory(history).counts)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${kind} ${count}`);

describe('the history checker', () => {
  it('accepts a history in which every message arrives once and in order', () => {
    const { history, publish, deliver, settle } = world();
    publish(3);
    for (const sequence of [0, 1, 2]) {
      deliver(sequence);
      settle(sequence);
    }
    expect(found(history)).toEqual([]);
    expect(checkHistory(history)).toMatchObject({ offered: 3, confirmed: 3, delivered: 3, repeated: 0 });
  });

  it('finds a confirmed message that never arrives', () => {
    const { history, publish, deliver } = world();
    publish(3);
    deliver(0);
    deliver(2);
    expect(found(history)).toEqual(['lost 1']);
    expect(checkHistory(history).examples[0]!.text).toContain('message 0-1');
  });

  it('lets a message without a confirm arrive or not', () => {
    const { history, publisher, deliver } = world();
    history.published(publisher, 0);
    history.published(publisher, 1);
    deliver(1);
    expect(found(history)).toEqual([]);
    expect(checkHistory(history).confirmedShare).toBe(0);
  });

  it('counts messages that were due without a connection as offered', () => {
    const { history, publish, deliver } = world();
    publish(1);
    history.unsent();
    deliver(0);
    expect(checkHistory(history)).toMatchObject({ offered: 2, confirmedShare: 0.5 });
  });

  it('finds a delivery of something that nobody published', () => {
    const { history, deliver } = world();
    deliver(7);
    expect(found(history)).toEqual(['unknown-message 1']);
  });

  it('finds a repeated delivery without the flag, even after the consumer left', () => {
    const { history, consumer, publish, deliver } = world();
    publish(1);
    deliver(0);
    history.ended(consumer, 'socket closed');
    deliver(0, false, history.connected('consumer', 'warren-2'));
    expect(found(history)).toEqual(['unflagged-repeat 1']);
  });

  it('finds first deliveries in another order than the publishes', () => {
    const { history, publish, deliver } = world();
    publish(3);
    for (const sequence of [0, 2, 1]) deliver(sequence);
    expect(found(history)).toEqual(['order 1']);
  });

  it('accepts flagged messages behind newer ones when the consumer that may have held them left', () => {
    const { history, consumer, publish, deliver } = world();
    publish(4);
    deliver(0);
    history.ended(consumer, 'socket closed');
    const next = history.connected('consumer', 'warren-2');
    deliver(3, false, next);
    for (const sequence of [0, 1, 2]) deliver(sequence, true, next);
    expect(found(history)).toEqual([]);
    expect(checkHistory(history).repeated).toBe(1);
  });

  it('finds a redelivery although the consumer that held the message was alive', () => {
    const { history, publish, deliver } = world();
    publish(1);
    deliver(0);
    history.marked('leader killed', 'warren-2');
    deliver(0, true);
    expect(found(history)).toEqual(['needless-redelivery 1']);
  });

  it('finds a first delivery with the flag although no consumer ever left', () => {
    const { history, publish, deliver } = world();
    publish(1);
    deliver(0, true);
    expect(found(history)).toEqual(['needless-redelivery 1']);
  });

  it('lets a consumer whose node died hold messages until the node is fenced, and not for ever', () => {
    const { history, consumer, publish, deliver } = world();
    history.ended(consumer, 'socket closed');
    publish(1);
    deliver(0, true, history.connected('consumer', 'warren-2'));
    expect(found(history)).toEqual([]);

    const long = world();
    long.history.ended(long.consumer, 'socket closed');
    long.pass(60_000);
    long.publish(1);
    long.deliver(0, true, long.history.connected('consumer', 'warren-2'));
    expect(found(long.history)).toEqual(['needless-redelivery 1']);
  });

  it('accepts a redelivery of a message that its consumer returned', () => {
    const { history, consumer, publisher, publish, deliver } = world();
    publish(1);
    deliver(0);
    history.returned(consumer, publisher, 0);
    deliver(0, true);
    expect(found(history)).toEqual([]);
  });

  it('accepts a redelivery when the ack may have been lost with its connection, and no other', () => {
    const late = world();
    late.publish(1);
    late.deliver(0);
    late.settle(0);
    late.history.ended(late.consumer, 'socket closed');
    late.deliver(0, true, late.history.connected('consumer', 'warren-2'));
    expect(found(late.history)).toEqual([]);

    const early = world();
    early.publish(1);
    early.deliver(0);
    early.settle(0);
    early.pass(10_000);
    early.history.ended(early.consumer, 'socket closed');
    early.deliver(0, true, early.history.connected('consumer', 'warren-2'));
    expect(found(early.history)).toEqual(['settled-again 1']);
  });
});

describe('gaps', () => {
  it('are the longest silence of surviving connections around the mark', () => {
    let nowMs = 0;
    const history = new History(() => nowMs);
    const survivor = history.connected('publisher', 'warren-0');
    const onVictim = history.connected('publisher', 'warren-1');
    const confirmAt = (connection: number, timeMs: number, sequence: number): void => {
      nowMs = timeMs;
      history.confirmed(connection, sequence);
    };
    confirmAt(survivor, 90, 0);
    confirmAt(onVictim, 95, 0);
    nowMs = 100;
    history.marked('leader killed', 'warren-1');
    confirmAt(survivor, 105, 1);
    confirmAt(survivor, 405, 2);
    confirmAt(survivor, 410, 3);
    confirmAt(survivor, 1_400, 4);
    confirmAt(survivor, 9_000, 5);
    const gaps = gapsAround(history, 'leader killed', 'confirmed');
    expect(gaps.map(({ connection, gapMs }) => ({ connection, gapMs }))).toEqual([
      { connection: survivor, gapMs: 990 },
    ]);
    expect(summarize(gaps)).toEqual({ count: 1, medianMs: 990, maxMs: 990 });
  });

  it('of a connection that never goes on last until its end', () => {
    let nowMs = 0;
    const history = new History(() => nowMs);
    const publisher = history.connected('publisher', 'warren-0');
    history.confirmed(publisher, 0);
    nowMs = 10;
    history.marked('leader killed', 'warren-1');
    expect(gapsAround(history, 'leader killed', 'confirmed').map(gap => gap.gapMs)).toEqual([Infinity]);
    nowMs = 5_000;
    history.ended(publisher, 'closed');
    expect(gapsAround(history, 'leader killed', 'confirmed').map(gap => gap.gapMs)).toEqual([5_000]);
  });
});
