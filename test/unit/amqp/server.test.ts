import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { utf8Encode } from '../../../src/lib/bytes.ts';
import type { AmqpLimits } from '../../../src/protocols/amqp/limits.ts';
import type { Method } from '../../../src/protocols/amqp/methods.ts';
import { encodeProperties } from '../../../src/protocols/amqp/properties.ts';
import { AmqpServer } from '../../../src/protocols/amqp/server.ts';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { contentBytes, joined, methodBytes, readAll } from '../../support/amqp-client.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';

/** Sockets are real, time is not. */
let broker: MemoryBroker;
let clock: ManualClock;
let server: AmqpServer;
let port: number;
let warnings: string[];

async function start(limits: Partial<AmqpLimits> = {}): Promise<void> {
  broker = new MemoryBroker();
  clock = new ManualClock();
  warnings = [];
  const log = (_fields: object, text: string): void => {
    warnings.push(text);
  };
  const logger = { info: log, warn: log, error: log };
  server = new AmqpServer({ hosts: ['127.0.0.1'], port: 0, limits }, { broker, clock, logger });
  port = await server.listen();
}

beforeEach(() => start());

afterEach(async () => {
  const closed = server.close();
  clock.advance(60_000);
  await closed;
});

it('listens at each of its addresses, with one port', async () => {
  await server.close();
  server = new AmqpServer(
    { hosts: ['127.0.0.1', '127.0.0.2'], port: 0 },
    { broker, clock, logger: { info: () => {}, warn: () => {}, error: () => {} } },
  );
  port = await server.listen();
  for (const host of ['127.0.0.1', '127.0.0.2']) {
    const client = new RawClient(host);
    await client.open(0);
    client.socket.destroy();
  }
});

/** A client that reads only when it is told to. */
class RawClient {
  readonly socket: Socket;
  #bytes: Uint8Array = new Uint8Array(0);
  isClosed = false;

