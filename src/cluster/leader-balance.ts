import type { NodeId } from '../lib/ids.ts';
import type { Peers } from './peers.ts';
import type { Replicas } from './replicas.ts';

/** How far the preferred leader may be behind when the leadership is handed over. */
const LAG_ENTRIES_MAX = 64;

/** Hands leaderships back to the nodes that the shard map prefers, so that leaders stay spread after restarts (R5). */
export class LeaderBalance {
  readonly #options: { readonly self: NodeId; readonly afterMs: number };
  readonly #deps: { readonly replicas: Replicas; readonly peers: Peers };
  #lastMs = 0;

  constructor(
    options: { readonly self: NodeId; readonly afterMs: number },
    deps: { readonly replicas: Replicas; readonly peers: Peers },
  ) {
    this.#options = options;
    this.#deps = deps;
  }

  /** One shard at a time. The preferred node must have been linked for a while and be caught up. */
  tick(nowMs: number): void {
    const { self, afterMs } = this.#options;
    if (nowMs - this.#lastMs < afterMs / 10) return;
    this.#lastMs = nowMs;
    const { replicas, peers } = this.#deps;
    for (const { group, driver } of replicas.shards()) {
      const preferred = replicas.metadata.machine.shards.get(group)?.preferredLeader;
      if (preferred === undefined || preferred === self || !driver.isServing) continue;
      const sinceMs = peers.connectedSinceMs(preferred);
      if (sinceMs === undefined || nowMs - sinceMs < afterMs) continue;
      const peer = driver.raft.status().peers.find(status => status.peer === preferred);
      if (peer === undefined || driver.raft.lastId.index - peer.match > LAG_ENTRIES_MAX) continue;
      if (driver.raft.transferLeadership(preferred)) return;
    }
  }
}
