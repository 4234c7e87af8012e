import { describe, expect, it } from 'vitest';
import type { FieldTable } from '../../../src/broker/field-table.ts';
import { Router } from '../../../src/broker/router.ts';
import type { Topology } from '../../../src/broker/topology.ts';
import { binding, declareQueueIn, emptyTopology, exchangeNamed, int, table, text } from '../../support/metadata.ts';

function routed(topology: Topology) {
  const router = new Router(topology);
  return (exchange: string, routingKey: string, headers?: FieldTable): string[] | string => {
    const route = router.route('/', exchange, routingKey, () => headers);
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
    expect(new Router(topology).route('/', 'inner', 'k', () => undefined)).toEqual({
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
    const router = new Router(topology);
    const ask = () => router.route('/', 'amq.topic', 'x.y', () => undefined);
    expect(ask()).toBe(ask());
  });
});
