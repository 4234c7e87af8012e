import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReturnedPositions } from '../../../src/queue/ready-list.ts';

describe('returned messages', () => {
  it('come out in the order of the queue, whatever the order in which they were returned', () => {
    const positionsArb = fc.uniqueArray(fc.nat({ max: 2 ** 31 }), { maxLength: 200, size: 'max' });
    fc.assert(
      fc.property(positionsArb, fc.nat({ max: 100 }), (positions, takenEarly) => {
        const returned = new ReturnedPositions();
        for (const position of positions) returned.push(position);
        const waiting = [...positions].sort((a, b) => a - b);
        for (let i = 0; i < Math.min(takenEarly, positions.length); i++) {
          const position = returned.pop();
          expect(position).toBe(waiting[0]);
          returned.push(position);
        }
        expect(Array.from({ length: positions.length }, () => returned.pop())).toEqual(waiting);
        expect(returned.size).toBe(0);
      }),
    );
  });
});
