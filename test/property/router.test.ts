import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import { Router } from '../../src/broker/router.ts';
import type { Topology } from '../../src/broker/topology.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import {
  binding,
  declareQueueIn,
  emptyTopology,
  exchangeNamed,
  link,
  routable,
  table,
  text,
} from '../support/metadata.ts';

interface NaiveBinding {
  readonly exchange: string;
  readonly to: 'queue' | 'exchange';
  readonly end: string;
  readonly key: string;
  readonly headers: FieldTable;
}

/** What there is, and nothing arranged. */
interface NaiveTopology {
  readonly exchanges: ReadonlyMap<string, Shape>;
  readonly queues: ReadonlySet<string>;
  readonly bindings: readonly NaiveBinding[];
}

interface Shape {
  readonly type: string;
  readonly autoDelete: boolean;
  readonly alternate: string | null;
}

const SYSTEM: readonly (readonly [string, string])[] = [
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
];
const OWN = ['one', 'two', 'three'];
const EXCHANGES = [...SYSTEM.map(([name]) => name), ...OWN];
const QUEUES = ['a', 'b', 'c', 'one'];

const word = fc.constantFrom('x', 'y', '', '*', '#');
/** Few keys meet again after a change; the others are for the matching. */
const keyArb = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('', 'x', 'x.y') },
  { weight: 2, arbitrary: fc.array(word, { maxLength: 5 }).map(words => words.join('.')) },
);
const bindingKeyArb = fc.oneof({ weight: 1, arbitrary: fc.constant('#') }, { weight: 3, arbitrary: keyArb });
const valueArb: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constantFrom('red', 'blue').map(text),
  fc.constantFrom(1, 2).map(value => ({ type: 'int32' as const, value })),
  fc.constantFrom(1n, 2n).map(value => ({ type: 'int64' as const, value })),
  fc.constantFrom(1, 2).map(value => ({ type: 'double' as const, value })),
  fc.boolean().map(value => ({ type: 'boolean' as const, value })),
  fc.constantFrom('red', 'blue').map(value => ({ type: 'bytes' as const, value: new TextEncoder().encode(value) })),
);
const headersArb = fc.dictionary(fc.constantFrom('h', 'i', 'x-j'), valueArb).map(table);
const patternArb = fc
  .tuple(
    fc.dictionary(fc.constantFrom('h', 'i', 'x-j'), fc.oneof(valueArb, fc.constant<FieldValue>({ type: 'void' }))),
    fc.option(fc.constantFrom('all', 'any', 'all-with-x', 'any-with-x')),
  )
  .map(([fields, match]) => table(match === null ? fields : { ...fields, 'x-match': text(match) }));

const endArb = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...QUEUES).map(end => ({ to: 'queue' as const, end })) },
  { weight: 2, arbitrary: fc.constantFrom(...EXCHANGES).map(end => ({ to: 'exchange' as const, end })) },
);
const bindingArb: fc.Arbitrary<NaiveBinding> = fc
  .tuple(fc.constantFrom(...EXCHANGES), endArb, bindingKeyArb, fc.oneof(fc.constant(table({})), patternArb))
  .map(([exchange, { to, end }, key, headers]) => ({ exchange, to, end, key, headers }));
const shapeArb: fc.Arbitrary<Shape> = fc.record({
  type: fc.constantFrom('direct', 'fanout', 'topic', 'headers'),
  autoDelete: fc.boolean(),
  alternate: fc.option(fc.constantFrom(...EXCHANGES, 'none', '')),
});
const changeArb = fc.oneof(
  { weight: 6, arbitrary: bindingArb.map(bound => ({ do: 'bind' as const, bound })) },
  { weight: 3, arbitrary: fc.nat().map(index => ({ do: 'unbind' as const, index })) },
  { weight: 1, arbitrary: fc.constantFrom(...QUEUES).map(queue => ({ do: 'renew' as const, queue })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...OWN), shapeArb)
      .map(([name, shape]) => ({ do: 'declare' as const, name, shape })),
  },
  { weight: 1, arbitrary: fc.constantFrom(...OWN).map(name => ({ do: 'delete' as const, name })) },
);
/** A change, and then a message to every exchange; its further routing keys too. */
const stepArb = fc.record({
  change: changeArb,
  key: keyArb,
  more: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(keyArb, { maxLength: 2 })),
  headers: headersArb,
});

