import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decision, PublishOrigin } from '../../../src/broker/gateway.ts';
import { CommandRing } from '../../../src/cluster/shard/command-ring.ts';

type Heard = readonly [first: number, last: number, kind: string | undefined];

class Origin implements PublishOrigin {
  readonly heard: Heard[] = [];

  published(first: number, last: number, outcome: Decision | undefined): void {
    this.heard.push([first, last, outcome?.kind]);
  }
}

describe('CommandRing', () => {
  it('tells an origin of neighbouring publishes in one range, and of refused ones by themselves', () => {
    const ring = new CommandRing();
    const origin = new Origin();
    for (let number = 1; number <= 5; number++) ring.addPublish(origin, number);
    ring.answer(4, [{ sequence: 3, outcome: { kind: 'too-large' } }]);
    expect(origin.heard).toEqual([
      [1, 2, undefined],
      [3, 3, 'too-large'],
      [4, 4, undefined],
    ]);
    expect([ring.first, ring.next, ring.size]).toEqual([5, 6, 1]);
  });

  it('keeps the order of decisions over publishes and requests', () => {
    const ring = new CommandRing();
    const order: string[] = [];
    const origin = { published: (first: number, last: number) => order.push(`${first}-${last}`) };
    ring.addPublish(origin, 1);
    ring.addRequest(() => order.push('request'));
    ring.addPublish(origin, 2);
    ring.answer(3, []);
    expect(order).toEqual(['1-1', 'request', '2-2']);
  });

  it('takes new commands from within a decision', () => {
    const ring = new CommandRing();
    const order: string[] = [];
    ring.addRequest(() => {
      order.push('first');
      ring.addRequest(() => order.push('second'));
    });
    ring.answer(1, []);
    expect(order).toEqual(['first']);
    ring.answer(2, []);
    expect(order).toEqual(['first', 'second']);
  });

  it('decides every command exactly once, with its own outcome, however answers are cut', () => {
    const command = fc.record({ origin: fc.integer({ min: -2, max: 2 }), isRefused: fc.boolean() });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), fc.array(fc.nat(20), { maxLength: 20 }), (commands, steps) => {
        const ring = new CommandRing();
        const decided: string[] = [];
        const counts = new Map<number, number>();
        const expected: string[] = [];
        for (const [i, { origin, isRefused }] of commands.entries()) {
          const outcome = isRefused ? 'in-use' : undefined;
          if (origin < 0) {
            ring.addRequest(origin === -1 ? undefined : given => decided.push(`request ${i} ${given?.kind}`));
            if (origin === -2) expected.push(`request ${i} ${outcome}`);
            continue;
          }
          const number = (counts.get(origin) ?? 0) + 1;
          counts.set(origin, number);
          expected.push(`${origin} ${number} ${outcome}`);
          ring.addPublish(origins[origin]!, number);
        }
        const outcomes = commands.flatMap(({ isRefused }, i) =>
          isRefused ? [{ sequence: i + 1, outcome: { kind: 'in-use' } as const }] : [],
        );
        current = decided;
        for (const step of [...steps, commands.length]) {
          ring.answer(Math.min(commands.length, ring.first - 1 + step), outcomes);
        }
        expect(decided).toEqual(expected);
        expect(ring.size).toBe(0);
      }),
    );
  });
});

let current: string[] = [];
/** They write down each number by itself. */
const origins: readonly PublishOrigin[] = [0, 1, 2].map(name => ({
  published: (first, last, outcome) => {
    for (let number = first; number <= last; number++) current.push(`${name} ${number} ${outcome?.kind}`);
  },
}));
