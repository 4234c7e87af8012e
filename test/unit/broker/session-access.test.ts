import { beforeEach, describe, expect, it } from 'vitest';
import { AccessControl } from '../../../src/broker/access/access-control.ts';
import { INITIAL_ACCESS } from '../../../src/broker/access/initial-access.ts';
import { SessionAccess } from '../../../src/broker/access/session-access.ts';
import type { BrokerError } from '../../../src/broker/broker-error.ts';
import type { Topology } from '../../../src/broker/topology.ts';
import { declareQueueIn, emptyTopology, exchangeNamed, table, text } from '../../support/metadata.ts';

let access: AccessControl;
let topology: Topology;
let alice: SessionAccess;

beforeEach(() => {
  access = new AccessControl({ beforeAccessChange: () => {} });
  for (const record of INITIAL_ACCESS) access.put(record);
  access.apply({ kind: 'put-user', user: 'alice', mustBeNew: true, password: 'none', tags: [] });
  permit('^(alice|amq\\.gen)', '^(alice|amq\\.direct)', '^(alice|amq\\.direct)');
  topology = emptyTopology().topology;
  for (const name of ['alice-topic', 'alice-other']) topology.declareExchange(exchangeNamed(name, 'topic'));
  alice = new SessionAccess({ user: 'alice', vhost: '/' }, access, topology);
});

const permit = (configure: string, write: string, read: string): unknown =>
  access.apply({ kind: 'set-permissions', user: 'alice', vhost: '/', configure, write, read });
const permitTopics = (write: string, read: string): unknown =>
  access.apply({ kind: 'set-topic-permissions', user: 'alice', vhost: '/', exchange: 'alice-topic', write, read });
const textOf = (error: BrokerError | undefined): string | undefined =>
  error?.code === 'access-refused' ? error.text : error?.code;
const exchange = (name: string, type = 'direct', alternate?: string) => ({
  ...exchangeNamed(name, type),
  passive: false,
  arguments: table(alternate === undefined ? {} : { 'alternate-exchange': text(alternate) }),
});
const queue = (name: string, deadLetter?: string) => ({
  name,
  passive: false,
  durable: true,
  exclusive: false,
  autoDelete: false,
  arguments: table(deadLetter === undefined ? {} : { 'x-dead-letter-exchange': text(deadLetter) }),
});
const refused = (what: string): string => `access to ${what} in vhost '/' refused for user 'alice'`;

