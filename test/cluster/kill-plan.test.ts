import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/random.ts';
import { planKills } from './kill-plan.ts';

describe('the plan of a kill test', () => {
  it('hits the leader, the publisher and the consumer in a third of the rounds each, in every combination', () => {
    const plan = planKills(300, new SeededRandom(1));
    expect(plan.filter(round => round.leader)).toHaveLength(100);
    expect(plan.filter(round => round.publisherOnVictim)).toHaveLength(100);
    expect(plan.filter(round => round.consumerOnVictim)).toHaveLength(100);
    expect(new Set(plan.map(round => JSON.stringify(round))).size).toBe(8);
  });

  it('is the same for the same seed', () => {
    expect(planKills(20, new SeededRandom(7))).toEqual(planKills(20, new SeededRandom(7)));
  });
});
