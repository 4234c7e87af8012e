import { beforeEach, describe, expect, it } from 'vitest';
import type { BrokerConnection, BrokerSession, Delivery, SessionListener } from '../../../src/broker/broker.ts';
import type { FieldValue } from '../../../src/broker/field-table.ts';
import { utf8Decode } from '../../../src/lib/bytes.ts';
import { decodeMessageBlock } from '../../../src/queue/message-block.ts';
import { int, table, text } from '../../support/metadata.ts';
import { plainPublish } from '../../support/plain-publish.ts';
import { gateway, service } from '../../support/session-client.ts';

beforeEach(async () => {
  const client = await Client.connect();
  await client.declare('s');
});

/** A client with one session that reads at most three messages ahead. */
class Client implements SessionListener {
  connection!: BrokerConnection;
  session!: BrokerSession;
  readonly taken: string[] = [];
  readonly deliveries: Delivery[] = [];
  readonly cancelled: number[] = [];

  static async connect(): Promise<Client> {
    const client = new Client();
    const request = { user: 'guest', vhost: '/', protocol: 'test', peerAddress: '', clientName: undefined };
    const silent = { held: () => {}, resumed: () => {}, closed: () => {}, dismissed: () => {} };
    const connected = await service.connect(request, silent);
    if (!connected.ok) throw new Error(connected.error.code);
    client.connection = connected.value;
    client.session = client.connection.openSession(client);
    client.session.setPrefetch('consumer', 3);
    return client;
  }

  declare(name: string, more: Record<string, FieldValue> = {}, passive = false) {
    const queueArguments = table({ 'x-queue-type': text('stream'), ...more });
    const flags = { passive, durable: true, exclusive: false, autoDelete: false };
    return gateway.answer(this.session.declareQueue({ name, ...flags, arguments: queueArguments }));
  }

  async publish(...bodies: readonly string[]): Promise<void> {
    for (const body of bodies) {
      this.session.publish(plainPublish('s', body, { expirationMs: 0, sequence: 0 }));
    }
    await gateway.settle();
  }

  async consume(offset: FieldValue | undefined, more: { autoAck?: boolean; window?: number; consumer?: number } = {}) {
    const { autoAck = false, window, consumer = 1 } = more;
    const consumerArguments = table(offset === undefined ? {} : { 'x-stream-offset': offset });
    const request = { queue: 's', consumer, tag: '', autoAck, exclusive: false, arguments: consumerArguments, window };
    const result = await gateway.answer(this.session.consume(request));
    return result.ok ? 'reads' : 'text' in result.error ? `${result.error.code}: ${result.error.text}` : 'refused';
  }

  async settle(first: number, last = first): Promise<void> {
    this.session.settle(1, first, last, 'settle');
    await gateway.settle();
  }

  confirmed(): void {}
  rejected(): void {}
  deliver(delivery: Delivery): void {
    this.taken.push(`${delivery.offset}:${utf8Decode(decodeMessageBlock(delivery.content).body)}`);
    this.deliveries.push(delivery);
  }
  consumerCancelled(handle: number): void {
    this.cancelled.push(handle);
  }
}

const NOT_SUPPORTED = "not supported by stream queues queue 's' in vhost '/'";