describe('declaring a queue', () => {
  it('asks for configure, in the words of RabbitMQ', () => {
    expect(alice.declareQueue(queue('alice-1'))).toBeUndefined();
    expect(textOf(alice.declareQueue(queue('q')))).toBe(refused("queue 'q'"));
  });

  it('asks for configure on the name that the broker will make', () => {
    expect(alice.declareQueue(queue(''))).toBeUndefined();
    permit('^alice', '', '');
    expect(textOf(alice.declareQueue(queue('')))).toMatch(/access to queue 'amq\.gen-/);
  });

  it('leaves reserved names and passive declarations to the topology', () => {
    expect(alice.declareQueue(queue('amq.x'))).toBeUndefined();
    expect(alice.declareQueue({ ...queue('q'), passive: true })).toBeUndefined();
  });

  it('asks for read on it and write on its dead-letter exchange, if it is new', () => {
    expect(textOf(alice.declareQueue(queue('alice-1', 'secret')))).toBe(refused("exchange 'secret'"));
    expect(textOf(alice.declareQueue(queue('alice-1', '')))).toBe(refused("exchange 'amq.default'"));
    expect(alice.declareQueue(queue('alice-1', 'alice-x'))).toBeUndefined();
    declareQueueIn(topology, 'alice-1');
    expect(alice.declareQueue(queue('alice-1', 'secret'))).toBeUndefined();
    permit('.*', '.*', '');
    expect(textOf(alice.declareQueue(queue('alice-2', 'alice-x')))).toBe(refused("queue 'alice-2'"));
  });
});

describe('declaring and deleting an exchange', () => {
  it('asks for configure, and for an alternate exchange as for a dead-letter exchange', () => {
    expect(alice.declareExchange(exchange('alice-x'))).toBeUndefined();
    expect(textOf(alice.declareExchange(exchange('x')))).toBe(refused("exchange 'x'"));
    expect(textOf(alice.declareExchange(exchange('alice-x', 'direct', 'secret')))).toBe(refused("exchange 'secret'"));
    expect(alice.declareExchange(exchange('alice-topic', 'topic', 'secret'))).toBeUndefined();
    expect(textOf(alice.deleteExchange('x'))).toBe(refused("exchange 'x'"));
  });

  it('leaves what RabbitMQ checks earlier to the topology', () => {
    expect(alice.declareExchange(exchange('x', 'nonsense'))).toBeUndefined();
    expect(alice.declareExchange(exchange(''))).toBeUndefined();
    expect(alice.deleteExchange('amq.fanout')).toBeUndefined();
  });
});

describe('binding', () => {
  const bind = (name: string, from: string, routingKey = 'k') =>
    textOf(alice.bindQueue({ queue: name, exchange: from, routingKey, arguments: table({}) }));

  it('asks for write on the queue, then for read on the exchange', () => {
    expect(bind('alice-1', 'amq.direct')).toBeUndefined();
    expect(bind('q', 'amq.fanout')).toBe(refused("queue 'q'"));
    expect(bind('alice-1', 'amq.fanout')).toBe(refused("exchange 'amq.fanout'"));
    expect(bind('alice-1', '')).toBeUndefined();
  });

  it('asks the topic permission for the binding key', () => {
    permitTopics('', '^alice\\.');
    expect(bind('alice-1', 'alice-topic', 'alice.#')).toBeUndefined();
    expect(bind('alice-1', 'alice-topic', '#')).toBe(refused("topic '#' in exchange 'alice-topic'"));
  });

  it('of exchanges asks for write on the destination', () => {
    const request = { source: 'amq.direct', routingKey: '', arguments: table({}) };
    expect(textOf(alice.bindExchange({ ...request, destination: 'x' }))).toBe(refused("exchange 'x'"));
    expect(alice.bindExchange({ ...request, destination: 'alice-topic' })).toBeUndefined();
  });
});

describe('publishing', () => {
  const publish = (to: string, routingKey = 'k') => textOf(alice.publish(to, routingKey));

  it('asks for write; the default exchange is amq.default', () => {
    expect(publish('amq.direct')).toBeUndefined();
    expect(publish('')).toBe(refused("exchange 'amq.default'"));
    expect(publish('amq.direct')).toBeUndefined();
    permit('', '^amq\\.default$', '');
    expect(publish('')).toBeUndefined();
    expect(publish('amq.direct')).toBe(refused("exchange 'amq.direct'"));
  });

  it('feels a permission that is taken away with the next message', () => {
    expect(publish('amq.direct')).toBeUndefined();
    expect(publish('amq.direct')).toBeUndefined();
    access.apply({ kind: 'clear-permissions', user: 'alice', vhost: '/' });
    expect(publish('amq.direct')).toBe(refused("exchange 'amq.direct'"));
  });

  it('asks the topic permission for each routing key, from the moment when there is one', () => {
    expect(publish('alice-topic', 'any')).toBeUndefined();
    permitTopics('^{username}\\.{vhost}', '');
    expect(publish('alice-topic', 'any')).toBe(refused("topic 'any' in exchange 'alice-topic'"));
    expect(publish('alice-topic', 'alice./.x')).toBeUndefined();
    expect(publish('alice-other', 'any')).toBeUndefined();
  });

  it('takes names in topic permissions as they are, not as patterns', () => {
    access.apply({ kind: 'put-user', user: 'a.*', mustBeNew: true, password: 'none', tags: [] });
    const all = { configure: '.*', write: '.*', read: '.*' };
    access.apply({ kind: 'set-permissions', user: 'a.*', vhost: '/', ...all });
    access.apply({
      kind: 'set-topic-permissions',
      user: 'a.*',
      vhost: '/',
      exchange: 'alice-topic',
      write: '^{username}$',
      read: '',
    });
    const other = new SessionAccess({ user: 'a.*', vhost: '/' }, access, topology);
    expect(other.publish('alice-topic', 'a.*')).toBeUndefined();
    expect(other.publish('alice-topic', 'abc')).toBeDefined();
  });

  it('asks topic permissions only of topic exchanges', () => {
    permitTopics('^never$', '^never$');
    topology.deleteExchange({ vhost: '/', name: 'alice-topic', ifUnused: false });
    topology.declareExchange(exchangeNamed('alice-topic', 'fanout'));
    expect(publish('alice-topic', 'any')).toBeUndefined();
  });
});
