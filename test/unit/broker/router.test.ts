import { describe, expect, it } from 'vitest';
import type { FieldTable } from '../../../src/broker/field-table.ts';
import type { Routable } from '../../../src/broker/route-collector.ts';
import { Router } from '../../../src/broker/router.ts';
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

function routed(topology: Topology) {
  const router = new Router(topology, new SeededRandom(1));
  return (
    exchange: string,
    routingKey: string,
    headers?: FieldTable,
    more: Partial<Routable> = {},
  ): string[] | string => {
    const route = router.route('/', exchange, routable(routingKey, { headers: () => headers, ...more }));
    return 'code' in route ? route.code : route.map(queue => queue.name);
  };
}

function withQueues(...names: string[]): Topology {
  const { topology } = emptyTopology();
  for (const name of names) declareQueueIn(topology, name);
  return topology;
}

describe('routing', () => {
  it('takes the routing key for a queue name at the default exchange', () => {
    const topology = withQueues('a', 'b');
    const route = routed(topology);
    expect(route('', 'b')).toEqual(['b']);
    expect(route('', 'none')).toEqual([]);
    topology.removeQueue(topology.queue('/', 'b')!.id);
    expect(route('', 'b')).toEqual([]);
  });

  it('refuses unknown and internal exchanges', () => {
    const topology = withQueues();
    topology.declareExchange(exchangeNamed('inner', 'fanout', { internal: true }));
    expect(routed(topology)('none', 'k')).toBe('no-exchange');
    expect(new Router(topology, new SeededRandom(1)).route('/', 'inner', routable('k'))).toEqual({
      code: 'access-refused',
      text: "cannot publish to internal exchange 'inner' in vhost '/'",
    });
  });

  it('delivers once to a queue that is bound several times, in the order of the queues', () => {
    const topology = withQueues('a', 'b');
    topology.bind(binding('amq.topic', 'b', 'x.#'));
    topology.bind(binding('amq.topic', 'b', 'x.*'));
    topology.bind(binding('amq.topic', 'a', '#'));
    expect(routed(topology)('amq.topic', 'x.y')).toEqual(['a', 'b']);
  });

  it('forgets no binding of a queue while another leads to it', () => {
    const topology = withQueues('a');
    const route = routed(topology);
    topology.bind(binding('amq.fanout', 'a', 'one'));
    topology.bind(binding('amq.fanout', 'a', 'two'));
    topology.unbind(binding('amq.fanout', 'a', 'one'));
    expect(route('amq.fanout', 'any')).toEqual(['a']);
    topology.unbind(binding('amq.fanout', 'a', 'two'));
    expect(route('amq.fanout', 'any')).toEqual([]);
  });

  it.each([
    ['#', '', true],
    ['*', '', false],
    ['', '', true],
    ['a.#', 'a', true],
    ['a.*', 'a', false],
    ['a.*', 'a.', true],
    ['#.a', 'b.c.a', true],
    ['*.*', '.', true],
    ['a.#.b.#.c', 'a.x.b.y.z.c', true],
    ['a.#.b.#.c', 'a.x.y.c', false],
    ['#.#', '', true],
    ['a', 'a.b', false],
  ])('matches binding key %j with routing key %j: %s', (bindingKey, routingKey, matches) => {
    const topology = withQueues('q');
    topology.bind(binding('amq.topic', 'q', bindingKey));
    expect(routed(topology)('amq.topic', routingKey)).toEqual(matches ? ['q'] : []);
  });

  it('sees every change at once, also where it had an answer before', () => {
    const topology = withQueues('a', 'b');
    const route = routed(topology);
    topology.bind(binding('amq.direct', 'a', 'k'));
    expect(route('amq.direct', 'k')).toEqual(['a']);
    topology.bind(binding('amq.direct', 'b', 'k'));
    expect(route('amq.direct', 'k')).toEqual(['a', 'b']);
    topology.removeQueue(topology.queue('/', 'a')!.id);
    expect(route('amq.direct', 'k')).toEqual(['b']);
  });

  it('compares headers by value; x- headers only when asked to', () => {
    const topology = withQueues('all', 'any', 'present', 'with-x');
    const wanted = { colour: text('red'), size: int(3) };
    topology.bind(binding('amq.headers', 'all', '', { arguments: table({ ...wanted, 'x-extra': int(1) }) }));
    topology.bind(binding('amq.headers', 'any', '', { arguments: table({ ...wanted, 'x-match': text('any') }) }));
    topology.bind(binding('amq.headers', 'present', '', { arguments: table({ id: { type: 'void' } }) }));
    const withX = table({ 'x-match': text('all-with-x'), 'x-extra': int(1) });
    topology.bind(binding('amq.headers', 'with-x', '', { arguments: withX }));
    const route = routed(topology);
    expect(route('amq.headers', '', table({ colour: text('red'), size: { type: 'int64', value: 3n } }))).toEqual([
      'all',
      'any',
    ]);
    expect(route('amq.headers', '', table({ colour: text('blue'), size: int(3) }))).toEqual(['any']);
    expect(route('amq.headers', '', table({ id: text('7') }))).toEqual(['present']);
    expect(route('amq.headers', '', table({ 'x-extra': int(1) }))).toEqual(['with-x']);
    expect(route('amq.headers', '')).toEqual([]);
  });

  it('gives what an exchange cannot route to its alternate, and ends in a circle', () => {
    const topology = withQueues('a', 'lost');
    const alternate = (name: string) => ({ arguments: table({ 'alternate-exchange': text(name) }) });
    topology.declareExchange(exchangeNamed('first', 'direct', alternate('second')));
    topology.declareExchange(exchangeNamed('second', 'direct', alternate('first')));
    topology.bind(binding('first', 'a', 'a'));
    topology.bind(binding('second', 'lost', 'lost'));
    const route = routed(topology);
    expect(route('first', 'a')).toEqual(['a']);
    expect(route('first', 'lost')).toEqual(['lost']);
    expect(route('first', 'nobody')).toEqual([]);
  });

  it('remembers: the same question gets the same array', () => {
    const topology = withQueues('a');
    topology.bind(binding('amq.topic', 'a', 'x.*'));
    const router = new Router(topology, new SeededRandom(1));
    const ask = () => router.route('/', 'amq.topic', routable('x.y'));
    expect(ask()).toBe(ask());
  });
});

