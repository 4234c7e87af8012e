import { connect as connectSocket, type Socket } from 'node:net';
import { type Channel, type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/lib/clock.ts';
import type { AmqpLimits } from '../../src/protocols/amqp/limits.ts';
import { AmqpServer } from '../../src/protocols/amqp/server.ts';
import { MemoryBroker } from '../support/memory-broker.ts';

/** A real client over a loopback socket, against the adapter with a broker in memory. */
let broker: MemoryBroker;
let server: AmqpServer;
let port: number;
let warnings: string[];
let clients: ChannelModel[];

async function start(limits: Partial<AmqpLimits> = {}): Promise<void> {
  broker = new MemoryBroker();
  warnings = [];
  clients = [];
  const warn = (_fields: object, text: string): void => {
    warnings.push(text);
  };
  const logger = { info: warn, warn, error: warn };
  server = new AmqpServer({ hosts: ['127.0.0.1'], port: 0, limits }, { broker, clock: new SystemClock(), logger });
  port = await server.listen();
}

beforeEach(() => start());

afterEach(async () => {
  await Promise.allSettled(clients.map(client => client.close()));
  await server.close();
});

async function open(url = `amqp://guest:guest@127.0.0.1:${port}`): Promise<ChannelModel> {
  const client = await connect(url);
  clients.push(client);
  client.on('error', () => {});
  return client;
}

async function openChannel(): Promise<ConfirmChannel> {
  const channel = await (await open()).createConfirmChannel();
  channel.on('error', () => {});
  return channel;
}

/** Collects deliveries and resolves `next()` with them one at a time. */
function collector() {
  const messages: (ConsumeMessage | null)[] = [];
  const waiting: ((message: ConsumeMessage | null) => void)[] = [];
  return {
    take: (message: ConsumeMessage | null): void => {
      const resolve = waiting.shift();
      if (resolve !== undefined) resolve(message);
      else messages.push(message);
    },
    next: (): Promise<ConsumeMessage | null> => {
      const message = messages.shift();
      return message === undefined ? new Promise(resolve => waiting.push(resolve)) : Promise.resolve(message);
    },
  };
}

const errorOf = (emitter: Channel | ChannelModel): Promise<Error & { code: number }> =>
  new Promise(resolve => emitter.once('error', resolve));

describe('amqplib against the AMQP adapter', () => {
  it('publishes with confirms and consumes what it published, properties and all', async () => {
    const channel = await openChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    expect(queue).toMatch(/^amq\.gen-.{22}$/);
    await channel.assertExchange('events', 'direct');
    await channel.bindQueue(queue, 'events', 'created');
    const got = collector();
    const { consumerTag } = await channel.consume(queue, got.take);
    expect(consumerTag).toMatch(/^amq\.ctag-.{22}$/);
    const headers = { count: 3, nested: { list: ['a', 1.5, true, null] } };
    channel.publish('events', 'created', Buffer.from('hello'), {
      headers,
      contentType: 'text/plain',
      messageId: 'm-1',
      persistent: true,
      timestamp: 1_700_000_000,
    });
    await channel.waitForConfirms();
    const message = (await got.next())!;
    expect(message.content.toString()).toBe('hello');
    expect(message.fields).toMatchObject({
      exchange: 'events',
      routingKey: 'created',
      redelivered: false,
      deliveryTag: 1,
    });
    expect(message.properties).toMatchObject({ contentType: 'text/plain', messageId: 'm-1', deliveryMode: 2, headers });
    channel.ack(message);
    await channel.checkQueue(queue);
    expect(broker.calls).toEqual(['settle 1 1-1']);
  });

  it('confirms thousands of publishes and delivers them in order', async () => {
    const channel = await openChannel();
    await channel.assertQueue('many');
    const count = 5000;
    for (let i = 0; i < count; i++) channel.sendToQueue('many', Buffer.from(String(i)));
    await channel.waitForConfirms();
    const got = collector();
    await channel.consume('many', got.take, { noAck: true });
    const bodies: string[] = [];
    while (bodies.length < count) bodies.push((await got.next())!.content.toString());
    expect(bodies).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  });

  it('honours prefetch, and gives a nacked message again as redelivered', async () => {
    const channel = await openChannel();
    await channel.assertQueue('work', { arguments: { 'x-queue-type': 'quorum' } });
    await channel.prefetch(1);
    for (const body of ['a', 'b']) channel.sendToQueue('work', Buffer.from(body));
    await channel.waitForConfirms();
    const got = collector();
    await channel.consume('work', got.take);
    const first = (await got.next())!;
    expect((await channel.checkQueue('work')).messageCount).toBe(1);
    channel.nack(first, false, true);
    const again = (await got.next())!;
    expect(again.content.toString()).toBe('a');
    expect(again.fields.redelivered).toBe(true);
    expect(again.properties.headers).toMatchObject({ 'x-delivery-count': 1 });
    channel.ack(again);
    expect((await got.next())!.content.toString()).toBe('b');
  });

  it('gets single messages, and says so when there is none', async () => {
    const channel = await openChannel();
    await channel.assertQueue('box');
    for (const body of ['1', '2']) channel.sendToQueue('box', Buffer.from(body));
    await channel.waitForConfirms();
    const first = await channel.get('box');
    expect(first && [first.content.toString(), first.fields.messageCount]).toEqual(['1', 1]);
    const second = await channel.get('box', { noAck: true });
    expect(second && `${second.content}`).toBe('2');
    expect(await channel.get('box')).toBe(false);
    if (first) channel.reject(first, false);
    await channel.checkQueue('box');
    expect(broker.calls).toEqual(['discard 1 1-1']);
  });

  it('returns an unroutable mandatory message before it confirms it', async () => {
    const channel = await openChannel();
    const events: string[] = [];
    channel.on('return', ({ fields, content }) => {
      const { replyCode, replyText } = fields as unknown as { replyCode: number; replyText: string };
      events.push(`${replyCode} ${replyText} ${content}`);
    });
    channel.publish('amq.direct', 'nowhere', Buffer.from('lost'), { mandatory: true }, () => events.push('confirmed'));
    await channel.waitForConfirms();
    expect(events).toEqual(['312 NO_ROUTE lost', 'confirmed']);
  });

  it('carries a message of many frames both ways', async () => {
    const channel = await openChannel();
    await channel.assertQueue('large');
    const body = Buffer.alloc(1_000_003, 'warren');
    channel.sendToQueue('large', body);
    await channel.waitForConfirms();
    const got = await channel.get('large', { noAck: true });
    expect(got && Buffer.compare(got.content, body)).toBe(0);
  });

  it('stops deliveries on cancel, and tells a consumer whose queue was deleted', async () => {
    const channel = await openChannel();
    await channel.assertQueue('brief');
    const got = collector();
    const { consumerTag } = await channel.consume('brief', got.take);
    await channel.cancel(consumerTag);
    channel.sendToQueue('brief', Buffer.from('stays'));
    await channel.waitForConfirms();
    expect((await channel.checkQueue('brief')).messageCount).toBe(1);
    const other = collector();
    await channel.consume('brief', other.take);
    expect((await other.next())!.content.toString()).toBe('stays');
    await channel.deleteQueue('brief');
    expect(await other.next()).toBeNull();
  });

  it('closes a channel with the code and the words of RabbitMQ, and the connection lives on', async () => {
    const client = await open();
    const cases: [run: (channel: Channel) => unknown, code: number, text: string][] = [
      [channel => channel.checkQueue('x'), 404, "NOT_FOUND - no queue 'x' in vhost '/'"],
      [channel => channel.publish('x', '', Buffer.from('')), 404, "NOT_FOUND - no exchange 'x' in vhost '/'"],
      [
        channel => channel.ack({ fields: { deliveryTag: 7 } } as ConsumeMessage),
        406,
        'PRECONDITION_FAILED - unknown delivery tag 7',
      ],
    ];
    for (const [run, code, text] of cases) {
      const channel = await client.createChannel();
      const failed = errorOf(channel);
      void Promise.resolve(run(channel)).catch(() => {});
      const error = await failed;
      expect(error.code).toBe(code);
      expect(error.message).toContain(text);
    }
    const channel = await client.createChannel();
    await channel.assertQueue('still-here');
    expect(warnings).toHaveLength(1);
  });

  it('closes the connection for a hard error', async () => {
    const client = await open();
    const channel = await client.createChannel();
    channel.on('error', () => {});
    await channel.assertQueue('q');
    await channel.consume('q', () => {}, { consumerTag: 'same' });
    const failed = errorOf(client);
    void channel.consume('q', () => {}, { consumerTag: 'same' }).catch(() => {});
    const error = await failed;
    expect(error.code).toBe(530);
    expect(error.message).toContain("NOT_ALLOWED - attempt to reuse consumer tag 'same'");
  });

  it('refuses wrong credentials and unknown vhosts as RabbitMQ does', async () => {
    await expect(open(`amqp://guest:wrong@127.0.0.1:${port}`)).rejects.toThrow(/403|ACCESS_REFUSED/);
    await expect(open(`amqp://guest:guest@127.0.0.1:${port}/nowhere`)).rejects.toThrow();
    expect(warnings[1]).toBe('NOT_ALLOWED - vhost nowhere not found');
  });

  it('refuses a message above the size limit and skips its frames', async () => {
    await server.close();
    await start({ messageBytesMax: 1000 });
    const client = await open();
    const channel = await client.createChannel();
    const failed = errorOf(channel);
    channel.publish('', 'q', Buffer.alloc(300_000));
    const error = await failed;
    expect(error.message).toContain(
      'PRECONDITION_FAILED - message size 300000 is larger than configured max size 1000',
    );
    await (await client.createChannel()).assertQueue('q');
  });

  it('holds publishes during an alarm, tells the client, and goes on afterwards', async () => {
    const client = await open();
    const channel = await client.createConfirmChannel();
    await channel.assertQueue('q');
    const blocked = new Promise(resolve => client.once('blocked', resolve));
    const unblocked = new Promise(resolve => client.once('unblocked', resolve));
    broker.hold({ kind: 'alarm', text: 'low on disk' });
    expect(await blocked).toBe('low on disk');
    for (let i = 0; i < 10; i++) channel.sendToQueue('q', Buffer.from('held'));
    broker.resume();
    await unblocked;
    await channel.waitForConfirms();
    expect((await channel.checkQueue('q')).messageCount).toBe(10);
  });

  it('deletes exclusive queues and returns unsettled messages when a client vanishes', async () => {
    const client = await open();
    const channel = await client.createConfirmChannel();
    await channel.assertQueue('shared');
    await channel.assertQueue('mine', { exclusive: true });
    channel.sendToQueue('shared', Buffer.from('m'));
    await channel.waitForConfirms();
    const got = collector();
    await channel.consume('shared', got.take);
    await got.next();
    clients = [];
    (client.connection as unknown as { stream: Socket }).stream.destroy();
    await expect.poll(() => [...broker.queues.keys()]).toEqual(['shared']);
    expect(broker.queues.get('shared')!.ready).toHaveLength(1);
  });

  it('closes clients with 320 when the server stops', async () => {
    const client = await open();
    const failed = new Promise<Error & { code?: number }>(resolve => client.once('close', resolve));
    await server.close();
    const error = await failed;
    expect(error.message).toContain('CONNECTION_FORCED');
    expect(server.connectionCount).toBe(0);
  });
});

describe('sockets that speak no AMQP', () => {
  const exchange = (bytes: Uint8Array): Promise<Buffer> =>
    new Promise(resolve => {
      const socket = connectSocket(port, '127.0.0.1', () => socket.write(bytes));
      const chunks: Buffer[] = [];
      socket.on('data', chunk => chunks.push(chunk));
      socket.on('close', () => resolve(Buffer.concat(chunks)));
      socket.on('error', () => {});
    });

  it('learn the version they should have spoken', async () => {
    expect(await exchange(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toEqual(Buffer.from([65, 77, 81, 80, 0, 0, 9, 1]));
    expect(warnings).toHaveLength(1);
  });

  it('are ended when they stay silent', async () => {
    await server.close();
    await start({ handshakeTimeoutMs: 20 });
    expect(await exchange(Buffer.from('AMQ'))).toEqual(Buffer.alloc(0));
    expect(warnings).toEqual(['connection ended: handshake timeout']);
  });

  it('are turned away when there are too many', async () => {
    await server.close();
    await start({ connectionsMax: 1 });
    await open();
    expect(await exchange(Buffer.from('AMQP'))).toEqual(Buffer.alloc(0));
  });
});
