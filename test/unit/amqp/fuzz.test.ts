import fc from 'fast-check';
import { describe, it } from 'vitest';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { cut, methodArb } from '../../support/amqp-arbitraries.ts';
import { joined, methodBytes, type Received, readAll } from '../../support/amqp-client.ts';
import { openConnection, TestConnection } from '../../support/amqp-transcript.ts';
import { conversationArb } from '../../support/wire-arbitraries.ts';

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
        conversationArb,
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
