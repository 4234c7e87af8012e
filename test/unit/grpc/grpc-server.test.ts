import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfirmMode, type Delivery, PublishStatus, SettleAction } from '../../../src/gen/warren/v1/broker_pb.ts';
import { utf8Decode, utf8Encode } from '../../../src/lib/bytes.ts';
import { SystemClock } from '../../../src/lib/clock.ts';
import { GrpcServer } from '../../../src/protocols/grpc/server.ts';
import { errorInfoOf, GrpcTestClient, loginMetadata, type StreamCall } from '../../support/grpc-client.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';
import { propertyCodec } from '../../support/property-codec.ts';

const logger = { info() {}, warn() {}, error() {} };

let broker: MemoryBroker;
let server: GrpcServer;
let port: number;
let clients: GrpcTestClient[];

beforeEach(async () => {
  broker = new MemoryBroker();
  server = new GrpcServer(
    { host: '127.0.0.1', port: 0 },
    {
      broker,
      clock: new SystemClock(),
      logger,
      propertyCodec,
      status: { status: async () => undefined },
      management: () => undefined,
    },
  );
  port = await server.listen();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await server.close();
});

function connect(metadata = loginMetadata()): GrpcTestClient {
  const client = new GrpcTestClient(port, metadata);
  clients.push(client);
  return client;
}

const message = (routingKey: string, text = 'body') => ({ routingKey, body: utf8Encode(text) });

const deliveries = (stream: StreamCall<'consume'>): Delivery[] =>
  stream.responses.flatMap(({ response }) => (response.case === 'deliveries' ? response.value.deliveries : []));

const bodies = (stream: StreamCall<'consume'>): string[] =>
  deliveries(stream).map(delivery => utf8Decode(delivery.message!.body));

/** Numbers of messages with this outcome, over all ranges told. */
function numbersWith(stream: StreamCall<'publish'>, wanted: PublishStatus): number[] {
  const numbers: number[] = [];
  for (const response of stream.responses) {
    for (const { first, last, status: what } of response.outcomes) {
      for (let number = Number(first); what === wanted && number <= Number(last); number++) numbers.push(number);
    }
  }
  return numbers;
}

async function consuming(client: GrpcTestClient, queue: string, options = {}): Promise<StreamCall<'consume'>> {
  const stream = client.consume();
  stream.send({ request: { case: 'open', value: { queue, window: 10, ...options } } });
  await stream.until(() => stream.responses.length > 0);
  expect(stream.responses[0]!.response.case).toBe('opened');
  return stream;
}

