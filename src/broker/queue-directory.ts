import { assert } from '../lib/assert.ts';
import type { QueueId } from '../lib/ids.ts';
import type { BindingRecord, NodeStart, QueueRecord } from './topology-records.ts';

/** A queue and what hangs on it. */
export interface QueueEntry {
  readonly record: QueueRecord;
  /** The queue alone, as the default exchange routes to it. */
  readonly route: readonly QueueRecord[];
  readonly bindings: Set<BindingRecord>;
}

/** Queues by id, by name, and the volatile ones by the node start and connection that they end with. */
export class QueueDirectory {
  readonly #byId = new Map<QueueId, QueueEntry>();
  readonly #byName = new Map<string, Map<string, QueueEntry>>();
  readonly #byHost = new Map<string, Map<number, Set<QueueEntry>>>();

  get count(): number {
    return this.#byId.size;
  }

  countIn(vhost: string): number {
    return this.#byName.get(vhost)?.size ?? 0;
  }

  get(id: QueueId): QueueEntry | undefined {
    return this.#byId.get(id);
  }

  named(vhost: string, name: string): QueueEntry | undefined {
    return this.#byName.get(vhost)?.get(name);
  }

  /** In the order of their ids. */
  list(vhost: string | undefined): QueueRecord[] {
    if (vhost === undefined) return [...this.#byId.values()].map(entry => entry.record);
    return [...(this.#byName.get(vhost)?.values() ?? [])].map(entry => entry.record);
  }

  /** In the order of their ids. */
  hostedBy(start: NodeStart, connection: number | undefined): QueueRecord[] {
    const byConnection = this.#byHost.get(hostKey(start));
    if (byConnection === undefined) return [];
    const sets = connection === undefined ? [...byConnection.values()] : [byConnection.get(connection) ?? []];
    const records = sets.flatMap(entries => [...entries].map(entry => entry.record));
    return records.sort((a, b) => a.id - b.id);
  }

  /** Starts of nodes that host volatile queues. */
  hosts(): NodeStart[] {
    return [...this.#byHost.values()].map(byConnection => {
      const [entries] = byConnection.values();
      const [entry] = entries!;
      const { home } = entry!.record;
      assert(home.kind === 'volatile', 'a queue of a shard stands under a node');
      return { node: home.node, incarnation: home.incarnation };
    });
  }

  add(record: QueueRecord): void {
    const entry: QueueEntry = { record, route: [record], bindings: new Set() };
    this.#byId.set(record.id, entry);
    getOrCreate(this.#byName, record.vhost, () => new Map<string, QueueEntry>()).set(record.name, entry);
    if (record.home.kind !== 'volatile') return;
    const byConnection = getOrCreate(this.#byHost, hostKey(record.home), () => new Map<number, Set<QueueEntry>>());
    getOrCreate(byConnection, connectionOf(record), () => new Set<QueueEntry>()).add(entry);
  }

  clear(): void {
    this.#byId.clear();
    this.#byName.clear();
    this.#byHost.clear();
  }

  remove(id: QueueId): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    const { record } = entry;
    this.#byId.delete(id);
    this.#byName.get(record.vhost)!.delete(record.name);
    if (record.home.kind !== 'volatile') return;
    const byConnection = this.#byHost.get(hostKey(record.home))!;
    const entries = byConnection.get(connectionOf(record))!;
    entries.delete(entry);
    if (entries.size === 0) byConnection.delete(connectionOf(record));
    if (byConnection.size === 0) this.#byHost.delete(hostKey(record.home));
  }
}

const hostKey = (start: NodeStart): string => `${start.node}/${start.incarnation}`;
/** Connections count from 1; queues that outlive their connection stand under 0. */
const connectionOf = (record: QueueRecord): number => record.exclusiveOwner?.connection ?? 0;

function getOrCreate<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}
