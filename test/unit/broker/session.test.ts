import { describe, expect, it } from 'vitest';
import { begin, Client, countOf, gateway, service } from '../../support/session-client.ts';

describe('publishing', () => {
  it('is confirmed once all homes have the message, in neighbouring ranges', async () => {
    const client = await Client.connect();
    await client.declare('durable');
    await client.declare('volatile', { durable: false });
    for (const queue of ['durable', 'volatile']) {
      await client.session.bindQueue({ queue, exchange: 'amq.fanout', routingKey: '', arguments: new Map() });
    }
    gateway.stalled.add('volatile');
    expect(client.publish('', 'both', { exchange: 'amq.fanout' })).toBe('routed');
    expect(client.publish('durable', 'one')).toBe('routed');
    await gateway.settle();
    expect(client.confirms).toEqual(['+2-2']);
    gateway.stalled.clear();
    await gateway.settle();
    expect(client.confirms).toEqual(['+2-2', '+1-1']);
    for (const body of ['a', 'b', 'c']) client.publish('durable', body);
    await gateway.settle();
    expect(client.confirms.at(-1)).toBe('+3-5');
  });

  it('is refused when its volatile home is dead: nobody has the message', async () => {
    const client = await Client.connect();
    await client.declare('volatile', { durable: false });
    gateway.stalled.add('volatile');
    client.publish('volatile', 'under way');
    gateway.loseVolatileHome();
    client.publish('volatile', 'too late');
    await gateway.settle();
    expect(client.confirms).toEqual(['-1-1', '-2-2']);
  });

  it('is over when it matches no queue, and an error names what is wrong with it', async () => {
    const client = await Client.connect();
    await client.declare('q');
    expect(client.publish('nowhere', 'x')).toBe('unroutable');
    expect(client.publish('q', 'x', { exchange: 'none' })).toMatchObject({ code: 'no-exchange' });
    expect(client.publish('q', 'x'.repeat(50_001))).toMatchObject({ code: 'too-large', bytesMax: 50_000 });
    expect(client.publish('q'.repeat(100_000), 'x')).toMatchObject({ code: 'invalid' });
    expect(client.publish('q', 'x', { exchange: 'é'.repeat(128) })).toMatchObject({ code: 'invalid' });
    await gateway.settle();
    expect(client.confirms).toEqual([]);
    expect(await countOf('q')).toBe('0/0');
  });

  it('asks for no confirm with the number 0', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'x', { isConfirmed: false });
    await gateway.settle();
    expect(client.confirms).toEqual([]);
    expect(await countOf('q')).toBe('1/0');
  });

  it('is refused, not confirmed, when the node loses its place before the answer', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'x');
    gateway.end();
    expect(client.confirms).toEqual(['-1-1']);
    client.publish('q', 'y');
    await gateway.settle();
    expect(client.confirms).toEqual(['-1-1', '-2-2']);
  });
});

describe('holding publishers', () => {
  it('begins at the bound of a stream and ends when half of it is free again', async () => {
    begin({ commandsMax: 20 });
    const client = await Client.connect();
    const other = await Client.connect();
    await client.declare('q');
    gateway.stalled.add('shard');
    while (client.connection.mayPublish) client.publish('q', 'x');
    expect(client.holds).toEqual(['backlog']);
    expect(other.connection.mayPublish).toBe(true);
    service.roomMade();
    expect(client.connection.mayPublish).toBe(false);
    gateway.stalled.clear();
    await gateway.settle();
    service.roomMade();
    expect(client.holds).toEqual(['backlog', 'resumed']);
    expect(client.connection.mayPublish).toBe(true);
    service.roomMade();
    expect(client.holds).toHaveLength(2);
  });

  it('does not end while another reason is left, whatever the order in which they pass', async () => {
    for (const first of ['alarm', 'backlog'] as const) {
      begin({ commandsMax: 20 });
      const client = await Client.connect();
      await client.declare('q');
      gateway.stalled.add('shard');
      while (client.connection.mayPublish) client.publish('q', 'x');
      service.hold({ kind: 'alarm', text: 'low on disk' });
      expect(client.holds).toEqual(['backlog', 'alarm']);
      const end = {
        alarm: async () => service.hold(undefined),
        backlog: async () => {
          gateway.stalled.clear();
          await gateway.settle();
          service.roomMade();
        },
      };
      await end[first]();
      expect(client.connection.mayPublish).toBe(false);
      await end[first === 'alarm' ? 'backlog' : 'alarm']();
      expect(client.connection.mayPublish).toBe(true);
      expect(client.holds.at(-1)).toBe('resumed');
    }
  });

  it('begins at the first look after the lease has ended, and ends when somebody sees the next one', async () => {
    const client = await Client.connect();
    const other = await Client.connect();
    gateway.isRouting = false;
    expect(client.connection.mayPublish).toBe(false);
    expect(client.holds).toEqual(['no-routing-lease']);
    expect(other.holds).toEqual(['no-routing-lease']);
    gateway.isRouting = true;
    service.hold(undefined);
    expect(client.holds.at(-1)).toBe('resumed');
    expect(client.connection.mayPublish).toBe(true);
  });
});

describe('what expires', () => {
  const limited = (name: string, ms: number) => new Map([[name, { type: 'int32' as const, value: ms }]]);
  const pass = async (ms: number): Promise<void> => {
    gateway.clock.advance(ms);
    await gateway.settle();
  };

  const queueId = () => gateway.topology.queue('/', 'q')?.id ?? 0;

  it.each([true, false])('is a message, by its queue or by itself (durable: %s)', async durable => {
    const client = await Client.connect();
    await client.declare('q', { durable, arguments: limited('x-message-ttl', 100) });
    client.publish('q', 'a');
    client.publish('q', 'b', { expirationMs: 10 });
    client.publish('q', 'c', { expirationMs: 1_000 });
    await gateway.settle();
    await pass(50);
    expect((await client.get('q', 1))?.body).toBe('a');
    await pass(50);
    expect(await client.get('q', 1)).toBeUndefined();
  });

  it.each([true, false])('is a queue that nobody uses, from its declaration on (durable: %s)', async durable => {
    const client = await Client.connect();
    const declare = () => client.declare('q', { durable, arguments: limited('x-expires', 100) });
    await declare();
    const first = queueId();
    for (let i = 0; i < 3; i++) {
      await pass(60);
      expect(await declare()).toMatchObject({ ok: true });
      await pass(60);
      expect(await client.declare('q', { passive: true })).toMatchObject({ ok: true });
    }
    expect(queueId()).toBe(first);
    client.publish('q', 'a');
    await pass(100);
    expect(await declare()).toMatchObject({ ok: true, value: { messageCount: 0 } });
    expect(queueId()).toBeGreaterThan(first);
  });
});
