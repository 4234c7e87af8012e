import type { GroupId } from '../../../src/lib/ids.ts';
import { type ModelConsumer, type ModelQueue, nameOf } from '../model/model-state.ts';
import { isStream, unread } from '../model/model-streams.ts';
import type { Workload } from './workload.ts';

/** What is left in the queues, and whose turn it is. */
export class Backlog {
  readonly #workload: Workload;

  constructor(workload: Workload) {
    this.#workload = workload;
  }

  /** What must still happen until every queue is empty, as a sentence. */
  pending(): string | undefined {
    const { cluster, auditor, volatile } = this.#workload;
    for (const group of cluster.groups) {
      if (cluster.leaderOf(group)?.machine.continuationWanted === true) return `group ${group} has work left over`;
    }
    for (const group of [...cluster.groups, ...volatile.groups()]) {
      const model = auditor.model(group);
      if (model === undefined) continue;
      for (const id of model.tombstones.named) return `queue ${id} is deleted; group 0 still has its name`;
      for (const queue of model.queues.values()) {
        const pending = this.#pendingIn(group, queue);
        if (pending !== undefined) return pending;
      }
    }
    return undefined;
  }

  #pendingIn(group: GroupId, queue: ModelQueue): string | undefined {
    const { id, config, ready, consumers } = queue;
    const name = `queue ${id} of group ${group}`;
    const { auditor, topology, volatile } = this.#workload;
    const isVolatile = volatile.groupOf(id) !== undefined;
    const current = isVolatile ? undefined : topology.current(config.name);
    if (!isVolatile && current?.id !== id)
      return `${name} is there, but ${config.name} is queue ${current?.id ?? 'nothing'}`;
    for (const consumer of consumers) {
      for (const [number, message] of consumer.held) {
        return (
          `message ${auditor.idOf(message)} of ${name} is held by ${nameOf(consumer)} as delivery ${number}; ` +
          `${this.#stateOf(consumer)}`
        );
      }
    }
    const active = consumers.filter(({ state }) => state === 'active');
    if (isStream(queue)) return this.#unreadIn(name, queue, active);
    const first = ready[0];
    if (first === undefined) return undefined;
    // A volatile queue is seen on its node only, where perhaps nobody consumes.
    if (isVolatile && active.length === 0) return undefined;
    const waiting = active.map(one => `${nameOf(one)} has had ${one.last} of ${one.credit.deliverThrough}`);
    return (
      `message ${auditor.idOf(first)} is the first of ${ready.length} ready in ${name}; ` +
      `${waiting.join(', ') || 'nobody consumes'}`
    );
  }

  #unreadIn(name: string, stream: ModelQueue, readers: readonly ModelConsumer[]): string | undefined {
    const reader = readers.find(one => unread(stream, one) !== undefined);
    if (reader === undefined) return undefined;
    const { cursor, last, credit } = reader;
    const waits = `has had ${last} of ${credit.deliverThrough}`;
    return `${nameOf(reader)} has read up to ${cursor} of ${stream.places} in stream ${name} and ${waits}`;
  }

  #stateOf({ session }: ModelConsumer): string {
    const { gateway } = this.#workload.cluster.node(session.node);
    if (gateway?.incarnation === session.incarnation) return 'its node is alive and has to settle it';
    return 'its node is gone and has to be fenced';
  }
}
