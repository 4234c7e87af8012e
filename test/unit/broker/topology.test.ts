import { describe, expect, it } from 'vitest';
import {
  binding,
  declareQueueIn,
  emptyTopology,
  exchangeNamed,
  int,
  link,
  owner,
  queueNamed,
  table,
  text,
} from '../../support/metadata.ts';

const unasked = () => {
  throw new Error('no home is needed');
};
const refusal = (error: object) => ({ ok: false, error: expect.objectContaining(error) });
const done = { ok: true, value: undefined };

describe('a new vhost', () => {
  it('has the predeclared exchanges', () => {
    const { topology } = emptyTopology();
    expect(topology.exchanges('/').map(({ name, type, durable }) => [name, type, durable])).toEqual([
      ['', 'direct', true],
      ['amq.direct', 'direct', true],
      ['amq.fanout', 'fanout', true],
      ['amq.headers', 'headers', true],
      ['amq.match', 'headers', true],
      ['amq.topic', 'topic', true],
      ['amq.rabbitmq.trace', 'topic', true],
    ]);
    expect(topology.exchange('/', 'amq.rabbitmq.trace')?.record.internal).toBe(true);
  });

  it('shares no names with another', () => {
    const { topology } = emptyTopology();
    topology.declareVhost('test');
    declareQueueIn(topology, 'q');
    expect(topology.queue('test', 'q')).toBeUndefined();
    expect(topology.checkQueue('test', 'q', owner(1))).toEqual(refusal({ code: 'no-queue', vhost: 'test', name: 'q' }));
    expect(topology.checkQueue('none', 'q', owner(1))).toEqual(refusal({ code: 'no-vhost', vhost: 'none' }));
  });
});

describe('exchange.declare', () => {
  it('creates once and then finds the same exchange', () => {
    const { topology, changes } = emptyTopology();
    const first = topology.declareExchange(exchangeNamed('orders', 'topic'));
    expect(topology.declareExchange(exchangeNamed('orders', 'topic'))).toEqual(first);
    expect(changes.map(change => change.kind)).toEqual(['exchange-declared']);
  });

  it.each([
    ['type', { type: 'fanout' }, "'fanout'", "'direct'"],
    ['durable', { durable: false }, "'false'", "'true'"],
    ['auto_delete', { autoDelete: true }, "'true'", "'false'"],
    ['internal', { internal: true }, "'true'", "'false'"],
    [
      'alternate-exchange',
      { arguments: table({ 'alternate-exchange': text('ae') }) },
      "the value 'ae' of type 'longstr'",
      'none',
    ],
  ])('refuses another %s', (argument, difference, received, current) => {
    const { topology } = emptyTopology();
    topology.declareExchange(exchangeNamed('orders'));
    expect(topology.declareExchange(exchangeNamed('orders', 'direct', difference))).toEqual(
      refusal({ code: 'inequivalent', kind: 'exchange', vhost: '/', name: 'orders', argument, received, current }),
    );
  });

  it('ignores differences in arguments that RabbitMQ does not compare', () => {
    const { topology } = emptyTopology();
    topology.declareExchange(exchangeNamed('orders'));
    expect(topology.declareExchange(exchangeNamed('orders', 'direct', { arguments: table({ note: int(1) }) })).ok).toBe(
      true,
    );
  });

  it('refuses unknown types, reserved names and the default exchange', () => {
    const { topology } = emptyTopology();
    expect(topology.declareExchange(exchangeNamed('x', 'odd'))).toEqual(
      refusal({ code: 'unknown-exchange-type', type: 'odd' }),
    );
    expect(topology.declareExchange(exchangeNamed('amq.mine'))).toEqual(
      refusal({ code: 'access-refused', text: "exchange name 'amq.mine' contains reserved prefix 'amq.*'" }),
    );
    expect(topology.declareExchange(exchangeNamed(''))).toEqual(
      refusal({ code: 'access-refused', text: 'operation not permitted on the default exchange' }),
    );
  });

  it('finds predeclared exchanges, equal or not', () => {
    const { topology } = emptyTopology();
    expect(topology.declareExchange(exchangeNamed('amq.topic', 'topic')).ok).toBe(true);
    expect(topology.declareExchange(exchangeNamed('amq.topic', 'direct'))).toEqual(
      refusal({ code: 'inequivalent', argument: 'type' }),
    );
  });

  it('passively says whether the exchange is there', () => {
    const { topology } = emptyTopology();
    expect(topology.checkExchange('/', 'amq.fanout').ok).toBe(true);
    expect(topology.checkExchange('/', 'x')).toEqual(refusal({ code: 'no-exchange', vhost: '/', name: 'x' }));
    expect(topology.checkExchange('/', '')).toEqual(refusal({ code: 'access-refused' }));
  });

  it('wants a name for the alternate exchange', () => {
    const { topology } = emptyTopology();
    expect(
      topology.declareExchange(exchangeNamed('x', 'direct', { arguments: table({ 'alternate-exchange': int(1) }) })),
    ).toEqual(
      refusal({
        code: 'invalid',
        text: "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
      }),
    );
  });
});

