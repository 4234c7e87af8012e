import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { consumerId } from '../../../src/lib/ids.ts';
import { Settlement, writeCredit } from '../../../src/queue/commands.ts';
import { ALICE, consume, declare, enqueue, ShardDriver, settle, type Write } from '../../support/shard-driver.ts';

const credit =
  (consumer: number, deliverThrough: number): Write =>
  out =>
    writeCredit(out, { consumer: consumerId(consumer), prefetch: 0, deliverThrough, bytesThrough: 1_000 });
const many = (count: number): Write[] => Array.from({ length: count }, (_, i) => enqueue(`${i + 1}`));

describe('consumers with priorities', () => {
  it('get messages while those above them cannot take any, in turn with their equals', () => {
    const driver = new ShardDriver();
    const low = { priority: -5, deliverThrough: 2 };
    driver.run(ALICE, declare(), consume(1, low), consume(2, { prefetch: 1 }), consume(3, low));
    driver.run(ALICE, consume(4, { priority: 2 ** 40, prefetch: 2 }));
    const served = driver.deliveries(driver.run(ALICE, ...many(9))).map(({ consumer }) => consumer);
    expect(served).toEqual([4, 4, 2, 1, 3, 1, 3]);
    const again = driver.run(ALICE, settle(Settlement.settle, 2, 1, 1), settle(Settlement.settle, 4, 1, 1));
    expect(driver.deliveries(again).map(({ consumer }) => consumer)).toEqual([4, 2]);
  });

  it('are served as ever when the queue had to wait for them', () => {
    const driver = new ShardDriver();
    const poor = { deliverThrough: 0 };
    driver.run(ALICE, declare(), ...many(4), consume(1, poor), consume(2, { ...poor, priority: 1 }));
    const came = driver.run(ALICE, credit(1, 1), credit(2, 2));
    expect(driver.deliveries(came).map(({ consumer }) => consumer)).toEqual([2, 2, 1]);
  });

  it('never have a message that one above them could take, whoever comes and goes', () => {
    const stepArb = fc.oneof(
      fc.record({ do: fc.constant('consume' as const), priority: fc.integer({ min: -2, max: 2 }) }),
      fc.record({ do: fc.constantFrom('publish' as const, 'settle' as const), consumer: fc.nat({ max: 9 }) }),
    );
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 40 }), steps => {
        const driver = new ShardDriver();
        driver.run(ALICE, declare());
        const priorities = new Map<number, number>();
        /** Those that hold as much as they may: the number of their one delivery. */
        const holding = new Map<number, number>();
        for (const step of steps) {
          let write = enqueue('m');
          if (step.do === 'consume') {
            const id = priorities.size + 1;
            priorities.set(id, step.priority);
            write = consume(id, { priority: step.priority, prefetch: 1 });
          } else if (step.do === 'settle') {
            const number = holding.get(step.consumer);
            if (number === undefined) continue;
            holding.delete(step.consumer);
            write = settle(Settlement.settle, step.consumer, number, number);
          }
          for (const { consumer, number } of driver.deliveries(driver.run(ALICE, write))) {
            const free = [...priorities].filter(([id]) => !holding.has(id)).map(([, priority]) => priority);
            expect(priorities.get(consumer)).toBe(Math.max(...free));
            holding.set(consumer, number);
          }
          driver.machine.checkInvariants();
        }
        const isAnybodyFree = holding.size < priorities.size;
        if (isAnybodyFree) expect(driver.machine.overview().queues).toMatchObject([{ ready: 0 }]);
      }),
    );
  });
});
