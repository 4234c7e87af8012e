import fc from 'fast-check';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import type { Method, MethodOf } from '../../src/protocols/amqp/methods.ts';
import { type BasicProperties, encodeProperties } from '../../src/protocols/amqp/properties.ts';
import { cut, methodArb, propertiesArb, tableArb } from './amqp-arbitraries.ts';
import { frameBytes, joined, methodBytes } from './amqp-client.ts';

/** What a client may send that knows the protocol's structure and keeps to it, or nearly. */

/** 1 is open, 2 mostly; 3 is not until it is opened. */
const channelArb = fc.oneof(
  { weight: 12, arbitrary: fc.constant(1) },
  { weight: 5, arbitrary: fc.constant(2) },
  { weight: 1, arbitrary: fc.constantFrom(3, 0) },
);
const queueArb = fc.constantFrom('', 'q', 'r', 'none', 'amq.rabbitmq.reply-to', 'amq.rabbitmq.reply-to.x');
const exchangeArb = fc.constantFrom('', 'amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers', 'x', 'y', 'none');
const keyArb = fc.constantFrom('', 'q', 'r', 'a.b', '#', '*.b', '7');
const typeArb = fc.constantFrom(
  'direct',
  'fanout',
  'topic',
  'headers',
  'x-consistent-hash',
  'x-modulus-hash',
  'x-random',
  'odd',
);
const tagArb = fc.bigInt(0n, 6n);
const bit = fc.boolean();

const text = (value: string): FieldValue => ({ type: 'string', value });
const argumentsArb: fc.Arbitrary<FieldTable> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<FieldTable>(new Map()) },
  { weight: 1, arbitrary: tableArb },
  {
    weight: 2,
    arbitrary: fc
      .dictionary(
        fc.constantFrom(
          'x-match',
          'alternate-exchange',
          'hash-header',
          'x-queue-type',
          'x-max-length',
          'x-priority',
          'h',
        ),
        fc.oneof(
          fc.constantFrom('any', 'all', 'x', 'quorum').map(text),
          fc.constant<FieldValue>({ type: 'int32', value: 1 }),
        ),
      )
      .map(fields => new Map(Object.entries(fields))),
  },
);

type Fields<Name extends Method['name']> = {
  [Field in Exclude<keyof MethodOf<Name>, 'name'>]: fc.Arbitrary<MethodOf<Name>[Field]>;
};

const method = <Name extends Method['name']>(name: Name, fields: Fields<Name>): fc.Arbitrary<Method> =>
  fc.record(fields as Record<string, fc.Arbitrary<unknown>>).map(values => ({ name, ...values }) as unknown as Method);

const flags = { passive: bit, durable: bit, autoDelete: bit, noWait: bit, arguments: argumentsArb };
const bound = { routingKey: keyArb, noWait: bit, arguments: argumentsArb };

/** Methods that a channel does something with, on few names so that they meet. */
export const usefulMethodArb: fc.Arbitrary<Method> = fc.oneof(
  // Queues that the broker names end with their connection, or they would pile up.
  method('queue.declare', { queue: queueArb, exclusive: bit, ...flags }).map(declare =>
    declare.name === 'queue.declare' && declare.queue === '' ? { ...declare, exclusive: true } : declare,
  ),
  method('queue.bind', { queue: queueArb, exchange: exchangeArb, ...bound }),
  method('queue.unbind', { queue: queueArb, exchange: exchangeArb, routingKey: keyArb, arguments: argumentsArb }),
  method('queue.purge', { queue: queueArb, noWait: bit }),
  method('queue.delete', { queue: queueArb, ifUnused: bit, ifEmpty: bit, noWait: bit }),
  method('exchange.declare', { exchange: exchangeArb, type: typeArb, internal: bit, ...flags }),
  method('exchange.bind', { destination: exchangeArb, source: exchangeArb, ...bound }),
  method('exchange.unbind', { destination: exchangeArb, source: exchangeArb, ...bound }),
  method('exchange.delete', { exchange: exchangeArb, ifUnused: bit, noWait: bit }),
  method('basic.consume', {
    queue: queueArb,
    consumerTag: fc.constantFrom('', 'a', 'b'),
    noLocal: bit,
    noAck: bit,
    exclusive: bit,
    noWait: bit,
    arguments: argumentsArb,
  }),
  method('basic.cancel', { consumerTag: fc.constantFrom('a', 'b'), noWait: bit }),
  method('basic.get', { queue: queueArb, noAck: bit }),
  method('basic.ack', { deliveryTag: tagArb, multiple: bit }),
  method('basic.nack', { deliveryTag: tagArb, multiple: bit, requeue: bit }),
  method('basic.reject', { deliveryTag: tagArb, requeue: bit }),
  method('basic.recover', { requeue: fc.constant(true) }),
  method('basic.qos', { prefetchSize: fc.constant(0), prefetchCount: fc.nat(3), global: bit }),
  method('confirm.select', { noWait: bit }),
  method('channel.flow', { active: fc.constant(true) }),
  fc.constantFrom<Method>(
    { name: 'tx.select' },
    { name: 'tx.commit' },
    { name: 'tx.rollback' },
    { name: 'channel.open' },
    { name: 'channel.close-ok' },
    { name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 },
  ),
);

