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

  it('come first by priority, then in the order in which they were last served, whoever comes and goes', () => {
    const priority = fc.integer({ min: -2, max: 2 });
    const stepArb = fc.oneof(
      fc.record({ do: fc.constant('consume' as const), priority }),
      fc.record({ do: fc.constantFrom('publish' as const, 'settle' as const), consumer: fc.nat({ max: 9 }) }),
    );
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 40 }), steps => {
        const driver = new ShardDriver();
        driver.run(ALICE, declare());
        /** Consumers of a prefetch of one that can take a message, by priority and turn. */
        const free: { readonly id: number; readonly priority: number }[] = [];
        const busy = new Map<number, { readonly priority: number; number: number }>();
        let waiting = 0;
        let last = 0;
        const becomeFree = (id: number, own: number): number[] => {
          free.push({ id, priority: own });
          free.sort((a, b) => b.priority - a.priority);
          return handOut();
        };
        const handOut = (): number[] => {
          const order: number[] = [];
          for (; waiting > 0 && free.length > 0; waiting--) {
            const next = free.shift()!;
            order.push(next.id);
            busy.set(next.id, { priority: next.priority, number: 0 });
          }
          return order;
        };
        for (const step of steps) {
          let expected: number[] = [];
          let write: Write | undefined;
          if (step.do === 'consume') {
            write = consume(++last, { priority: step.priority, prefetch: 1 });
            expected = becomeFree(last, step.priority);
          } else if (step.do === 'publish') {
            write = enqueue('m');
            waiting++;
            expected = handOut();
          } else {
            const held = busy.get(step.consumer);
            if (held === undefined) continue;
            busy.delete(step.consumer);
            write = settle(Settlement.settle, step.consumer, held.number, held.number);
            expected = becomeFree(step.consumer, held.priority);
          }
          const deliveries = driver.deliveries(driver.run(ALICE, write));
          expect(deliveries.map(({ consumer }) => consumer)).toEqual(expected);
          for (const { consumer, number } of deliveries) busy.get(consumer)!.number = number;
          driver.machine.checkInvariants();
        }
      }),
    );
  });
});