describe('routing from exchange to exchange', () => {
  const withExchanges = (topology: Topology, ...names: string[]): void => {
    for (const name of names) topology.declareExchange(exchangeNamed(name, 'topic'));
  };

  it('follows bindings through chains and circles, to each queue once', () => {
    const topology = withQueues('a', 'b');
    withExchanges(topology, 'one', 'two', 'three');
    topology.bind(link('one', 'two', 'x.#'));
    topology.bind(link('two', 'three', '#'));
    topology.bind(link('three', 'one', '#'));
    topology.bind(link('one', 'one', '#'));
    topology.bind(binding('one', 'a', '#'));
    topology.bind(binding('three', 'a', '*.y'));
    topology.bind(binding('three', 'b', '*.y'));
    const route = routed(topology);
    expect(route('one', 'x.y')).toEqual(['a', 'b']);
    expect(route('one', 'z.y')).toEqual(['a']);
    expect(route('two', 'z.y')).toEqual(['a', 'b']);
  });

  it('sees changes further down at once, also where it had an answer before', () => {
    const topology = withQueues('a', 'b');
    withExchanges(topology, 'one', 'two', 'three');
    topology.declareExchange(exchangeNamed('zero', 'fanout'));
    const route = routed(topology);
    expect(route('zero', 'k')).toEqual([]);
    topology.bind(link('zero', 'one'));
    topology.bind(link('one', 'two', '#'));
    topology.bind(link('two', 'three', '#'));
    expect(route('zero', 'k')).toEqual([]);
    topology.bind(binding('three', 'a', 'k'));
    expect(route('zero', 'k')).toEqual(['a']);
    expect(route('zero', 'other')).toEqual([]);
    topology.bind(binding('two', 'b', 'k'));
    expect(route('zero', 'k')).toEqual(['a', 'b']);
    topology.unbind(link('two', 'three', '#'));
    expect(route('zero', 'k')).toEqual(['b']);
    topology.deleteExchange({ vhost: '/', name: 'two', ifUnused: false });
    expect(route('zero', 'k')).toEqual([]);
  });

  it('asks an alternate wherever on the way nothing matches, and sees it come and go', () => {
    const topology = withQueues('a', 'lost');
    withExchanges(topology, 'one');
    const toLost = { arguments: table({ 'alternate-exchange': text('lost and found') }) };
    topology.declareExchange(exchangeNamed('two', 'direct', toLost));
    topology.bind(link('one', 'two', '#'));
    topology.bind(binding('two', 'a', 'k'));
    const route = routed(topology);
    expect(route('one', 'none')).toEqual([]);
    topology.declareExchange(exchangeNamed('lost and found', 'fanout'));
    topology.bind(binding('lost and found', 'lost'));
    expect(route('one', 'none')).toEqual(['lost']);
    expect(route('one', 'k')).toEqual(['a']);
    topology.deleteExchange({ vhost: '/', name: 'lost and found', ifUnused: false });
    expect(route('one', 'none')).toEqual([]);
  });

  it('takes the default exchange as an alternate without bindings', () => {
    const topology = withQueues('a');
    topology.declareExchange(exchangeNamed('one', 'direct', { arguments: table({ 'alternate-exchange': text('') }) }));
    expect(routed(topology)('one', 'a')).toEqual([]);
  });

  it('reaches internal exchanges by bindings', () => {
    const topology = withQueues('a');
    withExchanges(topology, 'one');
    topology.declareExchange(exchangeNamed('inner', 'fanout', { internal: true }));
    topology.bind(link('one', 'inner', '#'));
    topology.bind(binding('inner', 'a'));
    expect(routed(topology)('one', 'k')).toEqual(['a']);
  });

  it('remembers a route through several exchanges', () => {
    const topology = withQueues('a', 'b');
    withExchanges(topology, 'one', 'two');
    topology.bind(link('one', 'two', '#'));
    topology.bind(binding('two', 'a', '#'));
    topology.bind(binding('two', 'b', '#'));
    const router = new Router(topology, new SeededRandom(1));
    const ask = () => router.route('/', 'one', routable('k'));
    expect(ask()).toBe(ask());
  });
});

