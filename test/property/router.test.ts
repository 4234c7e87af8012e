import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import { Router } from '../../src/broker/router.ts';
import type { Topology } from '../../src/broker/topology.ts';
import { binding, declareQueueIn, emptyTopology, table, text } from '../support/metadata.ts';

interface NaiveBinding {
  readonly exchange: string;
  readonly queue: string;
  readonly key: string;
  readonly headers: FieldTable;
}

const EXCHANGES = ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers'];
const QUEUES = ['a', 'b', 'c'];

const word = fc.constantFrom('x', 'y', '');
const routingKeyArb = fc.array(word, { maxLength: 4 }).map(words => words.join('.'));
const bindingKeyArb = fc
  .array(fc.oneof(word, fc.constantFrom('*', '#')), { maxLength: 5 })
  .map(words => words.join('.'));
const valueArb: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constantFrom('red', 'blue').map(text),
  fc.constantFrom(1, 2).map(value => ({ type: 'int32' as const, value })),
  fc.constantFrom(1n, 2n).map(value => ({ type: 'int64' as const, value })),
);
const headersArb = fc.dictionary(fc.constantFrom('h', 'i', 'x-j'), valueArb).map(table);
const patternArb = fc
  .tuple(
    fc.dictionary(fc.constantFrom('h', 'i', 'x-j'), fc.oneof(valueArb, fc.constant<FieldValue>({ type: 'void' }))),
    fc.option(fc.constantFrom('all', 'any', 'all-with-x', 'any-with-x')),
  )
  .map(([fields, match]) => table(match === null ? fields : { ...fields, 'x-match': text(match) }));

const bindingArb = fc.record({
  exchange: fc.constantFrom(...EXCHANGES),
  queue: fc.constantFrom(...QUEUES),
  key: fc.oneof(bindingKeyArb, routingKeyArb),
  headers: fc.oneof(fc.constant(table({})), patternArb),
});
const changeArb = fc.oneof(
  { weight: 3, arbitrary: bindingArb.map(bound => ({ do: 'bind' as const, bound })) },
  { weight: 2, arbitrary: fc.nat().map(index => ({ do: 'unbind' as const, index })) },
  { weight: 1, arbitrary: fc.constantFrom(...QUEUES).map(queue => ({ do: 'remove' as const, queue })) },
);
/** A change, and then a message to every exchange. */
const stepArb = fc.record({ change: changeArb, key: routingKeyArb, headers: headersArb });

type Change = typeof changeArb extends fc.Arbitrary<infer Value> ? Value : never;

/** Straight from the specification, one binding at a time. */
function matches(bound: NaiveBinding, key: string, headers: FieldTable): boolean {
  switch (bound.exchange) {
    case 'amq.direct':
      return bound.key === key;
    case 'amq.fanout':
      return true;
    case 'amq.topic':
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

const plain = (field: FieldValue): string => {
  const value = 'value' in field ? field.value : undefined;
  return typeof value === 'string' ? `text ${value}` : `number ${value}`;
};

/** The bindings after a change; the topology gets the same change. */
function changed(topology: Topology, naive: readonly NaiveBinding[], change: Change): readonly NaiveBinding[] {
  if (change.do === 'bind') {
    const { exchange, queue, key, headers } = change.bound;
    topology.bind(binding(exchange, queue, key, { arguments: headers }));
    return [...naive, change.bound];
  }
  if (change.do === 'remove') {
    topology.removeQueue(topology.queue('/', change.queue)!.id);
    declareQueueIn(topology, change.queue);
    return naive.filter(other => other.queue !== change.queue);
  }
  const gone = naive[change.index % Math.max(naive.length, 1)];
  if (gone === undefined) return naive;
  topology.unbind(binding(gone.exchange, gone.queue, gone.key, { arguments: gone.headers }));
  return naive.filter(other => !isSame(other, gone));
}

it('routes as the specification says, whatever is bound and unbound in between', () => {
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 40 }), steps => {
      const { topology } = emptyTopology();
      for (const queue of QUEUES) declareQueueIn(topology, queue);
      const router = new Router(topology);
      let naive: readonly NaiveBinding[] = [];
      for (const { change, key, headers } of steps) {
        naive = changed(topology, naive, change);
        for (const exchange of EXCHANGES) {
          const expected = naive.filter(bound => bound.exchange === exchange && matches(bound, key, headers));
          const ids = new Set(expected.map(bound => topology.queue('/', bound.queue)!.id));
          const route = router.route('/', exchange, key, () => headers);
          expect('code' in route ? route : route.map(queue => queue.id)).toEqual([...ids].sort((a, b) => a - b));
        }
      }
    }),
    { numRuns: 500 },
  );
});

const isSame = (a: NaiveBinding, b: NaiveBinding): boolean =>
  a.exchange === b.exchange && a.queue === b.queue && a.key === b.key && fieldsOf(a.headers) === fieldsOf(b.headers);
const fieldsOf = (headers: FieldTable): string =>
  [...headers]
    .map(([key, field]) => `${key} ${field.type} ${plain(field)}`)
    .sort()
    .join();
