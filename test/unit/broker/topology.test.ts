import { describe, expect, it } from 'vitest';
import {
  binding,
  declareQueueIn,
  emptyTopology,
  exchangeNamed,
  int,
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
    ]);
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
      refusal({ code: 'invalid', text: "unknown exchange type 'odd'" }),
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
    ['x-queue-type', { arguments: table({ 'x-queue-type': text('stream') }) }, "'stream'", "'classic'"],
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
    expect(bindWith(int(1))).toEqual(refusal({ code: 'invalid' }));
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
