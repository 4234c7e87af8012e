import { assert } from '../lib/assert.ts';
import type { Exchange } from './exchange.ts';
import type { ExchangeDirectory } from './exchange-directory.ts';
import type { QueueDirectory } from './queue-directory.ts';
import {
  type BindingRecord,
  destinationExchange,
  destinationQueue,
  type TopologyObserver,
} from './topology-records.ts';

/** The bindings of a topology, kept at both of their ends, and what ends with them. */
export class TopologyBindings {
  readonly #exchanges: ExchangeDirectory;
  readonly #queues: QueueDirectory;
  readonly #observer: TopologyObserver;
  readonly #byId = new Map<number, BindingRecord>();

  constructor(exchanges: ExchangeDirectory, queues: QueueDirectory, observer: TopologyObserver) {
    this.#exchanges = exchanges;
    this.#queues = queues;
    this.#observer = observer;
  }

  get(id: number): BindingRecord | undefined {
    return this.#byId.get(id);
  }

  clear(): void {
    this.#byId.clear();
  }

  add(binding: BindingRecord): void {
    const source = this.#exchanges.get(binding.source);
    assert(source !== undefined, () => `binding ${binding.id} of missing exchange ${binding.source}`);
    this.#exchanges.forgetRoutes(source);
    source.add(binding);
    this.#bindingsTo(binding).add(binding);
    this.#byId.set(binding.id, binding);
  }

  /** Auto-delete exchanges go with the last of their bindings. */
  remove(bindings: Iterable<BindingRecord>): void {
    const ended: Exchange[] = [];
    for (const binding of bindings) this.#remove(binding, ended);
    this.removeExchanges(ended);
  }

  /** With their bindings, those that lead to them, and the auto-delete exchanges whose last binding that is, and so on. */
  removeExchanges(ended: Exchange[]): void {
    for (const exchange of ended) {
      if (this.#exchanges.get(exchange.record.id) === undefined) continue;
      for (const binding of [...exchange.bindings()]) this.#remove(binding, []);
      for (const binding of [...exchange.incoming]) this.#remove(binding, ended);
      this.#observer.beforeChange({ kind: 'exchange-removed', exchange: exchange.record });
      this.#exchanges.remove(exchange);
    }
  }

  #remove(binding: BindingRecord, ended: Exchange[]): void {
    this.#observer.beforeChange({ kind: 'unbound', binding });
    const source = this.#exchanges.get(binding.source)!;
    this.#exchanges.forgetRoutes(source);
    source.remove(binding);
    this.#bindingsTo(binding).delete(binding);
    this.#byId.delete(binding.id);
    if (source.record.autoDelete && source.bindingCount === 0) ended.push(source);
  }

  #bindingsTo({ id, destination }: BindingRecord): Set<BindingRecord> {
    const queue = destinationQueue(destination);
    const bindings =
      queue === undefined
        ? this.#exchanges.get(destinationExchange(destination)!)?.incoming
        : this.#queues.get(queue)?.bindings;
    assert(bindings !== undefined, () => `binding ${id} leads to nothing: ${destination}`);
    return bindings;
  }
}