describe('readers of a stream', () => {
  it('get everything from where they begin, each for itself, whatever the others have read', async () => {
    const publisher = await Client.connect();
    await publisher.publish('a', 'b', 'c', 'd');
    const [first, later, next] = [await Client.connect(), await Client.connect(), await Client.connect()];
    expect(await first.consume(text('first'))).toBe('reads');
    expect(await later.consume(int(2))).toBe('reads');
    expect(await next.consume(undefined)).toBe('reads');
    expect(first.taken).toEqual(['0:a', '1:b', '2:c']);
    expect(later.taken).toEqual(['2:c', '3:d']);
    expect(next.taken).toEqual([]);
    await first.settle(1, 3);
    await publisher.publish('e');
    expect(first.taken.slice(3)).toEqual(['3:d', '4:e']);
    expect(later.taken.slice(2)).toEqual(['4:e']);
    expect(next.taken).toEqual(['4:e']);
    expect(first.deliveries.every(({ redelivered, deliveryCount }) => !redelivered && deliveryCount === 0)).toBe(true);
  });

  it('may widen their window, and not do without one', async () => {
    const client = await Client.connect();
    await client.publish('a', 'b', 'c');
    await client.consume(text('first'), { window: 1 });
    const refusal = client.session.setWindow(1, 0);
    expect(refusal).toMatchObject({ code: 'invalid', text: expect.stringContaining('prefetch count is not set') });
    await gateway.settle();
    expect(client.taken).toEqual(['0:a']);
    expect(client.session.setWindow(1, 2)).toBeUndefined();
    await gateway.settle();
    expect(client.taken).toEqual(['0:a', '1:b']);
  });

  it('go on with another session from the offset that they know, and nothing is missing or marked', async () => {
    const client = await Client.connect();
    await client.publish('a', 'b', 'c', 'd');
    await client.consume(text('first'));
    await client.settle(1);
    await gateway.answer(client.session.close());
    const again = await Client.connect();
    await again.consume(int(1));
    expect(again.taken).toEqual(['1:b', '2:c', '3:d']);
    expect(again.deliveries.some(({ redelivered }) => redelivered)).toBe(false);
  });

  it('read on as they acknowledge, also in the order of their choice, and hear that the stream is gone', async () => {
    const client = await Client.connect();
    await client.publish('a', 'b', 'c', 'd', 'e');
    await client.consume(text('first'));
    await client.settle(2);
    expect(client.taken.at(-1)).toBe('3:d');
    await client.settle(1);
    await client.settle(3);
    expect(client.taken.at(-1)).toBe('4:e');
    const other = await Client.connect();
    await gateway.answer(other.session.deleteQueue({ name: 's', ifEmpty: false, ifUnused: false }));
    expect(client.cancelled).toEqual([1]);
  });

  it('acknowledge after a cancellation, and close with what they have not acknowledged', async () => {
    const client = await Client.connect();
    await client.publish('a', 'b', 'c', 'd');
    await client.consume(text('first'));
    await gateway.answer(client.session.cancel(1));
    await client.settle(2);
    await client.publish('e');
    expect(client.taken).toEqual(['0:a', '1:b', '2:c']);
    await gateway.answer(client.session.close());
    const counted = await (await Client.connect()).declare('s', {}, true);
    expect(counted).toMatchObject({ value: { messageCount: 5, consumerCount: 0 } });
  });

  it('are refused without a prefetch of their own, with one of the session, or without acknowledgement', async () => {
    const client = await Client.connect();
    client.session.setPrefetch('consumer', 0);
    const unlimited = `invalid: consumer prefetch count is not set for 'queue 's' in vhost '/''`;
    expect(await client.consume(text('first'))).toBe(unlimited);
    expect(await client.consume(text('first'), { autoAck: true })).toBe(unlimited);
    expect(await client.consume(text('first'), { window: 1, autoAck: true })).toBe(
      `not-implemented: automatic acknowledgement ${NOT_SUPPORTED}`,
    );
    client.session.setPrefetch('session', 5);
    expect(await client.consume(text('first'))).toBe(unlimited);
    expect(await client.consume(text('first'), { window: 1 })).toBe(
      "not-implemented: queue 's' in vhost '/' does not support global qos",
    );
    client.session.setPrefetch('session', 0);
    expect(await client.consume(text('first'), { window: 1 })).toBe('reads');
  });
});

describe('a stream', () => {
  it('is not emptied: neither by get, by purge, nor by returning or discarding', async () => {
    const client = await Client.connect();
    await client.publish('a');
    await client.consume(text('first'));
    const refused = (what: string) => ({ code: 'not-implemented', text: `${what} ${NOT_SUPPORTED}` });
    const got = await gateway.answer(client.session.get({ queue: 's', autoAck: true, consumer: 9 }));
    expect(got).toEqual({ ok: false, error: refused('basic.get') });
    expect(await gateway.answer(client.session.purgeQueue('s'))).toEqual({ ok: false, error: refused('queue.purge') });
    expect(client.session.checkReturn(1, 'basic.nack')).toEqual(refused('basic.nack'));
    await gateway.answer(client.session.cancel(1));
    expect(client.session.checkReturn(1, 'basic.nack')?.code).toBe('not-implemented');
  });

  it('has a name of its own', async () => {
    const text = 'Cannot declare a server-named queue for type rabbit_stream_queue';
    expect(await (await Client.connect()).declare('')).toEqual({ ok: false, error: { code: 'invalid', text } });
  });

  it('keeps at most so many bytes, and goes on counting', async () => {
    const client = await Client.connect();
    await gateway.answer(client.session.deleteQueue({ name: 's', ifEmpty: false, ifUnused: false }));
    await client.declare('s', { 'x-max-length-bytes': int(250) });
    await client.publish(...['a', 'b', 'c', 'd'].map(letter => letter.repeat(100)));
    await client.consume(text('first'));
    expect(client.taken.map(taken => taken.slice(0, 3))).toEqual(['2:c', '3:d']);
  });

  it('keeps the last message, however few bytes it may keep', async () => {
    const client = await Client.connect();
    await gateway.answer(client.session.deleteQueue({ name: 's', ifEmpty: false, ifUnused: false }));
    await client.declare('s', { 'x-max-length-bytes': int(0), 'x-max-age': text('99999999999999999999Y') });
    await client.publish('a', 'b');
    await client.consume(text('first'));
    expect(client.taken).toEqual(['1:b']);
  });

  it('keeps messages that would have expired elsewhere', async () => {
    const client = await Client.connect();
    await client.publish('for nobody at once');
    await client.consume(text('first'));
    expect(client.taken).toEqual(['0:for nobody at once']);
  });
});

describe('a consumer of another queue', () => {
  it('may return and discard', async () => {
    const client = await Client.connect();
    const flags = { passive: false, durable: true, exclusive: false, autoDelete: false };
    await gateway.answer(client.session.declareQueue({ name: 'q', ...flags, arguments: new Map() }));
    const request = { queue: 'q', consumer: 4, tag: '', autoAck: false, exclusive: false, arguments: new Map() };
    await gateway.answer(client.session.consume({ ...request, window: 0 }));
    expect(client.session.checkReturn(4, 'basic.nack')).toBeUndefined();
  });
});