type Change = typeof changeArb extends fc.Arbitrary<infer Value> ? Value : never;

/** Straight from the specification, one binding at a time. */
function matches(type: string, bound: NaiveBinding, key: string, headers: FieldTable): boolean {
  switch (type) {
    case 'direct':
      return bound.key === key;
    case 'fanout':
      return true;
    case 'topic':
      return topicMatches(wordsOf(bound.key), wordsOf(key));
    default:
      return headersMatch(bound.headers, headers);
  }
}

const wordsOf = (key: string): string[] => (key === '' ? [] : key.split('.'));

function topicMatches(pattern: string[], words: string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === '#') return words.some((_, i) => topicMatches(rest, words.slice(i))) || topicMatches(rest, []);
  if (words.length === 0) return false;
  return (first === '*' || first === words[0]) && topicMatches(rest, words.slice(1));
}

function headersMatch(pattern: FieldTable, headers: FieldTable): boolean {
  const mode = String((pattern.get('x-match') as { value?: string } | undefined)?.value ?? 'all');
  const results = [...pattern]
    .filter(([key]) => key !== 'x-match' && (mode.endsWith('with-x') || !key.startsWith('x-')))
    .map(([key, wanted]) => {
      const received = headers.get(key);
      if (received === undefined) return false;
      return wanted.type === 'void' || plain(wanted) === plain(received);
    });
  return mode.startsWith('any') ? results.includes(true) : !results.includes(false);
}

function plain(field: FieldValue): string {
  const value = 'value' in field ? field.value : undefined;
  if (value instanceof Uint8Array) return `text ${new TextDecoder().decode(value)}`;
  return typeof value === 'string' ? `text ${value}` : `${typeof value === 'boolean' ? 'truth' : 'number'} ${value}`;
}

/** Each exchange once; one that matches nothing asks its alternate. */
function naiveRoute(naive: NaiveTopology, first: string, keys: readonly string[], headers: FieldTable): Set<string> {
  const queues = new Set<string>();
  const exchanges = [first];
  for (const name of exchanges) {
    const shape = naive.exchanges.get(name);
    if (shape === undefined) continue;
    const matching = naive.bindings.filter(
      bound => bound.exchange === name && keys.some(key => matches(shape.type, bound, key, headers)),
    );
    for (const { to, end } of matching) {
      if (to === 'queue') queues.add(end);
      else if (!exchanges.includes(end)) exchanges.push(end);
    }
    const { alternate } = shape;
    if (matching.length === 0 && alternate !== null && !exchanges.includes(alternate)) exchanges.push(alternate);
  }
  return queues;
}

/** Auto-delete exchanges that have just lost their last binding go, with what leads to them, and so on. */
function withoutBindings(naive: NaiveTopology, gone: (bound: NaiveBinding) => boolean): NaiveTopology {
  const bindings = naive.bindings.filter(bound => !gone(bound));
  const left = new Set(bindings.map(bound => bound.exchange));
  const ended = naive.bindings
    .map(bound => bound.exchange)
    .filter(name => !left.has(name) && naive.exchanges.get(name)?.autoDelete);
  return ended.reduce(withoutExchange, { ...naive, bindings });
}

function withoutExchange(naive: NaiveTopology, name: string): NaiveTopology {
  const exchanges = new Map(naive.exchanges);
  exchanges.delete(name);
  const bindings = naive.bindings.filter(bound => bound.exchange !== name);
  return withoutBindings({ ...naive, exchanges, bindings }, bound => bound.to === 'exchange' && bound.end === name);
}

