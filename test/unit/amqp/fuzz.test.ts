import fc from 'fast-check';
import { describe, it } from 'vitest';
import { encodeProperties } from '../../../src/protocols/amqp/properties.ts';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { cut, methodArb, propertiesArb } from '../../support/amqp-arbitraries.ts';
import { frameBytes, joined, methodBytes, type Received, readAll } from '../../support/amqp-client.ts';
import { openConnection, TestConnection } from '../../support/amqp-transcript.ts';

const channelArb = fc.integer({ min: 0, max: 3 });
const nameArb = fc.constantFrom('', 'q', 'r', 'amq.direct', 'amq.fanout', 'none');

/** Methods that a channel does something with, on few names so that they meet. */
const usefulArb = fc.oneof(
  fc.record({ queue: nameArb, noWait: fc.boolean(), passive: fc.boolean() }).map(fields => ({
    ...{ durable: false, exclusive: false, autoDelete: false, arguments: new Map() },
    ...fields,
    name: 'queue.declare' as const,
  })),
  fc.record({ queue: nameArb, noAck: fc.boolean(), consumerTag: fc.constantFrom('', 'a', 'b') }).map(fields => ({
    ...{ noLocal: false, exclusive: false, noWait: false, arguments: new Map() },
    ...fields,
    name: 'basic.consume' as const,
  })),
  fc
    .record({ consumerTag: fc.constantFrom('a', 'b'), noWait: fc.boolean() })
    .map(fields => ({ ...fields, name: 'basic.cancel' as const })),
  fc.record({ queue: nameArb, noAck: fc.boolean() }).map(fields => ({ ...fields, name: 'basic.get' as const })),
  fc.record({ deliveryTag: fc.bigInt(0n, 6n), multiple: fc.boolean(), requeue: fc.boolean() }).map(fields => ({
    ...fields,
    name: 'basic.nack' as const,
  })),
  fc
    .record({ deliveryTag: fc.bigInt(0n, 6n), multiple: fc.boolean() })
    .map(fields => ({ ...fields, name: 'basic.ack' as const })),
  fc.record({ queue: nameArb }).map(({ queue }) => ({
    ...{ name: 'queue.delete' as const, ifUnused: false, ifEmpty: false, noWait: false },
    queue,
  })),
  fc.constant({ name: 'confirm.select' as const, noWait: false }),
  fc.constant({ name: 'channel.open' as const }),
  fc.constant({ name: 'channel.close-ok' as const }),
  fc.constant({ name: 'channel.close' as const, replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
);

const bodyHeader = (bytes: number, properties: Uint8Array): Uint8Array =>
  joined(new Uint8Array([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, bytes >> 8, bytes & 255]), properties);

const publishArb = fc
  .record({
    channel: channelArb,
    exchange: nameArb,
    routingKey: nameArb,
    body: fc.uint8Array({ maxLength: 40 }),
    properties: propertiesArb,
    places: fc.array(fc.nat(), { maxLength: 2 }),
  })
  .map(({ channel, exchange, routingKey, body, properties, places }) =>
    joined(
      methodBytes(channel, {
        name: 'basic.publish',
        exchange,
        routingKey,
        mandatory: body.length % 2 === 0,
        immediate: false,
      }),
      frameBytes(2, channel, bodyHeader(body.length, encodeProperties(properties))),
      ...cut(body, places).map(piece => frameBytes(3, channel, piece)),
    ),
  );

const frameArb = fc.oneof(
  { weight: 6, arbitrary: publishArb },
  { weight: 8, arbitrary: fc.tuple(channelArb, usefulArb).map(([channel, method]) => methodBytes(channel, method)) },
  { weight: 1, arbitrary: fc.tuple(channelArb, methodArb).map(([channel, method]) => methodBytes(channel, method)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(1, 2, 3, 8), channelArb, fc.uint8Array({ maxLength: 30 }))
      .map(([type, channel, payload]) => frameBytes(type, channel, payload)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
);

/** A byte changed here and there, or none. */
const streamArb = fc
  .tuple(fc.array(frameArb, { maxLength: 14 }), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }), fc.nat(2))
  .map(([frames, changes, dice]) => {
    const bytes = joined(...frames);
    if (dice === 0) for (const [place, value] of changes) if (bytes.length > 0) bytes[place % bytes.length] = value;
    return bytes;
  });

/** What a client may rely on in the order of what it reads. Throws where it is broken. */
function checkOrder(received: readonly Received[]): void {
  const closed = new Set<number>();
  let isOver = false;
  for (const { channel, method } of received) {
    if (typeof method !== 'object') continue;
    if (isOver && method.name !== 'connection.close-ok') throw new Error(`${method.name} after connection.close`);
    if (method.name === 'connection.close') isOver = true;
    else if (method.name === 'channel.open-ok') closed.delete(channel);
    else if (closed.has(channel) && method.name !== 'channel.close-ok')
      throw new Error(`${method.name} on closed channel`);
    if (method.name === 'channel.close' || method.name === 'channel.close-ok') closed.add(channel);
  }
}

async function feedAll(
  connection: TestConnection,
  chunks: readonly Uint8Array[],
  bumps: readonly boolean[],
): Promise<void> {
  const output: Uint8Array[] = [];
  for (const [i, chunk] of chunks.entries()) {
    if (bumps[i] === true) connection.broker.delayAnswers();
    connection.push(chunk);
    if (bumps[i] === true) connection.broker.hold({ kind: 'backlog' });
    output.push(await connection.turn());
    connection.broker.releaseAnswers();
    if (bumps[i] === true) connection.broker.resume();
  }
  for (let i = 0; i < 4; i++) output.push(await connection.turn());
  checkOrder(readAll(joined(...output)));
}

describe('whatever a client sends', () => {
  it('an open connection answers in order, closes properly or carries on, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(
        streamArb,
        fc.array(fc.nat(), { maxLength: 4 }),
        fc.array(fc.boolean()),
        async (bytes, places, bumps) => {
          await feedAll(await openConnection(), cut(bytes, places), bumps);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('a new connection does too', async () => {
    const helloArb = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc
        .array(fc.tuple(fc.integer({ min: 0, max: 1 }), methodArb), { maxLength: 4 })
        .map(methods =>
          joined(new Uint8Array(PROTOCOL_HEADER), ...methods.map(([channel, method]) => methodBytes(channel, method))),
        ),
    );
    await fc.assert(
      fc.asyncProperty(helloArb, fc.array(fc.nat(), { maxLength: 4 }), async (bytes, places) => {
        await feedAll(new TestConnection(), cut(bytes, places), []);
      }),
      { numRuns: 1000 },
    );
  });
});
