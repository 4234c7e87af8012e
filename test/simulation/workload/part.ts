import type { Departure, ModelMessage } from '../model/model-state.ts';
import type { SimNode } from '../sim-node.ts';
import type { Workload } from './workload.ts';

/** What ends a delivery, or a message's time in its queue. */
export type End = Departure | 'returned';

/** A message that left its queue, or a consumer, as the log has it. */
export interface Gone {
  readonly message: ModelMessage;
  /** The message's own id. */
  readonly id: number;
  readonly how: End;
  /** Names the delivery that it was; undefined if nobody held it. */
  readonly delivery: string | undefined;
}

/**
 * One kind of client, all of that kind in a run. A later feature joins with a file that has one of these and a line in `parts.ts`: what
 * its clients do, what they still wait for, and which ends of a message they have brought about.
 */
export interface WorkloadPart {
  /** The node crashed or ended its incarnation: its clients' connections break. */
  nodeLost(node: SimNode): void;
  /** No new work; what was begun is brought to an end. */
  calmDown(): void;
  /** What its clients still wait for, as a sentence. */
  pending(): string | undefined;
  /** The ends that its clients can bring about. */
  readonly departures: readonly End[];
  /** Why its clients have not brought this about; undefined: they have. */
  objection(gone: Gone): string | undefined;
}

export type PartKind = new (workload: Workload) => WorkloadPart;
