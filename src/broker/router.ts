import type { Random } from '../lib/random.ts';
import type { BrokerError } from './broker-error.ts';
import type { Exchange } from './exchange.ts';
import { DEFAULT_EXCHANGE, described } from './names.ts';
import { type Routable, RouteCollector } from './route-collector.ts';
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
 * routing key where nothing else matters, and allocates nothing when it remembers.
 */
export class Router {
  readonly #topology: TopologyView;
  readonly #random: Random;
  readonly #collector = new RouteCollector();
  /** Exchanges that hold remembered routes, and some that held them. */
  #exchanges: Exchange[] = [];
  #cachedSize = 0;

  constructor(topology: TopologyView, random: Random) {
    this.#topology = topology;
    this.#random = random;
  }

  /** An empty route is no error. */
  route(vhost: string, exchangeName: string, message: Routable): Route | BrokerError {
    if (exchangeName === DEFAULT_EXCHANGE) return this.#defaultRoute(vhost, message);
    const exchange = this.#topology.exchange(vhost, exchangeName);
    if (exchange === undefined || exchange.record.internal) return refusal(vhost, exchangeName, exchange);
    const key = exchange.readsRoutingKey ? message.routingKey : '';
    const isSimple = message.moreRoutingKeys.length === 0;
    const remembered = isSimple ? exchange.routes?.get(key) : undefined;
    if (remembered !== undefined) return remembered;
    const mayRemember = this.#collect(exchange, message);
    const route = this.#collected();
    if (mayRemember && isSimple) this.#remember(exchange, key, route);
    return route;
  }

  /** Why a message to this exchange would be refused. */
  check(vhost: string, exchangeName: string): BrokerError | undefined {
    if (exchangeName === DEFAULT_EXCHANGE) return undefined;
    const exchange = this.#topology.exchange(vhost, exchangeName);
    return exchange === undefined || exchange.record.internal ? refusal(vhost, exchangeName, exchange) : undefined;
  }

  #defaultRoute(vhost: string, message: Routable): Route {
    const route = this.#topology.defaultRoute(vhost, message.routingKey) ?? NOWHERE;
    if (message.moreRoutingKeys.length === 0) return route;
    const queues = new Set(route);
    for (const key of message.moreRoutingKeys) {
      for (const queue of this.#topology.defaultRoute(vhost, key) ?? NOWHERE) queues.add(queue);
    }
    return [...queues].sort((a, b) => a.id - b.id);
  }

  /**
   * Walks from exchange to exchange, each once, so that circles end. What one of them cannot route goes to its alternate.
   * False: something else than exchanges and routing key decided.
   */
  #collect(first: Exchange, message: Routable): boolean {
    const { vhost } = first.record;
    const collector = this.#collector;
    collector.begin(first.record.id);
    let mayRemember = true;
    for (const id of collector.exchanges) {
      const exchange = this.#topology.linkedExchange(id);
      collector.beginExchange();
      exchange.route(message, collector, this.#random);
      if (exchange.type.reads === 'more') mayRemember = false;
      if (collector.hasMatch || exchange.alternate === undefined) continue;
      // The default exchange counts as one without bindings here, as in RabbitMQ.
      const alternate = this.#topology.exchange(vhost, exchange.alternate);
      if (alternate !== undefined) collector.exchanges.add(alternate.record.id);
    }
    return mayRemember;
  }

  #collected(): Route {
    const { queues } = this.#collector;
    if (queues.size === 0) return NOWHERE;
    if (queues.size === 1) for (const queue of queues) return this.#topology.routeTo(queue);
    return [...queues].sort((a, b) => a - b).map(id => this.#topology.queueById(id)!);
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
    for (const id of this.#collector.exchanges) this.#topology.linkedExchange(id).isRemembered = true;
  }
}

function refusal(vhost: string, name: string, internal: Exchange | undefined): BrokerError {
  if (internal === undefined) return { code: 'no-exchange', vhost, name };
  return { code: 'access-refused', text: `cannot publish to internal ${described('exchange', vhost, name)}` };
}