const copiesArb = fc.oneof(
  fc.array(keyArb, { maxLength: 3 }).map((keys): FieldValue => ({ type: 'array', value: keys.map(text) })),
  fc.constant(text('q')),
);
const publishedArb: fc.Arbitrary<BasicProperties> = fc
  .tuple(propertiesArb, fc.option(copiesArb), fc.option(copiesArb), fc.nat(4))
  .map(([properties, cc, bcc, dice]) => {
    const headers = new Map(properties.headers);
    if (cc !== null) headers.set('CC', cc);
    if (bcc !== null) headers.set('BCC', bcc);
    return { ...properties, headers, ...(dice === 0 && { replyTo: 'amq.rabbitmq.reply-to' }) };
  });

const u64 = (value: number): number[] => [
  0,
  0,
  0,
  0,
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];

/** A message in frames; the header may lie about class, weight and size. */
const publishArb = fc
  .record({
    channel: channelArb,
    exchange: exchangeArb,
    routingKey: keyArb,
    mandatory: bit,
    body: fc.uint8Array({ maxLength: 40 }),
    properties: publishedArb,
    places: fc.array(fc.nat(), { maxLength: 2 }),
    lie: fc.option(fc.constantFrom('class', 'weight', 'longer', 'shorter', 'huge'), { freq: 8 }),
  })
  .map(({ channel, exchange, routingKey, mandatory, body, properties, places, lie }) => {
    const size = { longer: body.length + 3, shorter: Math.max(0, body.length - 3), huge: 0xffff_ffff }[String(lie)];
    const head = [0, lie === 'class' ? 50 : 60, 0, lie === 'weight' ? 1 : 0, ...u64(size ?? body.length)];
    return joined(
      methodBytes(channel, { name: 'basic.publish', exchange, routingKey, mandatory, immediate: false }),
      frameBytes(2, channel, joined(Uint8Array.from(head), encodeProperties(properties))),
      ...cut(body, places).map(piece => frameBytes(3, channel, piece)),
    );
  });

/** A whole frame whose payload's inside is wrong: lengths of strings and tables, bytes too many or too few. */
const dentedArb = fc
  .tuple(
    channelArb,
    usefulMethodArb,
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
    fc.integer({ min: -4, max: 4 }),
  )
  .map(([channel, useful, dents, grow]) => {
    const frame = methodBytes(channel, useful);
    const payload = frame.slice(7, frame.length - 1);
    // The class and the method stay, so that it is taken for what it was.
    for (const [place, value] of dents) if (payload.length > 4) payload[4 + (place % (payload.length - 4))] = value;
    const resized = new Uint8Array(Math.max(0, payload.length + grow));
    resized.set(payload.subarray(0, resized.length));
    return frameBytes(1, channel, resized);
  });

const deepArb = fc.tuple(fc.constantFrom('A', 'F'), fc.integer({ min: 1, max: 400 })).map(([letter, depth]) => {
  let value: FieldValue = { type: 'void' };
  for (let i = 0; i < depth; i++) {
    value = letter === 'A' ? { type: 'array', value: [value] } : { type: 'table', value: new Map([['k', value]]) };
  }
  const declare = { queue: 'q', passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false };
  return methodBytes(1, { name: 'queue.declare', ...declare, arguments: new Map([['deep', value]]) });
});

const frameArb = fc.oneof(
  { weight: 6, arbitrary: publishArb },
  {
    weight: 12,
    arbitrary: fc.tuple(channelArb, usefulMethodArb).map(([channel, useful]) => methodBytes(channel, useful)),
  },
  { weight: 2, arbitrary: dentedArb },
  { weight: 1, arbitrary: deepArb },
  { weight: 1, arbitrary: fc.tuple(channelArb, methodArb).map(([channel, any]) => methodBytes(channel, any)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(1, 2, 3, 8, 4, 0), channelArb, fc.uint8Array({ maxLength: 30 }))
      .map(([type, channel, payload]) => frameBytes(type, channel, payload)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
);

/** Sent after the handshake. Now and then a byte is changed, or the end is missing. */
export const conversationArb: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.array(frameArb, { maxLength: 16 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
    fc.nat(5),
    fc.nat(),
  )
  .map(([frames, changes, dice, end]) => {
    const bytes = joined(...(dice === 2 ? [] : [methodBytes(2, { name: 'channel.open' })]), ...frames);
    if (dice === 0) for (const [place, value] of changes) if (bytes.length > 0) bytes[place % bytes.length] = value;
    return dice === 1 ? bytes.slice(0, end % (bytes.length + 1)) : bytes;
  });