describe('further routing keys', () => {
  const keys = (...moreRoutingKeys: string[]) => ({ moreRoutingKeys });

  it('count like the first, and together reach each queue once', () => {
    const topology = withQueues('a', 'b', 'c');
    topology.bind(binding('amq.topic', 'a', 'x.*'));
    topology.bind(binding('amq.topic', 'b', '*.y'));
    topology.bind(binding('amq.direct', 'c', 'k'));
    const route = routed(topology);
    expect(route('amq.topic', 'x.1', undefined, keys('x.y', 'none'))).toEqual(['a', 'b']);
    expect(route('amq.direct', 'none', undefined, keys('k', 'k'))).toEqual(['c']);
    expect(route('', 'c', undefined, keys('a', 'c', 'none'))).toEqual(['a', 'c']);
    expect(route('amq.direct', 'none')).toEqual([]);
  });

  it('leave an alternate alone when one of them matches', () => {
    const topology = withQueues('a', 'lost');
    topology.declareExchange(exchangeNamed('lost', 'fanout'));
    topology.bind(binding('lost', 'lost'));
    topology.declareExchange(
      exchangeNamed('one', 'direct', { arguments: table({ 'alternate-exchange': text('lost') }) }),
    );
    topology.bind(binding('one', 'a', 'k'));
    const route = routed(topology);
    expect(route('one', 'none', undefined, keys('k'))).toEqual(['a']);
    expect(route('one', 'none', undefined, keys('other'))).toEqual(['lost']);
  });
});
