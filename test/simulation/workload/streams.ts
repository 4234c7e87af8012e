import type { Random } from '../../../src/lib/random.ts';
import type { Retention } from '../../../src/queue/commands.ts';
import type { StreamOffset } from '../../../src/queue/stream-offset.ts';
import type { StreamSwarm } from '../swarm.ts';
import type { Gone, WorkloadPart } from './part.ts';
import type { Workload } from './workload.ts';

const OFFSET_MAX = 200;
const AGE_MS_MAX = 5_000;

/** What the first so many of `count` queues keep, in runs with streams; undefined for other queues. */
export function retentionOf(swarm: StreamSwarm | undefined, place: number, count: number): Retention | undefined {
  if (swarm === undefined || place >= Math.floor(swarm.share * count)) return undefined;
  const { maxAgeMs, maxBytes } = swarm;
  return { maxAgeMs, maxBytes };
}

/** Where a reader begins; it may ask for what the stream does not have any more, or not yet. */
export function drawOffset({ nowMs }: { readonly nowMs: number }, random: Random): StreamOffset | undefined {
  switch (random.integer(0, 6)) {
    case 0:
      return undefined;
    case 1:
      return { from: 'next' };
    case 2:
      return { from: 'last' };
    case 3:
      return { from: 'offset', offset: random.integer(-1, OFFSET_MAX) };
    case 4:
      return { from: 'time', timeMs: Math.floor(nowMs * random.next()) };
    case 5:
      return { from: 'age', ageMs: random.integer(0, AGE_MS_MAX) };
    default:
      return { from: 'first' };
  }
}

/** Streams drop what is too much or too old for them, and nothing else. */
export class Streams implements WorkloadPart {
  readonly departures = ['expired'] as const;
  readonly #workload: Workload;

  constructor(workload: Workload) {
    this.#workload = workload;
  }

  nodeLost(): void {}
  calmDown(): void {}

  pending(): undefined {
    return undefined;
  }

  /** Which of its messages were too much only the model knows, which has counted them. */
  objection({ message: { queue, cameMs } }: Gone): string | undefined {
    const { stream } = this.#workload.topology.recordOf(queue).config;
    if (stream === undefined) return 'the queue is no stream';
    if (stream.maxBytes !== undefined) return undefined;
    const { timeMs } = this.#workload.auditor.model(this.#workload.homeOf(queue))!;
    const keptUntilMs = cameMs + (stream.maxAgeMs ?? Number.POSITIVE_INFINITY);
    return keptUntilMs > timeMs ? `the stream keeps it until ${keptUntilMs}, and it is ${timeMs}` : undefined;
  }
}