describe('exchange.delete', () => {
  it('removes the exchange with its bindings and is content when there is none', () => {
    const { topology } = emptyTopology();
    const queue = declareQueueIn(topology, 'q');
    topology.declareExchange(exchangeNamed('orders'));
    topology.bind(binding('orders', 'q', 'k'));
    expect(topology.deleteExchange({ vhost: '/', name: 'orders', ifUnused: false })).toEqual(done);
    expect(topology.exchange('/', 'orders')).toBeUndefined();
    expect(topology.bindingsOfQueue(queue.id)).toEqual([]);
    expect(topology.deleteExchange({ vhost: '/', name: 'orders', ifUnused: false })).toEqual(done);
  });

  it('keeps a used exchange if asked to', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q');
    topology.declareExchange(exchangeNamed('orders'));
    topology.bind(binding('orders', 'q'));
    expect(topology.deleteExchange({ vhost: '/', name: 'orders', ifUnused: true })).toEqual(
      refusal({ code: 'in-use', kind: 'exchange', name: 'orders' }),
    );
  });

  it('refuses predeclared exchanges', () => {
    const { topology } = emptyTopology();
    expect(topology.deleteExchange({ vhost: '/', name: 'amq.direct', ifUnused: false })).toEqual(
      refusal({ code: 'access-refused', text: "deletion of system exchange 'amq.direct' in vhost '/' not allowed" }),
    );
    expect(topology.deleteExchange({ vhost: '/', name: '', ifUnused: false })).toEqual(
      refusal({ code: 'access-refused' }),
    );
  });
});

