import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnsettledDeliveries } from '../../../src/protocols/grpc/unsettled-deliveries.ts';

describe('unsettled deliveries', () => {
  it('are each taken at most once, whatever ranges a client names', () => {
    const settleArb = fc.record({ first: fc.nat(25), last: fc.nat(25) });
    fc.assert(
      fc.property(fc.nat(20), fc.array(settleArb, { maxLength: 20 }), (count, settles) => {
        const unsettled = new UnsettledDeliveries();
        const left = new Set<number>();
        for (let number = 1; number <= count; number++) {
          unsettled.delivered(number);
          left.add(number);
        }
        for (const { first, last } of settles) {
          const ranges = unsettled.take(first, last);
          const wanted = [...left].filter(number => number >= first && number <= last);
          if (ranges === undefined) {
            expect(first === 0 ? last > count : last < first || wanted.length < last - first + 1).toBe(true);
            continue;
          }
          const taken: number[] = [];
          for (const [from, to] of ranges) for (let number = from; number <= to; number++) taken.push(number);
          expect(taken).toEqual(wanted);
          for (const number of taken) left.delete(number);
          expect(unsettled.count).toBe(left.size);
        }
      }),
    );
  });
});