const requestOf = ({ to, exchange, end, key, headers }: NaiveBinding) =>
  (to === 'queue' ? binding : link)(exchange, end, key, { arguments: headers });

/** The naive topology after a change; the real one gets the same change. */
function changed(topology: Topology, naive: NaiveTopology, change: Change): NaiveTopology {
  switch (change.do) {
    case 'bind': {
      const { bound } = change;
      const isBound = topology.bind(requestOf(bound)).ok;
      const ends: { has(name: string): boolean } = bound.to === 'queue' ? naive.queues : naive.exchanges;
      expect(isBound).toBe(naive.exchanges.has(bound.exchange) && ends.has(bound.end));
      return isBound && !naive.bindings.some(other => isSame(other, bound))
        ? { ...naive, bindings: [...naive.bindings, bound] }
        : naive;
    }
    case 'unbind': {
      const gone = naive.bindings[change.index % Math.max(naive.bindings.length, 1)];
      if (gone === undefined) return naive;
      topology.unbind(requestOf(gone));
      return withoutBindings(naive, other => isSame(other, gone));
    }
    case 'renew': {
      topology.removeQueue(topology.queue('/', change.queue)!.id);
      declareQueueIn(topology, change.queue);
      return withoutBindings(naive, ({ to, end }) => to === 'queue' && end === change.queue);
    }
    case 'declare': {
      const { name, shape } = change;
      const { type, autoDelete, alternate } = shape;
      const exchangeArguments = table(alternate === null ? {} : { 'alternate-exchange': text(alternate) });
      topology.declareExchange(exchangeNamed(name, type, { autoDelete, arguments: exchangeArguments }));
      return naive.exchanges.has(name) ? naive : { ...naive, exchanges: new Map([...naive.exchanges, [name, shape]]) };
    }
    default:
      topology.deleteExchange({ vhost: '/', name: change.name, ifUnused: false });
      return naive.exchanges.has(change.name) ? withoutExchange(naive, change.name) : naive;
  }
}

it('routes as the specification says, whatever is declared, bound, unbound and deleted in between', () => {
  const system = SYSTEM.map(([name, type]) => [name, { type, autoDelete: false, alternate: null }] as const);
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 60 }), steps => {
      const { topology } = emptyTopology();
      for (const queue of QUEUES) declareQueueIn(topology, queue);
      const router = new Router(topology, new SeededRandom(1));
      let naive: NaiveTopology = { exchanges: new Map(system), queues: new Set(QUEUES), bindings: [] };
      for (const { change, key, more, headers } of steps) {
        naive = changed(topology, naive, change);
        for (const exchange of EXCHANGES) {
          const message = routable(key, { moreRoutingKeys: more, headers: () => headers });
          const route = router.route('/', exchange, message);
          if (!naive.exchanges.has(exchange)) {
            expect(route).toMatchObject({ code: 'no-exchange' });
            continue;
          }
          const expected = [...naiveRoute(naive, exchange, [key, ...more], headers)];
          const ids = expected.map(queue => topology.queue('/', queue)!.id).sort((a, b) => a - b);
          expect('code' in route ? route : route.map(queue => queue.id)).toEqual(ids);
          // What is remembered is the same again.
          expect(router.route('/', exchange, message)).toEqual(route);
        }
      }
    }),
    { numRuns: 600 },
  );
});

const isSame = (a: NaiveBinding, b: NaiveBinding): boolean =>
  a.exchange === b.exchange &&
  a.to === b.to &&
  a.end === b.end &&
  a.key === b.key &&
  fieldsOf(a.headers) === fieldsOf(b.headers);
const fieldsOf = (headers: FieldTable): string =>
  [...headers]
    .map(([key, field]) => `${key} ${field.type} ${plain(field)}`)
    .sort()
    .join();