describe('queue.declare', () => {
  it('gives each queue an id that never comes again', () => {
    const { topology } = emptyTopology();
    const first = declareQueueIn(topology, 'q');
    expect(declareQueueIn(topology, 'q')).toBe(first);
    topology.removeQueue(first.id);
    expect(declareQueueIn(topology, 'q').id).toBeGreaterThan(first.id);
    expect(topology.queueById(first.id)).toBeUndefined();
  });

  it.each([
    ['durable', { durable: false }, "'false'", "'true'"],
    ['auto_delete', { autoDelete: true }, "'true'", "'false'"],
    ['x-message-ttl', { arguments: table({ 'x-message-ttl': int(60) }) }, "the value '60' of type 'signedint'", 'none'],
    [
      'x-queue-type',
      { arguments: table({ 'x-queue-type': text('stream') }) },
      "the value 'stream' of type 'longstr'",
      'none',
    ],
  ])('refuses another %s', (argument, difference, received, current) => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q');
    expect(topology.declareQueue(queueNamed('q', difference), unasked)).toEqual(
      refusal({ code: 'inequivalent', kind: 'queue', vhost: '/', name: 'q', argument, received, current }),
    );
  });

  it('takes quorum, classic and no queue type for the same', () => {
    const { topology } = emptyTopology();
    const quorum = { arguments: table({ 'x-queue-type': text('quorum') }) };
    const queue = declareQueueIn(topology, 'q', quorum);
    expect(declareQueueIn(topology, 'q', { arguments: table({ 'x-queue-type': text('classic') }) })).toBe(queue);
    expect(declareQueueIn(topology, 'q')).toBe(queue);
  });

  it('refuses reserved names, also of queues that exist, unless the server made them', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'amq.gen-1', { serverNamed: true });
    expect(topology.declareQueue(queueNamed('amq.gen-1'), unasked)).toEqual(
      refusal({ code: 'access-refused', text: "queue name 'amq.gen-1' contains reserved prefix 'amq.*'" }),
    );
    expect(topology.checkQueue('/', 'amq.gen-1', owner(1)).ok).toBe(true);
  });

  it('keeps durable queues in a shard, exclusive and non-durable ones with their declarer', () => {
    const { topology } = emptyTopology();
    const volatile = { kind: 'volatile', node: 2, incarnation: 4 };
    expect(declareQueueIn(topology, 'durable').home).toEqual({ kind: 'shard', group: 1 });
    expect(declareQueueIn(topology, 'auto-delete', { autoDelete: true }).home).toEqual({ kind: 'shard', group: 1 });
    expect(declareQueueIn(topology, 'transient', { durable: false, owner: owner(7, 2, 4) }).home).toEqual(volatile);
    const exclusive = declareQueueIn(topology, 'mine', { exclusive: true, owner: owner(7, 2, 4) });
    expect(exclusive).toMatchObject({ home: volatile, durable: false, exclusiveOwner: owner(7, 2, 4) });
    expect(topology.queuesOf(owner(7, 2, 4)).map(queue => queue.name)).toEqual(['transient', 'mine']);
    expect(topology.queuesOf(owner(7, 2, 4), 7).map(queue => queue.name)).toEqual(['mine']);
  });

  it('serves an exclusive queue only to its connection', () => {
    const { topology } = emptyTopology();
    const mine = { exclusive: true, owner: owner(1) };
    const queue = declareQueueIn(topology, 'mine', mine);
    const locked = refusal({ code: 'locked', vhost: '/', name: 'mine' });
    expect(declareQueueIn(topology, 'mine', mine)).toBe(queue);
    expect(topology.declareQueue(queueNamed('mine', { exclusive: true, owner: owner(2) }), unasked)).toEqual(locked);
    expect(topology.declareQueue(queueNamed('mine', { owner: owner(1) }), unasked)).toEqual(locked);
    expect(topology.checkQueue('/', 'mine', owner(2))).toEqual(locked);
    expect(topology.checkQueue('/', 'mine', owner(1)).ok).toBe(true);
    expect(topology.bind(binding('amq.direct', 'mine', 'k', { owner: owner(2) }))).toEqual(locked);
    topology.bind(binding('amq.direct', 'mine', 'k'));
    expect(topology.unbind(binding('amq.direct', 'mine', 'k', { owner: owner(2) }))).toEqual(locked);
  });

  it('does not make a shared queue exclusive', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q', { durable: false });
    expect(topology.declareQueue(queueNamed('q', { exclusive: true }), unasked)).toEqual(refusal({ code: 'locked' }));
  });
});

