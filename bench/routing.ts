/**
 * Routing on one core: from exchange and routing key to queues, for messages like one before and for new ones. Prints
 * microseconds per route as a table and, as the last line, JSON.
 *
 *   npm run bench:routing
 */
import { EMPTY_TABLE, type FieldTable, type FieldValue } from '../src/broker/field-table.ts';
import type { Routable } from '../src/broker/route-collector.ts';
import { Router } from '../src/broker/router.ts';
import { Topology } from '../src/broker/topology.ts';
import { groupId, incarnation, nodeId } from '../src/lib/ids.ts';
import { SeededRandom } from '../src/lib/random.ts';

const BINDINGS = [10, 1_000, 100_000];
const REMEMBERED_KEYS = 1_000;
const NEW_KEYS_MAX = 20_000;
const ROUNDS = 3;
/** Stops a measurement that is slow anyway. */
const ROUND_MAX_MS = 1_500;

const owner = { node: nodeId(1), incarnation: incarnation(1), connection: 1 };
const vhost = '/';

interface Scenario {
  readonly name: string;
  readonly type: string;
  readonly bindingKey: (i: number) => string;
  readonly bindingArguments?: (i: number) => FieldTable;
  readonly routingKey: (i: number) => string;
  readonly headers?: (i: number) => FieldTable;
  /** Messages come through another exchange. */
  readonly isLinked?: boolean;
}

const order = (i: number): string => `order.${i}`;
const id = (i: number): FieldValue => ({ type: 'int32', value: i });
const text = (value: string): FieldValue => ({ type: 'string', value });
const header = (i: number): FieldTable => new Map([['id', id(i)]]);
const empty = (): string => '';

const SCENARIOS: readonly Scenario[] = [
  { name: 'direct', type: 'direct', bindingKey: order, routingKey: order },
  { name: 'direct behind another', type: 'direct', bindingKey: order, routingKey: order, isLinked: true },
  { name: 'fanout', type: 'fanout', bindingKey: empty, routingKey: order },
  { name: 'topic, plain words', type: 'topic', bindingKey: order, routingKey: order },
  {
    name: 'topic, one * and one #',
    type: 'topic',
    bindingKey: i => `*.order.${i}.#`,
    routingKey: i => `eu.order.${i}.paid`,
  },
  {
    name: 'topic, many * and #',
    type: 'topic',
    bindingKey: i => `#.${i % 300}.*.#.${i}.#`,
    routingKey: i => `a.${i % 300}.b.c.${i}.d`,
  },
  {
    name: 'headers, all',
    type: 'headers',
    bindingKey: empty,
    bindingArguments: i => new Map([...header(i), ['kind', text('order')]]),
    routingKey: empty,
    headers: i => new Map([...header(i), ['kind', text('order')]]),
  },
  {
    name: 'headers, any',
    type: 'headers',
    bindingKey: empty,
    bindingArguments: i => new Map([...header(i), ['kind', text(order(i))], ['x-match', text('any')]]),
    routingKey: empty,
    headers: header,
  },
  { name: 'x-consistent-hash', type: 'x-consistent-hash', bindingKey: () => '10', routingKey: order },
  { name: 'x-modulus-hash', type: 'x-modulus-hash', bindingKey: empty, routingKey: order },
  { name: 'x-random', type: 'x-random', bindingKey: empty, routingKey: order },
];

interface Measured {
  readonly exchange: string;
  readonly bindings: number;
  readonly bindMicroseconds: number;
  readonly rememberedMicroseconds: number;
  readonly newMicroseconds: number;
}

