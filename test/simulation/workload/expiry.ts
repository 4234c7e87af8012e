import type { Random } from '../../../src/lib/random.ts';
import type { QueueConfig } from '../../../src/queue/commands.ts';
import type { ExpirySwarm } from '../swarm.ts';
import type { Gone, WorkloadPart } from './part.ts';
import type { Workload } from './workload.ts';

/** What the last so many of `count` queues are declared with, in runs in which something expires. */
export function expiryOf(
  swarm: ExpirySwarm | undefined,
  place: number,
  count: number,
): Pick<QueueConfig, 'messageTtlMs' | 'expiresMs'> {
  if (swarm === undefined) return {};
  const isAmong = (share: number): boolean => place >= count * (1 - share);
  return {
    messageTtlMs: isAmong(swarm.limitedQueues) ? swarm.queueTtlMs : undefined,
    expiresMs: isAmong(swarm.leasedQueues) ? swarm.leaseMs : undefined,
  };
}

/** How long the publisher allows the next message to wait. */
export function drawTtl(swarm: ExpirySwarm | undefined, random: Random): number | undefined {
  if (swarm === undefined || random.next() >= swarm.limitedMessages) return undefined;
  return random.integer(0, swarm.messageTtlMsMax);
}

/** Time itself: it ends what waited for too long, and queues that nobody used; neither too early nor what has no limit. */
export class Expiry implements WorkloadPart {
  readonly departures = ['expired', 'deleted'] as const;
  readonly #workload: Workload;

  constructor(workload: Workload) {
    this.#workload = workload;
  }

  nodeLost(): void {}
  calmDown(): void {}

  pending(): undefined {
    return undefined;
  }

  objection({ message: { queue }, id, how }: Gone): string | undefined {
    if (how === 'deleted') {
      const { expiresMs } = this.#workload.topology.recordOf(queue).config;
      return expiresMs === undefined ? 'the queue does not expire' : undefined;
    }
    if (this.#workload.topology.recordOf(queue).config.stream !== undefined) return 'what a stream keeps does not wait';
    const leftMs = this.#workload.auditor.timeLeft(queue, id);
    return leftMs > 0 ? `it has ${leftMs} ms left` : undefined;
  }
}