describe('queue.bind and queue.unbind', () => {
  it('keeps one binding for equal keys and arguments, whatever the order of the arguments', () => {
    const { topology } = emptyTopology();
    const queue = declareQueueIn(topology, 'q');
    topology.bind(binding('amq.headers', 'q', 'k', { arguments: table({ a: int(1), b: int(2) }) }));
    topology.bind(binding('amq.headers', 'q', 'k', { arguments: table({ b: int(2), a: int(1) }) }));
    topology.bind(binding('amq.headers', 'q', 'k'));
    expect(topology.bindingsOfQueue(queue.id)).toHaveLength(2);
    topology.unbind(binding('amq.headers', 'q', 'k', { arguments: table({ b: int(2), a: int(1) }) }));
    expect(topology.bindingsOfExchange('/', 'amq.headers').map(({ arguments: { size } }) => size)).toEqual([0]);
  });

  it('names what is missing, the exchange first; unbind is content with it', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q');
    expect(topology.bind(binding('x', 'none'))).toEqual(refusal({ code: 'no-exchange', name: 'x' }));
    expect(topology.bind(binding('amq.direct', 'none'))).toEqual(refusal({ code: 'no-queue', name: 'none' }));
    expect(topology.unbind(binding('x', 'none'))).toEqual(done);
    expect(topology.unbind(binding('amq.direct', 'none'))).toEqual(done);
    expect(topology.unbind(binding('amq.direct', 'q', 'never bound'))).toEqual(done);
  });

  it('leaves the default exchange alone', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q');
    const forbidden = refusal({ code: 'access-refused', text: 'operation not permitted on the default exchange' });
    expect(topology.bind(binding('', 'q', 'q'))).toEqual(forbidden);
    expect(topology.unbind(binding('', 'q', 'q'))).toEqual(forbidden);
  });

  it('checks x-match of a headers binding', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'q');
    const bindWith = (match: ReturnType<typeof text>) =>
      topology.bind(binding('amq.headers', 'q', '', { arguments: table({ 'x-match': match }) }));
    expect(bindWith(text('any-with-x'))).toEqual(done);
    expect(bindWith(text('some'))).toEqual(
      refusal({
        code: 'invalid',
        text: 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
      }),
    );
    expect(bindWith(int(1))).toEqual(
      refusal({ text: 'Invalid x-match field type signedint (value 1); expected longstr' }),
    );
  });

  it('deletes an auto-delete exchange with its last binding, not before its first', () => {
    const { topology } = emptyTopology();
    declareQueueIn(topology, 'a');
    const b = declareQueueIn(topology, 'b');
    topology.declareExchange(exchangeNamed('brief', 'fanout', { autoDelete: true }));
    expect(topology.exchange('/', 'brief')).toBeDefined();
    topology.bind(binding('brief', 'a'));
    topology.bind(binding('brief', 'b'));
    topology.unbind(binding('brief', 'a'));
    expect(topology.exchange('/', 'brief')).toBeDefined();
    topology.removeQueue(b.id);
    expect(topology.exchange('/', 'brief')).toBeUndefined();
  });

  it('ends the bindings of a queue with the queue', () => {
    const { topology, changes } = emptyTopology();
    const queue = declareQueueIn(topology, 'q');
    topology.bind(binding('amq.direct', 'q', 'a'));
    topology.bind(binding('amq.topic', 'q', 'b.#'));
    changes.length = 0;
    expect(topology.removeQueue(queue.id)).toBe(true);
    expect(changes.map(change => change.kind)).toEqual(['unbound', 'unbound', 'queue-removed']);
    expect(topology.bindingsOfExchange('/', 'amq.direct')).toEqual([]);
    expect(topology.removeQueue(queue.id)).toBe(false);
  });
});

