import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Encode } from '../../../src/lib/bytes.ts';
import { encodeProperties } from '../../../src/protocols/amqp/properties.ts';
import { cut, propertiesArb } from '../../support/amqp-arbitraries.ts';
import { contentBytes, frameBytes, joined, methodBytes } from '../../support/amqp-client.ts';
import { openConnection } from '../../support/amqp-transcript.ts';

const declare = { name: 'queue.declare', passive: false, durable: false, exclusive: false, autoDelete: false } as const;
const publishTo = (routingKey: string) =>
  ({ name: 'basic.publish', exchange: '', routingKey, mandatory: false, immediate: false }) as const;

describe('a stream of publishes', () => {
  it('fills the queues with the same messages however its bytes are cut and whenever publishes are held', async () => {
    const messageArb = fc.record({
      queue: fc.constantFrom('q', 'other'),
      properties: propertiesArb.map(encodeProperties),
      body: fc.uint8Array({ minLength: 1, maxLength: 60 }),
      frames: fc.array(fc.nat(), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(messageArb),
        fc.array(fc.nat()),
        fc.array(fc.boolean()),
        async (messages, places, holds) => {
          const connection = await openConnection();
          const declares = ['q', 'other'].map(queue =>
            methodBytes(1, { ...declare, queue, noWait: true, arguments: new Map() }),
          );
          const publishes = messages.map(({ queue, properties, body, frames }) => {
            const pieces = cut(body, frames).filter(piece => piece.length > 0);
            const whole = contentBytes(1, publishTo(queue), properties, body);
            const bodyStart = whole.length - body.length - 8;
            return joined(whole.slice(0, bodyStart), ...pieces.map(piece => frameBytes(3, 1, piece)));
          });
          const stream = joined(...declares, ...publishes);
          for (const [i, chunk] of cut(stream, places).entries()) {
            if (holds[i] === true) connection.broker.hold({ kind: 'backlog' });
            connection.push(chunk);
            if (holds[i] !== true) continue;
            await connection.turn();
            connection.broker.resume();
            await connection.turn();
          }
          await connection.turn();
          for (const name of ['q', 'other']) {
            const sent = messages.filter(({ queue }) => queue === name);
            const stored = connection.broker.queues.get(name)!.ready.map(({ content }) => content);
            expect(stored).toEqual(sent.map(({ properties, body }) => blockOf(name, properties, body)));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

function blockOf(routingKey: string, properties: Uint8Array, body: Uint8Array): Uint8Array {
  const key = utf8Encode(routingKey);
  const length = properties.length;
  return joined(
    new Uint8Array([0, key.length]),
    key,
    new Uint8Array([0, 0, length >> 8, length & 255]),
    properties,
    body,
  );
}
