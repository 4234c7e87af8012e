import { assert } from '../../lib/assert.ts';
import type { Incarnation, LogIndex, NodeId } from '../../lib/ids.ts';

export interface LeaseOptions {
  readonly routingLeaseMs: number;
  readonly nodeLeaseMs: number;
  /** What is left of a lease once the node's process is known to be gone. */
  readonly goneGraceMs: number;
}

interface Lease {
  incarnation: Incarnation;
  /** Until then the node may route by what it knows (R2). */
  routingUntilMs: number;
  /** Until then its consumers keep their messages (R24). */
  nodeUntilMs: number;
  applied: LogIndex;
}

/**
 * Who may still act on what it knows: soft state of group 0's leader on its monotonic clock. Pure; times are passed in.
 *
 * A grant counts from the start of a leadership round that a quorum confirmed after the renewal arrived, and at the node
 * from the moment it sent the renewal, which is earlier. So a leader that was replaced cannot prolong a lease beyond
 * the full term for which its successor waits.
 *
 * Invariant: a node with a valid routing lease has applied every change that was answered, or is waited for.
 */
export class LeaseTable {
  readonly #options: LeaseOptions;
  readonly #leases = new Map<NodeId, Lease>();
  /** Changes up to here were answered to somebody; a lease is granted only to nodes that have applied them. */
  #answered: LogIndex = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /**
   * This node leads group 0 from now on. What the predecessor granted is unknown: every running member gets a full term.
   * `answered` is the first index committed by this leader, at or above all that was ever answered.
   */
  reset(
    members: readonly { readonly node: NodeId; readonly incarnation: Incarnation }[],
    answered: LogIndex,
    nowMs: number,
  ): void {
    this.#leases.clear();
    this.#answered = answered;
    for (const { node, incarnation } of members) this.admit(node, incarnation, nowMs);
  }

  /** A node started: its new incarnation has a full term, and routes only after its first renewal. */
  admit(node: NodeId, incarnation: Incarnation, nowMs: number): void {
    this.#leases.set(node, {
      incarnation,
      routingUntilMs: nowMs + this.#options.routingLeaseMs,
      nodeUntilMs: nowMs + this.#options.nodeLeaseMs,
      applied: 0,
    });
  }

  /**
   * A renewal that a quorum-confirmed round covers. `refused`: the incarnation is not the current one. `behind`: the node
   * lives, but must catch up before it may route.
   */
  renew(
    node: NodeId,
    incarnation: Incarnation,
    applied: LogIndex,
    roundStartedMs: number,
  ): 'granted' | 'behind' | 'refused' {
    const lease = this.#leases.get(node);
    if (lease === undefined || lease.incarnation !== incarnation) return 'refused';
    this.applied(node, incarnation, applied);
    lease.nodeUntilMs = Math.max(lease.nodeUntilMs, roundStartedMs + this.#options.nodeLeaseMs);
    if (lease.applied < this.#answered) return 'behind';
    lease.routingUntilMs = Math.max(lease.routingUntilMs, roundStartedMs + this.#options.routingLeaseMs);
    return 'granted';
  }

  applied(node: NodeId, incarnation: Incarnation, index: LogIndex): void {
    const lease = this.#leases.get(node);
    if (lease?.incarnation === incarnation && index > lease.applied) lease.applied = index;
  }

  /** The node's process is known to be gone: nothing there can act on a lease any more. */
  processGone(node: NodeId, nowMs: number): void {
    const lease = this.#leases.get(node);
    if (lease === undefined) return;
    lease.routingUntilMs = Math.min(lease.routingUntilMs, nowMs);
    lease.nodeUntilMs = Math.min(lease.nodeUntilMs, nowMs + this.#options.goneGraceMs);
  }

  /** Changes up to this index may be answered: every node has applied them or may not route any more. */
  answerableThrough(committed: LogIndex, nowMs: number): LogIndex {
    let through = committed;
    for (const lease of this.#leases.values()) {
      if (lease.routingUntilMs > nowMs && lease.applied < through) through = lease.applied;
    }
    return through;
  }

  answered(index: LogIndex): void {
    assert(index >= 0, 'negative index');
    this.#answered = Math.max(this.#answered, index);
  }

  /** Incarnations whose lease ran out: to be fenced by a command of group 0. */
  expired(nowMs: number): { readonly node: NodeId; readonly incarnation: Incarnation }[] {
    const gone: { node: NodeId; incarnation: Incarnation }[] = [];
    for (const [node, lease] of this.#leases) {
      if (lease.nodeUntilMs <= nowMs) gone.push({ node, incarnation: lease.incarnation });
    }
    return gone;
  }

  remove(node: NodeId, incarnation: Incarnation): void {
    if (this.#leases.get(node)?.incarnation === incarnation) this.#leases.delete(node);
  }

  has(node: NodeId, incarnation: Incarnation): boolean {
    return this.#leases.get(node)?.incarnation === incarnation;
  }
}
