import { describe, expect, it } from 'vitest';
import { incarnation } from '../../../src/lib/ids.ts';
import { writeCount, writeFence } from '../../../src/queue/commands.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  enqueue,
  outcomes,
  QUEUE,
  ShardDriver,
  type Write,
} from '../../support/shard-driver.ts';

const count: Write = out => writeCount(out, QUEUE);
const fence =
  (started: number): Write =>
  out =>
    writeFence(out, ALICE, incarnation(started));

describe('a publisher session', () => {
  it('takes a repeated batch once and answers it again with what was recorded', () => {
    const driver = new ShardDriver();
    const batch = driver.batch(ALICE, [declare(), enqueue('a'), count]);
    const first = driver.apply(batch);
    const again = driver.apply(batch);
    expect(again.answers).toEqual(first.answers);
    expect(again.answers).toMatchObject([{ node: ALICE, throughSequence: 3 }]);
    expect(driver.machine.overview().messages.enqueued).toBe(1);
  });

  it('executes only what is new of a batch that overlaps the last one', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'));
    const effects = driver.apply(driver.batchAt(ALICE, 2, [enqueue('a'), enqueue('b')]));
    expect(effects.answers).toMatchObject([{ throughSequence: 3, outcomes: [] }]);
    expect(driver.machine.overview().messages.enqueued).toBe(2);
  });

  it('refuses a batch with a gap before it, and tells which sequence it wants', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'));
    const effects = driver.apply(driver.batchAt(ALICE, 4, [enqueue('c')]));
    expect(effects.refusals).toEqual([{ reason: 'gap', node: ALICE, incarnation: 1, expectedSequence: 3 }]);
    expect(effects.answers).toEqual([]);
    expect(driver.machine.overview().messages.enqueued).toBe(1);
  });

  it('keeps outcomes until the sender has seen them', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, count, declare(), count);
    expect(driver.machine.outcomesAfter(ALICE, incarnation(1), 0).map(({ sequence }) => sequence)).toEqual([1, 3]);
    driver.sender(ALICE).seenThrough = 2;
    driver.run(ALICE);
    expect(driver.machine.outcomesAfter(ALICE, incarnation(1), 0).map(({ sequence }) => sequence)).toEqual([3]);
  });

  it('records that a message found none of its queues, and accepts it if it found one', () => {
    const driver = new ShardDriver();
    const absent = 99 as never;
    const effects = driver.run(ALICE, declare(), enqueue('lost', absent), enqueue('kept', QUEUE, absent));
    expect(effects.answers[0]?.outcomes).toEqual([{ sequence: 2, outcome: { kind: 'no-such-queue' } }]);
    expect(driver.machine.overview().messages.enqueued).toBe(1);
  });

  it('belongs to one incarnation: the next one begins with sequence 1', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'));
    driver.restart(ALICE);
    driver.run(ALICE, enqueue('b'));
    expect(driver.machine.lastSequenceOf(ALICE, incarnation(1))).toBe(2);
    expect(driver.machine.lastSequenceOf(ALICE, incarnation(2))).toBe(1);
  });
});

describe('a fenced incarnation', () => {
  it('loses its consumers; their messages go to others', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'));
    driver.run(BOB, consume(1));
    const effects = driver.lead(fence(1));
    expect(driver.deliveries(effects)).toMatchObject([{ node: BOB, body: 'a', redelivered: true }]);
    expect(driver.machine.consumersOf(ALICE, incarnation(1))).toEqual([]);
    expect(driver.machine.overview().sessions).toBe(1);
  });

  it('is refused for ever, and so are those before it', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare());
    driver.lead(fence(2));
    const effects = driver.run(ALICE, enqueue('late'));
    expect(effects.refusals).toEqual([{ reason: 'fenced', node: ALICE, incarnation: 1 }]);
    driver.restart(ALICE);
    expect(driver.run(ALICE, enqueue('late')).refusals).toMatchObject([{ reason: 'fenced' }]);
    driver.restart(ALICE);
    expect(outcomes(driver.run(ALICE, enqueue('new')))).toEqual([]);
    expect(driver.machine.overview().messages.enqueued).toBe(1);
  });
});
