import type { Random } from '../../src/lib/random.ts';

/** What one kill -9 hits. */
export interface KillRound {
  /** The victim leads the shard of the loaded queue. */
  readonly leader: boolean;
  readonly publisherOnVictim: boolean;
  readonly consumerOnVictim: boolean;
}

/** Of every three rounds one hits the leader, one the publisher's node and one the consumer's, independently of each other. */
export function planKills(rounds: number, random: Random): KillRound[] {
  const plan: KillRound[] = [];
  while (plan.length < rounds) {
    const leader = random.integer(0, 2);
    const publisher = random.integer(0, 2);
    const consumer = random.integer(0, 2);
    for (let i = 0; i < 3 && plan.length < rounds; i++) {
      plan.push({ leader: i === leader, publisherOnVictim: i === publisher, consumerOnVictim: i === consumer });
    }
  }
  return plan;
}

export const describeRound = (round: KillRound): string =>
  [
    round.leader ? 'leader' : 'follower',
    round.publisherOnVictim ? "the publisher's node" : '',
    round.consumerOnVictim ? "the consumer's node" : '',
  ]
    .filter(Boolean)
    .join(', ');
