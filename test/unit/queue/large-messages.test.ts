import { describe, expect, it } from 'vitest';
import { incarnation, type QueueId, queueId } from '../../../src/lib/ids.ts';
import {
  Settlement,
  writeAbandonUpload,
  writeAssembledEnqueue,
  writeFence,
  writePart,
} from '../../../src/queue/commands.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  enqueue,
  message,
  outcomes,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const OTHER = queueId(8);
const part =
  (upload: number, body: string): Write =>
  out =>
    writePart(out, upload, new TextEncoder().encode(body));
const assemble =
  (upload: number, head: string, ...queues: QueueId[]): Write =>
  out =>
    writeAssembledEnqueue(out, queues.length > 0 ? queues : [QUEUE], upload, message(head));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const released = (effects: ShardEffects): readonly number[] => effects.bodiesReleased.entries;

describe('a message in parts', () => {
  it('enters the queue as one, when all its parts are there', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), part(1, 'bb'));
    driver.run(ALICE, enqueue('between'));
    driver.run(ALICE, part(1, 'cc'));
    const effects = driver.run(ALICE, assemble(1, 'aa'));
    expect(driver.bodies(effects)).toEqual(['aabbcc']);
    expect(effects.deliveries.large.get(0)?.map(({ entry }) => entry)).toEqual([4, 1, 3]);
    expect(effects.deliveries.lengths).toEqual([sum(effects.deliveries.large.get(0)!.map(({ length }) => length))]);
  });

  it('keeps the bodies of two uploads apart', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), part(1, '1'), part(2, '2'), part(1, '1'), part(2, '2'));
    expect(driver.bodies(driver.run(ALICE, assemble(2, 'b'), assemble(1, 'a')))).toEqual(['b22', 'a11']);
  });

  it('is released in all its entries when the last of its queues has settled it', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), declare(OTHER), consume(1), consume(2, { queue: OTHER }));
    driver.run(ALICE, part(1, 'b'));
    driver.run(ALICE, assemble(1, 'a', QUEUE, OTHER));
    expect(released(driver.run(ALICE, settle(Settlement.settle, 1, 1, 1)))).toEqual([]);
    expect(released(driver.run(ALICE, settle(Settlement.settle, 2, 1, 1)))).toEqual([3, 2]);
    driver.machine.checkInvariants();
  });

  it('is lost with its node before it is assembled, and its parts are released', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), part(1, 'b'));
    expect(released(driver.lead(out => writeFence(out, ALICE, incarnation(1))))).toEqual([1]);
  });

  it('can be given up by its sender', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), part(1, 'b'));
    expect(released(driver.run(ALICE, out => writeAbandonUpload(out, 1)))).toEqual([1]);
    expect(outcomes(driver.run(ALICE, assemble(1, 'a')))).toEqual([{ kind: 'no-such-upload' }]);
  });

  it('that finds no queue is dropped with its parts', () => {
    const driver = new ShardDriver();
    driver.run(BOB, part(1, 'b'));
    const effects = driver.run(BOB, assemble(1, 'a'));
    expect(outcomes(effects)).toEqual([{ kind: 'no-such-queue' }]);
    expect(released(effects)).toEqual([1]);
  });
});

describe('a message for several queues', () => {
  it('is one body, of which each queue accounts for its part', () => {
    const driver = new ShardDriver();
    const queues = [1, 2, 3].map(queueId);
    driver.run(ALICE, ...queues.map(id => declare(id)), ...queues.map(id => consume(id, { queue: id })));
    const effects = driver.run(ALICE, enqueue('shared', ...queues));
    expect(new Set(effects.deliveries.positions).size).toBe(1);
    const settled = driver.run(ALICE, ...queues.map(id => settle(Settlement.settle, id, 1, 1)));
    expect(settled.bodiesReleased.entries).toEqual([2]);
    expect(settled.bodiesReleased.bytes).toEqual(effects.bodiesAdded.bytes);
  });
});
