import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfirmMode, PublishStatus } from '../../../src/gen/warren/v1/broker_pb.ts';
import { OutcomeLedger } from '../../../src/protocols/grpc/outcome-ledger.ts';

/** A cutting of the numbers 1 to n into ranges, in any order, some refused. */
const rangesArb = fc
  .array(fc.record({ length: fc.integer({ min: 1, max: 5 }), isRefused: fc.boolean(), order: fc.nat() }), {
    maxLength: 30,
  })
  .map(parts => {
    let next = 1;
    const ranges = parts.map(({ length, isRefused, order }) => {
      const range = { first: next, last: next + length - 1, isRefused, order };
      next += length;
      return range;
    });
    return { count: next - 1, ranges: ranges.sort((a, b) => a.order - b.order) };
  });

describe('outcomes of published messages', () => {
  it('are told once each, and the watermark is where the first gap is', () => {
    fc.assert(
      fc.property(rangesArb, fc.integer({ min: 1, max: 4 }), ({ count, ranges }, every) => {
        const ledger = new OutcomeLedger(ConfirmMode.EACH);
        for (let i = 0; i < count; i++) ledger.nextNumber();
        const decided = new Set<number>();
        const told = new Map<number, PublishStatus>();
        const take = (): void => {
          const response = ledger.take();
          for (const { first, last, status } of response?.outcomes ?? []) {
            for (let number = Number(first); number <= Number(last); number++) {
              expect(told.has(number)).toBe(false);
              told.set(number, status);
            }
          }
          let watermark = 0;
          while (decided.has(watermark + 1)) watermark++;
          if (response !== undefined) expect(Number(response.confirmedTo)).toBe(watermark);
        };
        for (const [position, { first, last, isRefused }] of ranges.entries()) {
          if (isRefused) ledger.rejected(first, last, 'WHY', 'because');
          else ledger.confirmed(first, last);
          for (let number = first; number <= last; number++) decided.add(number);
          if (position % every === 0) take();
        }
        take();
        expect(ledger.isComplete).toBe(true);
        expect(told.size).toBe(count);
        for (const { first, isRefused } of ranges) {
          expect(told.get(first)).toBe(isRefused ? PublishStatus.REJECTED : PublishStatus.CONFIRMED);
        }
      }),
    );
  });

  it('are joined when they follow each other', () => {
    const ledger = new OutcomeLedger(ConfirmMode.EACH);
    for (let i = 0; i < 4; i++) ledger.nextNumber();
    for (let number = 1; number <= 4; number++) ledger.confirmed(number, number);
    expect(ledger.take()?.outcomes.map(({ first, last }) => [first, last])).toEqual([[1n, 4n]]);
    expect(ledger.take()).toBeUndefined();
  });

  it('leave out what the watermark says, when only that is wanted', () => {
    const ledger = new OutcomeLedger(ConfirmMode.CUMULATIVE);
    for (let i = 0; i < 3; i++) ledger.nextNumber();
    ledger.confirmed(1, 1);
    ledger.unroutable(2);
    ledger.confirmed(3, 3);
    const response = ledger.take()!;
    expect(response.confirmedTo).toBe(3n);
    expect(response.outcomes.map(({ first, status }) => [first, status])).toEqual([[2n, PublishStatus.UNROUTABLE]]);
  });

  it('may not come twice', () => {
    const ledger = new OutcomeLedger(ConfirmMode.EACH);
    ledger.nextNumber();
    ledger.confirmed(1, 1);
    expect(() => ledger.confirmed(1, 1)).toThrow(/outcome for messages 1 to 1/);
    expect(() => ledger.confirmed(2, 2)).toThrow(/outcome for messages 2 to 2/);
  });
});
