import type { Grant } from './metadata-leader.ts';

export interface NodeLeaseOptions {
  readonly routingLeaseMs: number;
  readonly nodeLeaseMs: number;
  /** The node gives its clients up this much before the lease ends at group 0 (R24). */
  readonly marginMs: number;
}

/** Clocks of two machines run apart by less than this share. */
const CLOCK_DRIFT_MAX = 0.01;

/**
 * This node's own view of its leases. They count from when a renewal was sent, so they end here before they end at
 * group 0's leader.
 */
export class NodeLease {
  readonly #options: NodeLeaseOptions;
  #routingUntilMs = Number.NEGATIVE_INFINITY;
  #nodeUntilMs: number;
  #isRefused = false;

  /** `startedMs`: when the request for the incarnation was sent. */
  constructor(options: NodeLeaseOptions, startedMs: number) {
    this.#options = options;
    this.#nodeUntilMs = startedMs + options.nodeLeaseMs;
  }

  granted(sentMs: number, grant: Grant): void {
    if (grant === 'refused') {
      this.#isRefused = true;
      return;
    }
    this.#nodeUntilMs = Math.max(this.#nodeUntilMs, sentMs + this.#options.nodeLeaseMs);
    if (grant === 'granted')
      this.#routingUntilMs = Math.max(
        this.#routingUntilMs,
        sentMs + this.#options.routingLeaseMs * (1 - CLOCK_DRIFT_MAX),
      );
  }

  /** May route publishes by what this node knows of the topology (R2). */
  mayRoute(nowMs: number): boolean {
    return !this.#isRefused && nowMs < this.#routingUntilMs;
  }

  /** May act for its clients at all. Once false, this incarnation is over. */
  mayServe(nowMs: number): boolean {
    return !this.#isRefused && nowMs < this.#nodeUntilMs - this.#options.marginMs;
  }

  refuse(): void {
    this.#isRefused = true;
  }
}
