/**
 * Routing on one core: from exchange and routing key to queues, for keys asked before and for new ones. Prints a
 * table and, as the last line, JSON: `npm run bench:routing`.
 */
import { EMPTY_TABLE, type FieldTable } from '../src/broker/field-table.ts';
import { Router } from '../src/broker/router.ts';
import { Topology } from '../src/broker/topology.ts';
import { groupId, incarnation, nodeId } from '../src/lib/ids.ts';

const BINDINGS = [10, 1_000, 100_000];
const REMEMBERED_KEYS = 1_000;
const REMEMBERED_ROUTES = 2_000_000;
const NEW_KEYS_MAX = 20_000;
const ROUNDS = 3;

const owner = { node: nodeId(1), incarnation: incarnation(1), connection: 1 };
const noHeaders = (): FieldTable | undefined => undefined;

interface Scenario {
  readonly exchange: string;
  readonly bindingKey: (i: number) => string;
  readonly routingKey: (i: number) => string;
}

const SCENARIOS: readonly Scenario[] = [
  { exchange: 'amq.direct', bindingKey: i => `order.${i}`, routingKey: i => `order.${i}` },
  { exchange: 'amq.fanout', bindingKey: () => '', routingKey: i => `order.${i}` },
  { exchange: 'amq.topic', bindingKey: i => `*.order.${i}.#`, routingKey: i => `eu.order.${i}.paid` },
];

interface Measured {
  readonly exchange: string;
  readonly bindings: number;
  readonly bindMicroseconds: number;
  readonly rememberedNs: number;
  readonly newKeyNs: number;
}

function measure(scenario: Scenario, bindings: number): Measured {
  const topology = new Topology({ beforeChange: () => {} });
  topology.declareVhost('/');
  const flags = { serverNamed: false, durable: true, exclusive: false, autoDelete: false, arguments: EMPTY_TABLE };
  for (let i = 0; i <= bindings; i++) {
    topology.declareQueue({ vhost: '/', name: `q${i}`, owner, ...flags }, () => ({
      ok: true,
      value: { kind: 'shard', group: groupId(1) },
    }));
  }
  const bind = (i: number, exchange = scenario.exchange, routingKey = scenario.bindingKey(i)) =>
    topology.bind({ vhost: '/', exchange, queue: `q${i}`, routingKey, arguments: EMPTY_TABLE, owner });
  const bindingStarted = performance.now();
  for (let i = 0; i < bindings; i++) bind(i);
  const bindMicroseconds = ((performance.now() - bindingStarted) * 1000) / bindings;

  const router = new Router(topology);
  const route = (key: string) => router.route('/', scenario.exchange, key, noHeaders);
  const hotKeys = Array.from({ length: Math.min(REMEMBERED_KEYS, bindings) }, (_, i) => scenario.routingKey(i));
  const newKeys = Array.from({ length: Math.min(NEW_KEYS_MAX, bindings) }, (_, i) => scenario.routingKey(i));
  let rememberedNs = Number.POSITIVE_INFINITY;
  let newKeyNs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    // One more binding and everything about the exchange is asked anew.
    const probe = { vhost: '/', exchange: scenario.exchange, queue: `q${bindings}`, routingKey: `probe.${round}` };
    topology.bind({ ...probe, arguments: EMPTY_TABLE, owner });
    newKeyNs = Math.min(newKeyNs, nsPerCall(newKeys.length, newKeys, route));
    rememberedNs = Math.min(rememberedNs, nsPerCall(REMEMBERED_ROUTES, hotKeys, route));
  }
  return { exchange: scenario.exchange, bindings, bindMicroseconds, rememberedNs, newKeyNs };
}

function nsPerCall(calls: number, keys: readonly string[], route: (key: string) => unknown): number {
  const started = performance.now();
  for (let call = 0, at = 0; call < calls; call++) {
    route(keys[at]!);
    if (++at === keys.length) at = 0;
  }
  return ((performance.now() - started) * 1e6) / calls;
}

const columns = ['exchange', 'bindings', 'us per bind', 'ns, key asked before', 'ns, new key'];
console.log(columns.map(column => column.padStart(21)).join(''));
const results: Measured[] = [];
for (const scenario of SCENARIOS) {
  for (const bindings of BINDINGS) {
    const result = measure(scenario, bindings);
    results.push(result);
    const { bindMicroseconds, rememberedNs, newKeyNs } = result;
    const cells = [
      result.exchange,
      bindings,
      bindMicroseconds.toFixed(2),
      rememberedNs.toFixed(0),
      newKeyNs.toFixed(0),
    ];
    console.log(cells.map(cell => String(cell).padStart(21)).join(''));
  }
}
console.log(JSON.stringify({ bench: 'routing', node: process.version, results }));