describe('exchange.bind and exchange.unbind', () => {
  const withExchanges = (...names: string[]) => {
    const made = emptyTopology();
    for (const name of names) made.topology.declareExchange(exchangeNamed(name, 'fanout'));
    made.changes.length = 0;
    return made;
  };

  it('keeps one binding for equal ends, keys and arguments', () => {
    const { topology, changes } = withExchanges('a', 'b');
    expect(topology.bind(link('a', 'b', 'k'))).toEqual(done);
    expect(topology.bind(link('a', 'b', 'k'))).toEqual(done);
    expect(topology.bind(link('b', 'a', 'k'))).toEqual(done);
    expect(changes.map(change => change.kind)).toEqual(['bound', 'bound']);
    expect(topology.unbind(link('a', 'b', 'k'))).toEqual(done);
    expect(topology.bindingsOfExchange('/', 'a')).toEqual([]);
    expect(topology.bindingsOfExchange('/', 'b')).toHaveLength(1);
  });

  it('tells a queue from an exchange of the same name and number', () => {
    const { topology } = withExchanges('a', 'same');
    declareQueueIn(topology, 'same');
    topology.bind(link('a', 'same'));
    topology.bind(binding('a', 'same'));
    topology.unbind(link('a', 'same'));
    expect(topology.bindingsOfExchange('/', 'a')).toEqual(topology.bindingsOfQueue(topology.queue('/', 'same')!.id));
  });

  it('names what is missing, the source first; unbind is content with it', () => {
    const { topology } = withExchanges('a');
    expect(topology.bind(link('x', 'y'))).toEqual(refusal({ code: 'no-exchange', name: 'x' }));
    expect(topology.bind(link('a', 'y'))).toEqual(refusal({ code: 'no-exchange', name: 'y' }));
    for (const missing of [link('x', 'y'), link('a', 'y'), link('a', 'a')])
      expect(topology.unbind(missing)).toEqual(done);
  });

  it('leaves the default exchange alone at both ends', () => {
    const { topology } = withExchanges('a');
    const forbidden = refusal({ code: 'access-refused', text: 'operation not permitted on the default exchange' });
    for (const request of [link('', 'a'), link('a', '')]) {
      expect(topology.bind(request)).toEqual(forbidden);
      expect(topology.unbind(request)).toEqual(forbidden);
    }
  });

  it('ends with either exchange; only bindings that leave it keep an exchange in use', () => {
    const { topology } = withExchanges('a', 'b', 'c');
    topology.bind(link('a', 'b'));
    topology.bind(link('b', 'c'));
    const remove = (name: string) => topology.deleteExchange({ vhost: '/', name, ifUnused: true });
    expect(remove('b')).toEqual(refusal({ code: 'in-use', kind: 'exchange', name: 'b' }));
    expect(remove('c')).toEqual(done);
    expect(topology.bindingsOfExchange('/', 'b')).toEqual([]);
    expect(remove('b')).toEqual(done);
    expect(topology.bindingsOfExchange('/', 'a')).toEqual([]);
  });

  it('takes auto-delete exchanges along whose last binding ends, up the chain and not down', () => {
    const { topology } = emptyTopology();
    const names = ['top', 'middle', 'bottom', 'below'];
    for (const name of names) topology.declareExchange(exchangeNamed(name, 'fanout', { autoDelete: true }));
    topology.bind(link('top', 'middle'));
    topology.bind(link('middle', 'bottom'));
    topology.bind(link('bottom', 'below'));
    topology.bind(link('top', 'top'));
    topology.unbind(link('top', 'top'));
    topology.deleteExchange({ vhost: '/', name: 'bottom', ifUnused: false });
    expect(names.filter(name => topology.exchange('/', name) !== undefined)).toEqual(['below']);
  });

  it('takes a long chain of auto-delete exchanges along with a queue', () => {
    const { topology } = emptyTopology();
    const queue = declareQueueIn(topology, 'q');
    const length = 20_000;
    for (let i = 0; i < length; i++) {
      topology.declareExchange(exchangeNamed(`x${i}`, 'fanout', { autoDelete: true }));
      topology.bind(i === 0 ? binding('x0', 'q') : link(`x${i}`, `x${i - 1}`));
    }
    topology.removeQueue(queue.id);
    expect(topology.exchanges('/').some(({ name }) => name.startsWith('x'))).toBe(false);
  });
});
