import type { QueueId } from '../lib/ids.ts';
import type { BrokerError } from './broker-error.ts';
import { alternateExchange } from './declarations.ts';
import type { Exchange } from './exchange.ts';
import type { FieldTable } from './field-table.ts';
import { DEFAULT_EXCHANGE, described } from './names.ts';
import type { TopologyView } from './topology.ts';
import type { QueueRecord } from './topology-records.ts';

/** Size of all remembered routes, each its queues and ten more for the rest; beyond it, all are forgotten. About 10 bytes each. */
export const CACHED_ROUTES_SIZE_MAX = 1_000_000;
const ROUTE_OVERHEAD = 10;

/** Ascending by queue id, each queue once. An array that was given out never changes. */
export type Route = readonly QueueRecord[];

const NOWHERE: Route = [];

/**
 * Tells where a message goes. Reads the topology as it is at the moment of the call; remembers routes by exchange and
 * routing key where headers do not matter, and allocates nothing when it remembers.
 */
export class Router {
  readonly #topology: TopologyView;
  /** Exchanges that hold remembered routes, and some that held them. */
  #exchanges: Exchange[] = [];
  #cachedSize = 0;

  constructor(topology: TopologyView) {
    this.#topology = topology;
  }

  /** An empty route is no error. `headers` is called only when a headers exchange is met. */
  route(
    vhost: string,
    exchangeName: string,
    routingKey: string,
    headers: () => FieldTable | undefined,
  ): Route | BrokerError {
    if (exchangeName === DEFAULT_EXCHANGE) return this.#topology.defaultRoute(vhost, routingKey) ?? NOWHERE;
    const exchange = this.#topology.exchange(vhost, exchangeName);
    if (exchange === undefined) return { code: 'no-exchange', vhost, name: exchangeName };
    if (exchange.record.internal) {
      const text = `cannot publish to internal ${described('exchange', vhost, exchangeName)}`;
      return { code: 'access-refused', text };
    }
    const route = this.#routeOf(exchange, routingKey, headers);
    if (route.length > 0 || exchange.record.arguments.size === 0) return route;
    return this.#routeOfAlternates(exchange, routingKey, headers);
  }

  #routeOf(exchange: Exchange, routingKey: string, headers: () => FieldTable | undefined): Route {
    const { reads } = exchange.type;
    if (reads === 'headers') return this.#matched(exchange, routingKey, headers);
    const key = reads === 'nothing' ? '' : routingKey;
    const cached = exchange.routes?.get(key);
    if (cached !== undefined) return cached;
    const route = this.#matched(exchange, routingKey, headers);
    this.#remember(exchange, key, route);
    return route;
  }

  #matched(exchange: Exchange, routingKey: string, headers: () => FieldTable | undefined): Route {
    const ids = new Set<QueueId>();
    exchange.route(routingKey, headers, ids);
    if (ids.size === 0) return NOWHERE;
    return [...ids].sort((a, b) => a - b).map(id => this.#topology.queueById(id)!);
  }

  #remember(exchange: Exchange, key: string, route: Route): void {
    if (this.#cachedSize >= CACHED_ROUTES_SIZE_MAX) {
      for (const remembered of this.#exchanges) remembered.routes = undefined;
      this.#exchanges = [];
      this.#cachedSize = 0;
    }
    if (exchange.routes === undefined) {
      exchange.routes = new Map();
      this.#exchanges.push(exchange);
    }
    exchange.routes.set(key, route);
    this.#cachedSize += route.length + ROUTE_OVERHEAD;
  }

  /** What an exchange cannot route goes to its alternate, and on from there; a circle ends where it closes. */
  #routeOfAlternates(first: Exchange, routingKey: string, headers: () => FieldTable | undefined): Route {
    const seen = new Set([first]);
    let exchange = first;
    while (true) {
      const name = alternateExchange(exchange.record);
      if (name === undefined) return NOWHERE;
      if (name === DEFAULT_EXCHANGE) return this.#topology.defaultRoute(first.record.vhost, routingKey) ?? NOWHERE;
      const next = this.#topology.exchange(first.record.vhost, name);
      if (next === undefined || seen.has(next)) return NOWHERE;
      const route = this.#routeOf(next, routingKey, headers);
      if (route.length > 0) return route;
      seen.add(next);
      exchange = next;
    }
  }
}