describe('publishing', () => {
  it('confirms each message of a request, and ends after the last outcome', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q', durable: true });
    const stream = client.publish();
    stream.send({ messages: [message('q', 'one'), message('q', 'two'), message('q', 'three')] });
    stream.call.end();
    await stream.until(() => stream.hasEnded);
    expect(numbersWith(stream, PublishStatus.CONFIRMED)).toEqual([1, 2, 3]);
    expect(stream.responses.at(-1)!.confirmedTo).toBe(3n);
    expect(broker.queues.get('q')!.ready).toHaveLength(3);
    expect(stream.error).toBeUndefined();
  });

  it('tells only how far all is confirmed, when that is what the client wants', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const stream = client.publish();
    stream.send({ confirmMode: ConfirmMode.CUMULATIVE, messages: [message('q'), message('q')] });
    await stream.until(() => stream.responses.at(-1)?.confirmedTo === 2n);
    expect(stream.responses.flatMap(response => response.outcomes)).toEqual([]);
  });

  it('says nothing without confirms, and still has taken everything when the stream ends', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const stream = client.publish();
    stream.send({ confirmMode: ConfirmMode.NONE, messages: [message('q'), message('q')] });
    stream.call.end();
    await stream.until(() => stream.hasEnded);
    expect(stream.responses).toEqual([]);
    expect(broker.queues.get('q')!.ready).toHaveLength(2);
  });

  it('tells mandatory messages that no queue takes', async () => {
    const stream = connect().publish();
    stream.send({ messages: [message('nowhere')], mandatory: true });
    stream.send({ messages: [message('nowhere')] });
    await stream.until(() => stream.responses.at(-1)?.confirmedTo === 2n);
    expect(numbersWith(stream, PublishStatus.UNROUTABLE)).toEqual([1]);
    expect(numbersWith(stream, PublishStatus.CONFIRMED)).toEqual([2]);
  });

  it('tells why a message was refused, and goes on with the next', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const stream = client.publish();
    stream.send({
      messages: [
        { ...message('q'), exchange: 'absent' },
        { ...message('q'), messageId: 'x'.repeat(300) },
        { ...message('q'), userId: 'somebody' },
        { ...message('q'), headers: { h: { value: { case: 'int8', value: 1000 } } } },
        message('q'),
      ],
    });
    await stream.until(() => stream.responses.at(-1)?.confirmedTo === 5n);
    const reasons = stream.responses.flatMap(response => response.outcomes).map(({ reason, text }) => [reason, text]);
    expect(reasons).toEqual([
      ['NO_EXCHANGE', "there is no exchange 'absent' in virtual host '/'"],
      ['INVALID', 'messageId of 300 bytes; at most 255'],
      ['INVALID', "user_id property set to 'somebody' but authenticated user was 'guest'"],
      ['INVALID', "field 'h' is 1000; int8 holds -128 to 127"],
      ['', ''],
    ]);
    expect(numbersWith(stream, PublishStatus.CONFIRMED)).toEqual([5]);
  });

  it('is not read while the broker holds publishes, in the middle of a request too', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const stream = client.publish();
    stream.send({ messages: [message('q')] });
    await stream.until(() => stream.responses.at(-1)?.confirmedTo === 1n);
    broker.hold({ kind: 'backlog' });
    for (let i = 0; i < 50; i++) stream.send({ messages: [message('q'), message('q')] });
    // The broker would throw at a publish while it holds; another call shows that the server has gone on meanwhile.
    await client.call('describeQueue', { name: 'q' });
    expect(broker.queues.get('q')!.ready).toHaveLength(1);
    broker.resume();
    await stream.until(() => stream.responses.at(-1)?.confirmedTo === 101n);
    expect(numbersWith(stream, PublishStatus.CONFIRMED).sort((a, b) => a - b)).toHaveLength(101);
  });

  it('closes its broker connection when the client goes away', async () => {
    const client = connect();
    const stream = client.publish();
    stream.send({ messages: [message('nowhere')] });
    await stream.until(() => stream.responses.length > 0);
    expect(broker.connections.size).toBe(1);
    stream.call.cancel();
    await stream.failure();
    await client.call('describeQueue', { name: 'q' }).catch(() => {});
    expect(broker.connections.size).toBe(0);
  });
});

