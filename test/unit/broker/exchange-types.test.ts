import { describe, expect, it } from 'vitest';
import type { FieldTable } from '../../../src/broker/field-table.ts';
import type { Routable } from '../../../src/broker/route-collector.ts';
import { Router } from '../../../src/broker/router.ts';
import { jumpHash } from '../../../src/broker/routing-hash.ts';
import type { Topology } from '../../../src/broker/topology.ts';
import { SeededRandom } from '../../../src/lib/random.ts';
import {
  binding,
  declareQueueIn,
  emptyTopology,
  exchangeNamed,
  int,
  link,
  routable,
  table,
  text,
} from '../../support/metadata.ts';

const MESSAGES = 20_000;

function exchangeOf(
  type: string,
  weights: Record<string, string>,
  exchangeArguments: FieldTable = table({}),
): Topology {
  const { topology } = emptyTopology();
  topology.declareExchange(exchangeNamed('x', type, { arguments: exchangeArguments }));
  for (const [queue, weight] of Object.entries(weights)) {
    declareQueueIn(topology, queue);
    topology.bind(binding('x', queue, weight));
  }
  return topology;
}

/** Where `x` sends each message; several queues are joined by a space. */
function placed(topology: Topology, messages: readonly Routable[]): string[] {
  const router = new Router(topology, new SeededRandom(7));
  return messages.map(message => {
    const route = router.route('/', 'x', message);
    return 'code' in route ? route.code : route.map(queue => queue.name).join(' ');
  });
}

function counts(places: readonly string[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const place of places) counted[place] = (counted[place] ?? 0) + 1;
  return counted;
}

const keyed = Array.from({ length: MESSAGES }, (_, i) => routable(`order.${i}`));
const between = (share: number) => [MESSAGES * share * 0.95, MESSAGES * share * 1.05] as const;
function expectShare(count: number | undefined, share: number): void {
  const [min, max] = between(share);
  expect(count).toBeGreaterThan(min);
  expect(count).toBeLessThan(max);
}

