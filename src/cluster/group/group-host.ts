import type { GroupId, NodeId } from '../../lib/ids.ts';
import type { RaftMessage } from '../../raft/messages.ts';

/** A Raft group as the host sees it. */
export interface HostedGroup {
  readonly group: GroupId;
  step(message: RaftMessage): void;
  tick(): void;
  process(): void;
  peerGone(peer: NodeId): void;
  peerConnected(peer: NodeId): void;
}

/** Something that wants a call once in the next turn, after or before the groups had theirs. */
export interface TurnTask {
  process(): void;
}

export interface GroupHostDependencies {
  /** Runs the callback once after the I/O that is ready now was handled: `setImmediate`. */
  readonly defer: (callback: () => void) => void;
  /** Makes what was appended in this turn one write and one sync (R7). */
  readonly flushJournal: () => void;
}

/**
 * The groups of a node and the loop turn that they share: commands of clients first, then each group that has something
 * to do, then what goes out, and one sync for all of it (R6, R7).
 */
export class GroupHost {
  readonly #deps: GroupHostDependencies;
  readonly #groups = new Map<GroupId, HostedGroup>();
  #clients = new Set<TurnTask>();
  #dirty = new Set<HostedGroup>();
  #links = new Set<TurnTask>();
  #isDeferred = false;
  #isStopped = false;

  constructor(deps: GroupHostDependencies) {
    this.#deps = deps;
  }

  add(group: HostedGroup): void {
    this.#groups.set(group.group, group);
    this.wake(group.group);
  }

  remove(group: GroupId): void {
    const hosted = this.#groups.get(group);
    this.#groups.delete(group);
    if (hosted !== undefined) this.#dirty.delete(hosted);
  }

  get(group: GroupId): HostedGroup | undefined {
    return this.#groups.get(group);
  }

  groups(): IterableIterator<HostedGroup> {
    return this.#groups.values();
  }

  /** The group gets a turn. */
  wake(group: GroupId): void {
    const hosted = this.#groups.get(group);
    if (hosted === undefined) return;
    this.#dirty.add(hosted);
    this.#defer();
  }

  /** A stream of commands has something to send. */
  wakeClient(client: TurnTask): void {
    this.#clients.add(client);
    this.#defer();
  }

  /** Gathered output is to leave at the end of the turn. */
  wakeLink(link: TurnTask): void {
    this.#links.add(link);
    this.#defer();
  }

  step(group: GroupId, message: RaftMessage): void {
    this.#groups.get(group)?.step(message);
  }

  tick(): void {
    for (const group of this.#groups.values()) group.tick();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #defer(): void {
    if (this.#isDeferred || this.#isStopped) return;
    this.#isDeferred = true;
    this.#deps.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isDeferred = false;
    if (this.#isStopped) return;
    const clients = this.#clients;
    this.#clients = new Set();
    for (const client of clients) client.process();
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const group of dirty) group.process();
    const links = this.#links;
    this.#links = new Set();
    for (const link of links) link.process();
    this.#deps.flushJournal();
  }
}