describe('consuming', () => {
  it('delivers what was published, with its properties', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const publisher = client.publish();
    publisher.send({
      messages: [
        {
          ...message('q', 'hello'),
          headers: {
            attempt: { value: { case: 'int32', value: 3 } },
            origin: { value: { case: 'string', value: 'x' } },
          },
          contentType: 'text/plain',
          correlationId: 'c',
          replyTo: 'answers',
          messageId: '',
          priority: 5,
          expirationMs: 60_000n,
          timestampSeconds: 1_700_000_000n,
        },
      ],
    });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    const [delivery] = deliveries(consumer);
    expect(delivery).toMatchObject({ number: 1n, redelivered: false, deliveryCount: 0 });
    expect(delivery!.message).toMatchObject({
      exchange: '',
      routingKey: 'q',
      contentType: 'text/plain',
      correlationId: 'c',
      replyTo: 'answers',
      messageId: '',
      priority: 5,
      expirationMs: 60_000n,
      timestampSeconds: 1_700_000_000n,
    });
    expect(delivery!.message!.appId).toBeUndefined();
    expect(delivery!.message!.headers.attempt!.value).toEqual({ case: 'int32', value: 3 });
    expect(bodies(consumer)).toEqual(['hello']);
  });

  it('hands the time that a message may wait to the broker, or refuses it as AMQP does', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const seen: (number | undefined)[] = [];
    broker.published = ({ expirationMs }) => seen.push(expirationMs);
    const publisher = client.publish();
    publisher.send({
      messages: [{ ...message('q'), expirationMs: 0n }, message('q'), { ...message('q'), expirationMs: 60_000n }],
    });
    await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 3n);
    expect(seen).toEqual([0, undefined, 60_000]);
    publisher.send({ messages: [{ ...message('q'), expirationMs: 315_360_000_001n }] });
    await publisher.until(() => numbersWith(publisher, PublishStatus.REJECTED).length === 1);
    expect(publisher.responses.at(-1)?.outcomes[0]?.text).toContain('{value_too_large,315360000001}');
  });

  it('has at most a window of messages unsettled, and goes on when they are settled', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const publisher = client.publish();
    publisher.send({ messages: Array.from({ length: 7 }, (_, i) => message('q', `${i + 1}`)) });
    await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 7n);
    const consumer = await consuming(client, 'q', { window: 3 });
    await consumer.until(() => deliveries(consumer).length === 3);
    consumer.send({ request: { case: 'settle', value: { first: 2n, last: 2n } } });
    await consumer.until(() => deliveries(consumer).length === 4);
    consumer.send({ request: { case: 'settle', value: { last: 4n, action: SettleAction.DISCARD } } });
    await consumer.until(() => deliveries(consumer).length === 7);
    expect(bodies(consumer)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    expect(broker.calls).toEqual(['settle 1 2-2', 'discard 1 1-1', 'discard 1 3-4']);
  });

  it('delivers again what was returned', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    client.publish().send({ messages: [message('q', 'again')] });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    consumer.send({ request: { case: 'settle', value: { first: 1n, last: 1n, action: SettleAction.RETURN } } });
    await consumer.until(() => deliveries(consumer).length === 2);
    expect(deliveries(consumer)[1]).toMatchObject({ number: 2n, redelivered: true, deliveryCount: 1 });
    expect(deliveries(consumer)[1]!.streamOffset).toBeUndefined();
  });

  it.each([SettleAction.RETURN, SettleAction.DISCARD])(
    'tells offsets in a stream, from which nothing is taken (%i)',
    async action => {
      const client = connect();
      broker.streams.add('s');
      await client.call('declareQueue', { name: 's' });
      client.publish().send({ messages: [message('s'), message('s')] });
      const consumer = await consuming(client, 's');
      await consumer.until(() => deliveries(consumer).length === 2);
      expect(deliveries(consumer).map(({ streamOffset }) => streamOffset)).toEqual([0n, 1n]);
      consumer.send({ request: { case: 'settle', value: { first: 1n, last: 1n, action } } });
      const error = await consumer.failure();
      expect(error.code).toBe(status.UNIMPLEMENTED);
      expect(error.details).toBe("return and discard not supported by stream queues queue 's'");
    },
  );

  it('refuses to settle what is not outstanding', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    client.publish().send({ messages: [message('q')] });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    consumer.send({ request: { case: 'settle', value: { first: 1n, last: 2n } } });
    const error = await consumer.failure();
    expect(error.code).toBe(status.FAILED_PRECONDITION);
    expect(errorInfoOf(error)).toMatchObject({ reason: 'NOT_OUTSTANDING', domain: 'warren' });
    expect(broker.queues.get('q')!.ready).toHaveLength(1);
  });

  it('refuses a settle action that does not exist, and keeps the message', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    client.publish().send({ messages: [message('q')] });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    consumer.send({ request: { case: 'settle', value: { first: 1n, last: 1n, action: 77 as SettleAction } } });
    const error = await consumer.failure();
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(broker.queues.get('q')!.ready).toHaveLength(1);
  });

  it('stops after a cancel, and lets the rest be settled', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const publisher = client.publish();
    publisher.send({ messages: [message('q')] });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    consumer.send({ request: { case: 'cancel', value: {} } });
    await consumer.until(() => consumer.responses.at(-1)!.response.case === 'cancelled');
    publisher.send({ messages: [message('q')] });
    await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 2n);
    consumer.send({ request: { case: 'settle', value: { last: 1n } } });
    consumer.call.end();
    await consumer.until(() => consumer.hasEnded);
    expect(deliveries(consumer)).toHaveLength(1);
    expect(broker.calls).toEqual(['settle 1 1-1']);
    expect(broker.queues.get('q')!.ready).toHaveLength(1);
  });

  it('returns what is unsettled when the client ends', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    client.publish().send({ messages: [message('q')] });
    const consumer = await consuming(client, 'q');
    await consumer.until(() => deliveries(consumer).length === 1);
    consumer.call.end();
    await consumer.until(() => consumer.hasEnded);
    expect(broker.queues.get('q')!.ready).toHaveLength(1);
  });

  it('ends with an error when the queue is deleted', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const consumer = await consuming(client, 'q');
    await client.call('deleteQueue', { name: 'q' });
    const error = await consumer.failure();
    expect(error.code).toBe(status.ABORTED);
    expect(errorInfoOf(error)?.reason).toBe('CONSUMER_CANCELLED');
  });

  it('goes as far ahead of a client that does not read as the broker allows, and no further', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const publisher = client.publish();
    const body = new Uint8Array(4_000);
    for (let i = 0; i < 60; i++) {
      publisher.send({
        confirmMode: ConfirmMode.CUMULATIVE,
        messages: Array.from({ length: 100 }, () => ({ routingKey: 'q', body })),
      });
    }
    await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 6_000n);
    const consumer = await consuming(client, 'q', { autoSettle: true });
    consumer.call.pause();
    const other = await consuming(client, 'q', { autoSettle: true });
    await other.until(() => deliveries(other).length > 2_500);
    expect(deliveries(consumer).length).toBeLessThan(2_500);
    consumer.call.resume();
    await Promise.race([
      consumer.until(() => deliveries(consumer).length + deliveries(other).length === 6_000),
      other.until(() => deliveries(consumer).length + deliveries(other).length === 6_000),
    ]);
  });

  it('begins with open', async () => {
    const consumer = connect().consume();
    consumer.send({ request: { case: 'settle', value: { last: 1n } } });
    expect((await consumer.failure()).code).toBe(status.INVALID_ARGUMENT);
  });
});

