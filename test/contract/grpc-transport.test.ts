import { createServer } from 'node:net';
import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { GrpcTransport } from '../../src/cluster/transport/grpc-transport.ts';
import { LANE_METHODS } from '../../src/cluster/transport/node-service.ts';
import { widenReceiveWindow } from '../../src/cluster/transport/receive-window.ts';
import { SystemClock } from '../../src/lib/clock.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { RecordingListener } from '../support/recording-listener.ts';
import { type TransportHarness, transportContract } from './transport.contract.ts';

const MEBIBYTE = 1024 * 1024;
const BOUNDS = { control: MEBIBYTE, log: 64 * MEBIBYTE, clients: 64 * MEBIBYTE };

/** A port that was free a moment ago, so that a node can come back at the same address. */
function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function makeHarness(): Promise<TransportHarness> {
  const ports = new Map<string, number>();
  return {
    async transport(place, secret, listener) {
      const port = ports.get(place) ?? (await freePort());
      ports.set(place, port);
      const transport = new GrpcTransport(
        { listenHost: '127.0.0.1', listenPort: port, secret, bounds: BOUNDS },
        { listener, clock: new SystemClock(), random: new SeededRandom(port) },
      );
      return { transport, address: `127.0.0.1:${port}` };
    },
    async close() {},
  };
}

transportContract('the transport over gRPC', makeHarness);

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

it('says which port is in use when it cannot listen', async () => {
  const taken = createServer();
  opened.push(taken);
  const port = await freePort();
  await new Promise<void>(resolve => taken.listen(port, '127.0.0.1', resolve));
  const listener = new RecordingListener(() => {
    throw new Error('not asked');
  });
  const transport = new GrpcTransport(
    { listenHost: '127.0.0.1', listenPort: port, secret: '', bounds: BOUNDS },
    { listener, clock: new SystemClock(), random: new SeededRandom(1) },
  );
  opened.push(transport);
  expect(await transport.start()).toEqual({
    ok: false,
    code: 'port-in-use',
    text: `port ${port} of 127.0.0.1 is in use by another process`,
  });
});

it('finds the connection under a call of this grpc-js, to widen its window', async () => {
  const { path, requestSerialize, requestDeserialize } = LANE_METHODS.log;
  const server = new Server();
  const widened = new Promise<boolean>(resolve => {
    const handler = (call: ServerDuplexStream<Buffer, Buffer>): void => resolve(widenReceiveWindow(call, 1024 * 1024));
    server.register(path, handler, requestSerialize, requestDeserialize, 'bidi');
  });
  opened.push({ close: () => server.forceShutdown() });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  opened.push(client);
  client.makeBidiStreamRequest(path, requestSerialize, requestDeserialize).on('error', () => {});
  expect(await widened).toBe(true);
});
