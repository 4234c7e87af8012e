import type { Incarnation, NodeId } from '../../../src/lib/ids.ts';
import type { ModelSession } from './model-state.ts';

/** Who talks to the shard, and who may not any more (R24). */
export class ModelMembers {
  readonly #sessions: ModelSession[] = [];
  readonly #fences = new Map<NodeId, number>();

  all(): readonly ModelSession[] {
    return this.#sessions;
  }

  find(node: NodeId, incarnation: Incarnation): ModelSession | undefined {
    return this.#sessions.find(session => session.node === node && session.incarnation === incarnation);
  }

  open(node: NodeId, incarnation: Incarnation): ModelSession {
    const session: ModelSession = {
      node,
      incarnation,
      lastSequence: 0,
      seenThrough: 0,
      topologyIndex: 0,
      outcomes: [],
      isEnded: false,
      consumers: new Map(),
      uploads: new Map(),
    };
    this.#sessions.push(session);
    return session;
  }

  isFenced(node: NodeId, incarnation: number): boolean {
    return incarnation <= (this.#fences.get(node) ?? 0);
  }

  /** Returns the sessions that end with it. */
  fence(node: NodeId, through: Incarnation): ModelSession[] {
    this.#fences.set(node, Math.max(through, this.#fences.get(node) ?? 0));
    const ended = this.#sessions.filter(session => session.node === node && session.incarnation <= through);
    for (const session of ended) this.#sessions.splice(this.#sessions.indexOf(session), 1);
    return ended;
  }

  fenced(): ReadonlyMap<NodeId, number> {
    return this.#fences;
  }

  /** Whether the session has got further with group 0. */
  heard(session: ModelSession, topologyIndex: number): boolean {
    if (topologyIndex <= session.topologyIndex) return false;
    session.topologyIndex = topologyIndex;
    return true;
  }

  get topologyIndexMin(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#sessions.map(session => session.topologyIndex));
  }
}
