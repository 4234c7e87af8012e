import { describe, expect, it } from 'vitest';
import { BrokerFacade } from '../../../src/broker/broker-facade.ts';
import { Client, countOf, gateway, IDENTITY, service } from '../../support/session-client.ts';

describe('the end of a connection', () => {
  it('gives back everything unsettled, of consumers and of get', async () => {
    const client = await Client.connect();
    await client.declare('q');
    for (const body of ['a', 'b', 'c']) client.publish('q', body);
    await gateway.settle();
    await client.consume('q', 1, { window: 1 });
    await client.get('q', 9);
    await gateway.answer(client.connection.close());
    expect(await countOf('q')).toBe('3/0');
    expect(service.connectionCount).toBe(1);
    await gateway.answer(client.connection.close());
  });

  it('comes to its end also with a consumer that is just being opened', async () => {
    const client = await Client.connect();
    await client.declare('q');
    client.publish('q', 'a');
    const request = { queue: 'q', consumer: 1, tag: '', autoAck: false, exclusive: false, window: undefined };
    const opened = client.session.consume({ ...request, arguments: new Map() });
    await gateway.answer(Promise.all([client.connection.close(), opened]));
    expect(await countOf('q')).toBe('1/0');
    expect(client.taken).toEqual([]);
  });

  it('ends its exclusive queues, the one that is just being declared among them', async () => {
    const client = await Client.connect();
    const other = await Client.connect();
    await client.declare('mine', { exclusive: true });
    expect(await other.declare('mine', { passive: true })).toMatchObject({ ok: false, error: { code: 'locked' } });
    const request = { passive: false, durable: false, exclusive: true, autoDelete: false, arguments: new Map() };
    void client.session.declareQueue({ name: 'late', ...request });
    await gateway.answer(client.connection.close());
    expect(gateway.topology.queueCount).toBe(0);
  });

  it('asks nothing of group 0 if the connection had no queues of its own', async () => {
    const client = await Client.connect();
    await client.declare('q');
    await gateway.answer(client.connection.close());
    expect(gateway.closedOwners).toEqual([]);
  });
});

describe('the broker of a node', () => {
  it('declares a queue anew that its home has deleted already, while its name is on the way out', async () => {
    const [client, other] = [await Client.connect(), await Client.connect()];
    await client.declare('q', { autoDelete: true });
    await client.consume('q', 1);
    await gateway.answer(client.session.cancel(1));
    expect(gateway.topology.queue('/', 'q')).toBeDefined();
    expect(await other.declare('q', { autoDelete: true })).toMatchObject({ ok: true, value: { messageCount: 0 } });
    other.publish('q', 'to the new one');
    await gateway.settle();
    expect(await other.get('q', 9)).toMatchObject({ body: 'to the new one' });
  });

  it('lets the guest in from the machine itself only', () => {
    expect(service.authenticate('guest', 'guest', '127.0.0.1')).toBeUndefined();
    expect(service.authenticate('guest', 'guest', '10.0.0.1')).toMatchObject({ code: 'access-refused' });
    expect(service.authenticate('guest', 'wrong', '127.0.0.1')).toMatchObject({ code: 'access-refused' });
  });

  it('has room for so many connections, and again for one when one ends', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => Client.connect()));
    await expect(Client.connect()).rejects.toThrow('access-refused');
    await gateway.answer(clients[0]!.connection.close());
    await Client.connect();
  });

  it('knows no other vhosts than those declared', async () => {
    const request = { user: 'guest', vhost: 'other', protocol: 'test', peerAddress: '', clientName: undefined };
    const listener = { held: () => {}, resumed: () => {}, closed: () => {}, dismissed: () => {} };
    expect(await service.connect(request, listener)).toMatchObject({ ok: false, error: { code: 'no-vhost' } });
  });

  it('gives all clients up when its incarnation is over, and lets nobody in before the next', async () => {
    const facade = new BrokerFacade(IDENTITY);
    await expect(Client.connect(facade)).rejects.toThrow('unavailable');
    facade.serve(service);
    const client = await Client.connect(facade);
    facade.serve(undefined);
    service.expel('this node has lost its lease');
    expect(client.closedReason).toBe('this node has lost its lease');
    expect(facade.authenticate('guest', 'guest', '127.0.0.1')).toMatchObject({ code: 'unavailable' });
  });
});