describe('x-consistent-hash', () => {
  it('gives each queue its share of the routing keys, by weight', () => {
    const result = counts(placed(exchangeOf('x-consistent-hash', { a: '1', b: '1', c: '2' }), keyed));
    expect(Object.keys(result).sort()).toEqual(['a', 'b', 'c']);
    expectShare(result.a, 0.25);
    expectShare(result.b, 0.25);
    expectShare(result.c, 0.5);
  });

  it('moves keys only to a queue that is added, and only as many as it is due', () => {
    const topology = exchangeOf('x-consistent-hash', { a: '10', b: '10', c: '10' });
    const before = placed(topology, keyed);
    declareQueueIn(topology, 'd');
    topology.bind(binding('x', 'd', '10'));
    const after = placed(topology, keyed);
    const moved = after.filter((place, i) => place !== before[i]);
    expect(new Set(moved)).toEqual(new Set(['d']));
    expectShare(moved.length, 0.25);
  });

  it('sends a key where it went before, on every node and after every restart', () => {
    const topology = exchangeOf('x-consistent-hash', { a: '1', b: '3', c: '2' });
    expect(placed(topology, keyed.slice(0, 8))).toEqual(['b', 'c', 'a', 'a', 'b', 'b', 'c', 'b']);
  });

  it('counts a queue that is bound twice by its oldest binding', () => {
    const topology = exchangeOf('x-consistent-hash', { a: '1', b: '1' });
    const before = placed(topology, keyed);
    topology.bind(binding('x', 'a', '100'));
    expect(placed(topology, keyed)).toEqual(before);
    topology.unbind(binding('x', 'a', '1'));
    expectShare(counts(placed(topology, keyed)).a, 100 / 101);
  });

  it('hashes a header or a property when it is told to', () => {
    const byHeader = exchangeOf('x-consistent-hash', { a: '1', b: '1' }, table({ 'hash-header': text('id') }));
    const withHeader = (id: number) => routable(String(id), { headers: () => table({ id: int(id % 50) }) });
    const places = placed(
      byHeader,
      Array.from({ length: 500 }, (_, i) => withHeader(i)),
    );
    expect(new Set(places)).toEqual(new Set(['a', 'b']));
    expect(places).toEqual(places.map((_, i) => places[i % 50]));
    expect(new Set(placed(byHeader, keyed)).size).toBe(1);

    const byProperty = exchangeOf(
      'x-consistent-hash',
      { a: '1', b: '1' },
      table({ 'hash-property': text('message_id') }),
    );
    const withId = (id: number) =>
      routable('same', { property: name => (name === 'message_id' ? String(id) : undefined) });
    expect(
      new Set(
        placed(
          byProperty,
          Array.from({ length: 50 }, (_, i) => withId(i)),
        ),
      ),
    ).toEqual(new Set(['a', 'b']));
  });

  it('refuses arguments and binding keys in the words of its RabbitMQ plugin', () => {
    const { topology } = emptyTopology();
    const declare = (exchangeArguments: FieldTable) =>
      topology.declareExchange(exchangeNamed('x', 'x-consistent-hash', { arguments: exchangeArguments }));
    expect(declare(table({ 'hash-header': text('h'), 'hash-property': text('message_id') }))).toMatchObject({
      error: { text: 'hash-header and hash-property are mutually exclusive' },
    });
    expect(declare(table({ 'hash-property': text('odd') }))).toMatchObject({
      error: { text: 'Unsupported property: odd' },
    });
    expect(declare(table({ 'hash-header': int(3) }))).toMatchObject({ error: { code: 'invalid' } });
    declare(table({}));
    declareQueueIn(topology, 'q');
    const bindWith = (key: string) => topology.bind(binding('x', 'q', key));
    expect(bindWith('abc')).toMatchObject({ error: { text: 'The binding key must be an integer: <<"abc">>' } });
    expect(bindWith('')).toMatchObject({ error: { text: 'The binding key must be an integer: <<>>' } });
    expect(bindWith('0')).toMatchObject({ error: { text: 'The binding key must be greater than 0' } });
    expect(bindWith('1000000001')).toMatchObject({ error: { code: 'invalid' } });
    expect(bindWith('+7')).toEqual({ ok: true, value: undefined });
  });
});

describe('x-modulus-hash', () => {
  it('spreads routing keys evenly over all bindings and keeps to it', () => {
    const topology = exchangeOf('x-modulus-hash', { a: '', b: '', c: '', d: '' });
    const places = placed(topology, keyed);
    for (const queue of ['a', 'b', 'c', 'd']) expectShare(counts(places)[queue], 0.25);
    expect(placed(topology, keyed)).toEqual(places);
  });
});

describe('x-random', () => {
  it('takes one binding by chance for each message', () => {
    const topology = exchangeOf('x-random', { a: '', b: '' });
    const result = counts(
      placed(
        topology,
        keyed.map(() => routable('same')),
      ),
    );
    expectShare(result.a, 0.5);
    expectShare(result.b, 0.5);
  });
});

it.each(['x-consistent-hash', 'x-modulus-hash', 'x-random'])(
  '%s sends nowhere without bindings, and through exchanges',
  type => {
    const topology = exchangeOf(type, {});
    expect(placed(topology, [routable('k')])).toEqual(['']);
    declareQueueIn(topology, 'q');
    topology.bind(link('x', 'amq.fanout', '1'));
    topology.bind(binding('amq.fanout', 'q'));
    expect(placed(topology, [routable('k')])).toEqual(['q']);
    topology.unbind(link('x', 'amq.fanout', '1'));
    expect(placed(topology, [routable('k')])).toEqual(['']);
  },
);

it('finds a bucket below any number of buckets', () => {
  for (const buckets of [1, 2, 3, 1_000_000, 100_000_000_000_000]) {
    for (let hash = 0; hash < 100; hash++) {
      const bucket = jumpHash(hash * 40_000_000, buckets);
      expect(bucket >= 0 && bucket < buckets).toBe(true);
    }
  }
});
