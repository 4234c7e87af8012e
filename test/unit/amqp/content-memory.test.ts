import { expect, it } from 'vitest';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { frameBytes, joined, methodBytes, readAll } from '../../support/amqp-client.ts';
import { HANDSHAKE, openConnection, TestConnection } from '../../support/amqp-transcript.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';

const KIB = 1024;
/** A publish of 10 KiB of which `bytes` have come. */
function begun(channel: number, bytes: number): Uint8Array {
  const header = new Uint8Array(14);
  new DataView(header.buffer).setUint16(0, 60);
  new DataView(header.buffer).setUint32(8, 10 * KIB);
  return joined(
    methodBytes(channel, { name: 'basic.publish', exchange: '', routingKey: 'q', mandatory: false, immediate: false }),
    frameBytes(2, channel, header),
    frameBytes(3, channel, new Uint8Array(bytes)),
  );
}

async function openChannels(connection: TestConnection, count: number): Promise<void> {
  for (let channel = 2; channel <= count; channel++) connection.push(methodBytes(channel, { name: 'channel.open' }));
  await connection.turn();
}

it('ends a connection whose channels keep too much of messages that are not complete', async () => {
  const connection = await openConnection({ unfinishedBytesMax: 20 * KIB, messageBytesMax: 10 * KIB });
  await openChannels(connection, 4);
  for (const channel of [1, 2]) connection.push(begun(channel, 9 * KIB));
  expect(readAll(await connection.turn())).toEqual([]);
  connection.push(begun(3, 9 * KIB));
  const close = readAll(await connection.turn()).at(-1)!.method;
  expect(close).toMatchObject({ name: 'connection.close', replyCode: 506 });
  expect(connection.serverContent.bytes).toBe(0);
});

it('forgets what it kept when the message is complete', async () => {
  const connection = await openConnection({ unfinishedBytesMax: 20 * KIB, messageBytesMax: 10 * KIB });
  connection.push(begun(1, 9 * KIB));
  expect(connection.serverContent.bytes).toBe(9 * KIB);
  connection.push(frameBytes(3, 1, new Uint8Array(KIB)));
  expect(connection.serverContent.bytes).toBe(0);
});

it('tells a client that connects during an alarm that it is blocked, and when it no longer is', async () => {
  const broker = new MemoryBroker();
  broker.hold({ kind: 'alarm', text: 'low on disk' });
  const connection = new TestConnection({}, broker);
  connection.push(new Uint8Array(PROTOCOL_HEADER));
  const seen: unknown[] = [];

  for (const method of HANDSHAKE) {
    connection.push(methodBytes(0, method));
    seen.push(...readAll(await connection.turn()).map(({ method: read }) => read));
  }
  expect(seen.slice(-2)).toMatchObject([
    { name: 'connection.open-ok' },
    { name: 'connection.blocked', reason: 'low on disk' },
  ]);
  broker.resume();
  expect(readAll(await connection.turn())).toMatchObject([{ method: { name: 'connection.unblocked' } }]);
});