describe('queues and exchanges', () => {
  it('are declared, bound, described, purged and deleted', async () => {
    const client = connect();
    expect(await client.call('declareQueue', { name: '' })).toMatchObject({
      name: expect.stringMatching(/^amq\.gen-/),
    });
    await client.call('declareQueue', { name: 'q', durable: true });
    await client.call('declareExchange', { name: 'e', type: 'direct', durable: true });
    await client.call('bindQueue', { queue: 'q', exchange: 'e', routingKey: 'k' });
    const publisher = client.publish();
    publisher.send({ messages: [{ exchange: 'e', ...message('k') }] });
    await publisher.until(() => publisher.responses.at(-1)?.confirmedTo === 1n);
    expect(await client.call('describeQueue', { name: 'q' })).toMatchObject({ messageCount: 1n, consumerCount: 0 });
    expect(await client.call('purgeQueue', { name: 'q' })).toMatchObject({ messageCount: 1n });
    await client.call('unbindQueue', { queue: 'q', exchange: 'e', routingKey: 'k' });
    await client.call('deleteExchange', { name: 'e' });
    expect(await client.call('deleteQueue', { name: 'q' })).toMatchObject({ messageCount: 0n });
    expect(broker.connections.size).toBe(1);
  });

  it.each([
    ['describeQueue', { name: 'absent' }, status.NOT_FOUND, 'NO_QUEUE'],
    ['describeQueue', { name: '' }, status.INVALID_ARGUMENT, 'INVALID'],
    ['declareQueue', { name: 'q', durable: false }, status.FAILED_PRECONDITION, 'INEQUIVALENT'],
    ['bindQueue', { queue: 'q', exchange: 'absent' }, status.NOT_FOUND, 'NO_EXCHANGE'],
  ] as const)('%s of %o fails with a status and a reason', async (name, request, code, reason) => {
    const client = connect();
    await client.call('declareQueue', { name: 'q', durable: true });
    const error = await client.call(name, request).catch(caught => caught);
    expect(error.code).toBe(code);
    expect(errorInfoOf(error)).toMatchObject({ reason, domain: 'warren' });
  });
});

describe('who may call', () => {
  it.each([
    ['without credentials', loginMetadata('', ''), status.UNAUTHENTICATED, 'ACCESS_REFUSED'],
    ['with a wrong password', loginMetadata('guest', 'x'), status.UNAUTHENTICATED, 'ACCESS_REFUSED'],
    [
      'for a virtual host that refuses',
      loginMetadata('guest', 'guest', 'forbidden'),
      status.PERMISSION_DENIED,
      'ACCESS_REFUSED',
    ],
    ['for one that does not exist', loginMetadata('guest', 'guest', 'absent'), status.NOT_FOUND, 'NO_VHOST'],
  ])('nobody %s', async (_, metadata, code, reason) => {
    const client = connect(metadata);
    const unary = await client.call('describeQueue', { name: 'q' }).catch(caught => caught);
    const errors = [unary, await client.publish().failure(), await client.consume().failure()];
    for (const error of errors) {
      expect(error.code).toBe(code);
      expect(errorInfoOf(error)?.reason).toBe(reason);
    }
    expect(broker.connections.size).toBe(0);
  });
});

describe('the server', () => {
  it('ends open streams as unavailable when it closes', async () => {
    const client = connect();
    await client.call('declareQueue', { name: 'q' });
    const consumer = await consuming(client, 'q');
    const publisher = client.publish();
    publisher.send({ messages: [message('q')] });
    await publisher.until(() => publisher.responses.length > 0);
    const closed = server.close('the node is stopping');
    expect((await consumer.failure()).code).toBe(status.UNAVAILABLE);
    expect((await publisher.failure()).details).toBe('the node is stopping');
    client.close();
    await closed;
    expect(broker.connections.size).toBe(0);
  });
});