function declare(scenario: Scenario, bindings: number): Topology {
  const topology = new Topology({ beforeChange: () => {} });
  topology.declareVhost(vhost);
  const flags = { durable: true, autoDelete: false, arguments: EMPTY_TABLE };
  const queueFlags = { ...flags, serverNamed: false, exclusive: false };
  topology.declareExchange({ vhost, name: 'x', type: scenario.type, internal: false, ...flags });
  const home = { ok: true, value: { kind: 'shard', group: groupId(1) } } as const;
  for (let i = 0; i <= bindings; i++) topology.declareQueue({ vhost, name: `q${i}`, owner, ...queueFlags }, () => home);
  if (scenario.isLinked) {
    const destination = { kind: 'exchange', name: 'x' } as const;
    topology.bind({ vhost, source: 'amq.fanout', destination, routingKey: '', arguments: EMPTY_TABLE, owner });
  }
  return topology;
}

function bind(topology: Topology, scenario: Scenario, queue: number, of: number): void {
  topology.bind({
    vhost,
    source: 'x',
    destination: { kind: 'queue', name: `q${queue}` },
    routingKey: scenario.bindingKey(of),
    arguments: scenario.bindingArguments?.(of) ?? EMPTY_TABLE,
    owner,
  });
}

function measure(scenario: Scenario, bindings: number): Measured {
  const topology = declare(scenario, bindings);
  const bindingStarted = performance.now();
  for (let i = 0; i < bindings; i++) bind(topology, scenario, i, i);
  const bindMicroseconds = ((performance.now() - bindingStarted) * 1_000) / bindings;

  const router = new Router(topology, new SeededRandom(1));
  const entrance = scenario.isLinked ? 'amq.fanout' : 'x';
  const route = (message: Routable) => router.route(vhost, entrance, message);
  const fresh = Array.from({ length: Math.min(NEW_KEYS_MAX, bindings) }, (_, i) => message(scenario, i));
  const hot = fresh.slice(0, REMEMBERED_KEYS);
  let [rememberedMicroseconds, newMicroseconds] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < ROUNDS; round++) {
    // One more binding and everything about the exchange is asked anew.
    bind(topology, scenario, bindings, bindings + round);
    newMicroseconds = Math.min(newMicroseconds, microsecondsPerCall(fresh, 1, route));
    rememberedMicroseconds = Math.min(rememberedMicroseconds, microsecondsPerCall(hot, 200, route));
  }
  return { exchange: scenario.name, bindings, bindMicroseconds, rememberedMicroseconds, newMicroseconds };
}

function message(scenario: Scenario, i: number): Routable {
  const headers = scenario.headers?.(i);
  return {
    routingKey: scenario.routingKey(i),
    moreRoutingKeys: [],
    headers: () => headers,
    property: () => undefined,
  };
}

function microsecondsPerCall(
  messages: readonly Routable[],
  times: number,
  route: (message: Routable) => unknown,
): number {
  const started = performance.now();
  let calls = 0;
  for (let time = 0; time < times; time++) {
    for (const one of messages) {
      route(one);
      calls++;
      if (calls % 64 === 0 && performance.now() - started > ROUND_MAX_MS) break;
    }
    if (performance.now() - started > ROUND_MAX_MS) break;
  }
  return ((performance.now() - started) * 1_000) / calls;
}

const columns = ['exchange', 'bindings', 'us to bind', 'us, asked before', 'us, new'];
const cellsOf = (cells: readonly (string | number)[]): string =>
  cells.map((cell, i) => (i === 0 ? String(cell).padEnd(24) : String(cell).padStart(18))).join('');
console.log(cellsOf(columns));
const results: Measured[] = [];
for (const scenario of SCENARIOS) {
  for (const bindings of BINDINGS) {
    const result = measure(scenario, bindings);
    results.push(result);
    const { bindMicroseconds, rememberedMicroseconds, newMicroseconds } = result;
    const numbers = [bindMicroseconds, rememberedMicroseconds, newMicroseconds].map(number => number.toFixed(3));
    console.log(cellsOf([scenario.name, bindings, ...numbers]));
  }
}
console.log(JSON.stringify({ bench: 'routing', node: process.version, results }));
