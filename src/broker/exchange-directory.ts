import { assert } from '../lib/assert.ts';
import type { Exchange } from './exchange.ts';

interface Vhost {
  readonly exchanges: Map<string, Exchange>;
  /** Exchanges by the name of their alternate, which need not exist. */
  readonly byAlternate: Map<string, Set<Exchange>>;
}

/** Vhosts, and exchanges by id and by name. Knows what leads to an exchange, and so whose remembered routes a change spoils. */
export class ExchangeDirectory {
  readonly #vhosts = new Map<string, Vhost>();
  readonly #byId = new Map<number, Exchange>();

  vhosts(): IterableIterator<string> {
    return this.#vhosts.keys();
  }

  hasVhost(vhost: string): boolean {
    return this.#vhosts.has(vhost);
  }

  get(id: number): Exchange | undefined {
    return this.#byId.get(id);
  }

  named(vhost: string, name: string): Exchange | undefined {
    return this.#vhosts.get(vhost)?.exchanges.get(name);
  }

  /** In the order of their ids. */
  list(): IterableIterator<Exchange> {
    return this.#byId.values();
  }

  addVhost(vhost: string): void {
    this.#vhosts.set(vhost, { exchanges: new Map(), byAlternate: new Map() });
  }

  /** Without any exchange left. */
  removeVhost(vhost: string): void {
    assert(this.#vhosts.get(vhost)?.exchanges.size === 0, () => `vhost ${vhost} still has exchanges`);
    this.#vhosts.delete(vhost);
  }

  /** In the order of their declaration. */
  inVhost(vhost: string): Iterable<Exchange> {
    return this.#vhosts.get(vhost)?.exchanges.values() ?? [];
  }

  add(exchange: Exchange): void {
    const { record, alternate } = exchange;
    const vhost = this.#vhosts.get(record.vhost);
    assert(vhost !== undefined, () => `exchange ${record.name} in missing vhost ${record.vhost}`);
    vhost.exchanges.set(record.name, exchange);
    this.#byId.set(record.id, exchange);
    if (alternate !== undefined) {
      const others = vhost.byAlternate.get(alternate) ?? new Set();
      vhost.byAlternate.set(alternate, others.add(exchange));
    }
    this.#forgetRoutesOf(this.#withAlternate(exchange));
  }

  /** It has no bindings any more, and none leads to it. */
  remove(exchange: Exchange): void {
    const { record, alternate } = exchange;
    this.forgetRoutes(exchange);
    const vhost = this.#vhosts.get(record.vhost)!;
    vhost.exchanges.delete(record.name);
    this.#byId.delete(record.id);
    if (alternate === undefined) return;
    const others = vhost.byAlternate.get(alternate)!;
    others.delete(exchange);
    if (others.size === 0) vhost.byAlternate.delete(alternate);
  }

  clear(): void {
    for (const exchange of this.#byId.values()) exchange.routes = undefined;
    this.#vhosts.clear();
    this.#byId.clear();
  }

  /** The exchange changes: no route that leads through it is remembered any more. */
  forgetRoutes(exchange: Exchange): void {
    if (exchange.isRemembered) this.#forgetRoutesOf([exchange]);
  }

  #forgetRoutesOf(changed: Iterable<Exchange>): void {
    const spoiled = [...changed];
    for (const exchange of spoiled) {
      if (!exchange.isRemembered) continue;
      exchange.isRemembered = false;
      exchange.routes = undefined;
      for (const { source } of exchange.incoming) spoiled.push(this.#byId.get(source)!);
      spoiled.push(...this.#withAlternate(exchange));
    }
  }

  #withAlternate({ record }: Exchange): Iterable<Exchange> {
    return this.#vhosts.get(record.vhost)?.byAlternate.get(record.name) ?? [];
  }
}