  constructor(host = '127.0.0.1') {
    this.socket = connect(port, host);
    this.socket.on('data', chunk => {
      this.#bytes = joined(this.#bytes, chunk);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  get byteCount(): number {
    return this.#bytes.length;
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(joined(...parts));
  }

  /** Waits until as many methods (and heartbeats) have come, and forgets them. */
  async read(count: number): Promise<string[]> {
    await expect.poll(() => readAll(this.#bytes).length, { interval: 1 }).toBe(count);
    const names = readAll(this.#bytes).map(({ method }) => (typeof method === 'string' ? method : method.name));
    this.#bytes = new Uint8Array(0);
    return names;
  }

  async open(heartbeat: number): Promise<void> {
    const response = utf8Encode('\0guest\0guest');
    const methods: Method[] = [
      { name: 'connection.start-ok', clientProperties: new Map(), mechanism: 'PLAIN', response, locale: '' },
      { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat },
      { name: 'connection.open', virtualHost: '/' },
    ];
    this.send(new Uint8Array(PROTOCOL_HEADER), ...methods.map(method => methodBytes(0, method)));
    this.send(methodBytes(1, { name: 'channel.open' }));
    expect(await this.read(4)).toEqual([
      'connection.start',
      'connection.tune',
      'connection.open-ok',
      'channel.open-ok',
    ]);
  }
}

const flow = methodBytes(1, { name: 'channel.flow', active: true });
const declare = methodBytes(1, {
  ...{ passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false },
  ...{ name: 'queue.declare', queue: 'q', arguments: new Map() },
});
const consume = methodBytes(1, {
  ...{ name: 'basic.consume', queue: 'q', consumerTag: 'c', arguments: new Map() },
  ...{ noLocal: false, noAck: true, exclusive: false, noWait: false },
});
const publish = (body: Uint8Array): Uint8Array => {
  const method = { name: 'basic.publish', exchange: '', routingKey: 'q', mandatory: false, immediate: false } as const;
  return contentBytes(1, method, encodeProperties({}), body);
};

describe('heartbeats', () => {
  it('are sent when nothing else was for half an interval', async () => {
    const client = new RawClient();
    await client.open(10);
    clock.advance(5_000);
    client.send(flow);
    expect(await client.read(1)).toEqual(['channel.flow-ok']);
    clock.advance(5_000);
    clock.advance(5_000);
    expect(await client.read(1)).toEqual(['heartbeat']);
    clock.advance(5_000);
    expect(await client.read(1)).toEqual(['heartbeat']);
    client.socket.destroy();
  });

  it('that do not come end the connection after two intervals', async () => {
    const client = new RawClient();
    await client.open(10);
    clock.advance(20_000);
    expect(client.isClosed).toBe(false);
    clock.advance(5_000);
    await expect.poll(() => client.isClosed).toBe(true);
    expect(warnings).toEqual(['connection ended: missed heartbeats from client']);
    await expect.poll(() => clock.timerCount).toBe(0);
  });

  it('are not missed from a client that we chose not to read', async () => {
    const client = new RawClient();
    await client.open(10);
    client.send(declare);
    await client.read(1);
    broker.hold({ kind: 'backlog' });
    client.send(publish(new Uint8Array(10)), flow);
    // The held publish stops the reading; the answer to `flow` does not come.
    client.send(flow);
    await new Promise(resolve => setImmediate(resolve));
    for (let i = 0; i < 20; i++) clock.advance(5_000);
    expect(client.isClosed).toBe(false);
    broker.resume();
    await expect.poll(() => broker.queues.get('q')!.ready.length).toBe(1);
    client.socket.destroy();
  });

  it('find out that a client is gone which is not read', async () => {
    const client = new RawClient();
    await client.open(10);
    client.send(declare);
    await client.read(1);
    broker.hold({ kind: 'alarm', text: 'low on memory' });
    client.send(publish(new Uint8Array(10)), flow);
    await new Promise(resolve => setImmediate(resolve));
    client.socket.destroy();
    // Its system answers the first one with a reset, on which the second one fails.
    await expect
      .poll(() => {
        clock.advance(5_000);
        return server.connectionCount;
      })
      .toBe(0);
  });

  it('are not sent when the client wants none', async () => {
    const client = new RawClient();
    await client.open(0);
    clock.advance(600_000);
    client.send(flow);
    expect(await client.read(1)).toEqual(['channel.flow-ok']);
    client.socket.destroy();
  });
});

describe('a frame before connection.tune-ok', () => {
  const startOk = (frameBytes: number): Uint8Array => {
    const build = (padding: number): Uint8Array =>
      methodBytes(0, {
        ...{ name: 'connection.start-ok', mechanism: 'PLAIN', response: utf8Encode('\0guest\0guest'), locale: '' },
        clientProperties: new Map([['padding', { type: 'string', value: 'x'.repeat(padding) }]]),
      });
    return build(frameBytes - build(0).length);
  };

  it.each([
    [8_192 + 8, 'connection.tune'],
    [8_192 + 9, 'connection.close'],
    [100_000, 'connection.close'],
  ])('of %i bytes is answered with the right method', async (frameBytes, answer) => {
    const client = new RawClient();
    client.send(new Uint8Array(PROTOCOL_HEADER), startOk(frameBytes));
    expect(await client.read(2)).toEqual(['connection.start', answer]);
    client.socket.destroy();
  });
});

describe('time limits', () => {
  it('end a handshake that takes too long', async () => {
    const client = new RawClient();
    client.send(new Uint8Array(PROTOCOL_HEADER));
    await client.read(1);
    clock.advance(10_000);
    await expect.poll(() => client.isClosed).toBe(true);
    expect(warnings).toEqual(['connection ended: handshake timeout']);
  });

  it('end a connection whose client does not answer connection.close', async () => {
    const client = new RawClient();
    await client.open(0);
    client.send(methodBytes(9, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 0, global: false }));
    expect(await client.read(1)).toEqual(['connection.close']);
    clock.advance(5_000);
    await expect.poll(() => client.isClosed).toBe(true);
    expect(warnings).toEqual(["CHANNEL_ERROR - expected 'channel.open'"]);
  });
});

describe('a client that does not read', () => {
  it('is sent no more than the credit that it has, and gets all of it once it reads', async () => {
    const client = new RawClient();
    await client.open(0);
    client.send(declare, consume);
    await client.read(2);
    client.socket.pause();
    const body = new Uint8Array(5_000);
    const count = 4_000;
    const sender = new RawClient();
    await sender.open(0);
    for (let sent = 0; sent < count; sent += 100) sender.send(...Array.from({ length: 100 }, () => publish(body)));
    sender.send(declare);
    await sender.read(1);
    // What neither the sockets nor the credit of 2,000 messages took is still in the queue.
    expect(broker.queues.get('q')!.ready.length).toBeGreaterThan(0);
    client.socket.removeAllListeners('data');
    let bytes = 0;
    client.socket.on('data', chunk => {
      bytes += chunk.length;
    });
    client.socket.resume();
    await expect.poll(() => bytes).toBeGreaterThanOrEqual(count * body.length);
    await expect.poll(() => broker.queues.get('q')!.ready.length).toBe(0);
    client.socket.destroy();
    sender.socket.destroy();
  });

  it('is ended when output grows past its bound all the same', async () => {
    await server.close();
    await start({ messageBytesMax: 1000, outputBytesMax: 2000 });
    const client = new RawClient();
    await client.open(0);
    client.send(declare, consume);
    await client.read(2);
    client.send(...Array.from({ length: 10 }, () => publish(new Uint8Array(900))));
    await expect.poll(() => client.isClosed).toBe(true);
    expect(warnings[0]).toMatch(/^connection ended: \d+ bytes of output wait for the client$/);
  });
});
