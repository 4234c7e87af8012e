import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../src/lib/clock.ts';
import { GrpcServer } from '../../../src/protocols/grpc/server.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';
import { propertyCodec } from '../../support/property-codec.ts';

const logger = { info() {}, warn() {}, error() {} };
let server: GrpcServer;
let client: Client;

beforeEach(async () => {
  const deps = {
    broker: new MemoryBroker(),
    clock: new SystemClock(),
    logger,
    propertyCodec,
    status: { status: async () => undefined },
    management: () => undefined,
  };
  server = new GrpcServer({ host: '127.0.0.1', port: 0 }, deps);
  client = new Client(`127.0.0.1:${await server.listen()}`, credentials.createInsecure());
});

afterEach(async () => {
  client.close();
  await server.close();
});

/**
 * `grpc.reflection.v1.ServerReflectionRequest` and its response by hand, as grpcurl speaks them: requests have one string
 * (field 4: a symbol, field 7: list services); of the response the files (field 4) or services (field 6) are read.
 */
function reflect(field: number, text: string): Promise<Buffer> {
  const encode = (): Buffer => Buffer.concat([Buffer.from([(field << 3) | 2, text.length]), Buffer.from(text)]);
  const identity = (bytes: Buffer): Buffer => bytes;
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest<string, Buffer>(path, encode, identity);
    call.on('data', (response: Buffer) => {
      call.end();
      resolve(response);
    });
    call.on('error', reject);
    call.write(text);
  });
}

/** Length-delimited fields with this number, one level deep. */
function fieldsOf(bytes: Buffer, wanted: number): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = varint();
    if ((tag & 7) !== 2) continue;
    if (tag >> 3 === wanted) found.push(bytes.subarray(at, at + length));
    at += length;
  }
  return found;
}

it('reflection lists the services', async () => {
  const [list] = fieldsOf(await reflect(7, '*'), 6);
  const names = fieldsOf(list!, 1).map(service => fieldsOf(service, 1)[0]!.toString());
  expect(names).toEqual(
    expect.arrayContaining(['warren.v1.BrokerService', 'warren.v1.AdminService', 'grpc.health.v1.Health']),
  );
});

it('reflection gives the files behind the client API', async () => {
  const [answer] = fieldsOf(await reflect(4, 'warren.v1.BrokerService'), 4);
  const files = fieldsOf(answer!, 1).map((file): FileDescriptorProto => fromBinary(FileDescriptorProtoSchema, file));
  const service = files.flatMap(file => file.service).find(({ name }) => name === 'BrokerService');
  expect(service?.method.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Publish', 'Consume', 'DescribeQueue']),
  );
  const messages = files.flatMap(file => file.messageType).map(({ name }) => name);
  expect(messages).toEqual(expect.arrayContaining(['PublishRequest', 'Message', 'FieldValue']));
});

it('reflection gives the files behind the status service', async () => {
  const [answer] = fieldsOf(await reflect(4, 'warren.v1.AdminService'), 4);
  const files = fieldsOf(answer!, 1).map((file): FileDescriptorProto => fromBinary(FileDescriptorProtoSchema, file));
  expect(files.flatMap(file => file.service).flatMap(({ method }) => method.map(({ name }) => name))).toContain(
    'GetStatus',
  );
});

it('the health service says what the node says', async () => {
  const loaded = loadPackageDefinition({ Health: healthService } as never);
  const Health = loaded.Health as unknown as ServiceClientConstructor;
  const health = new Health('unused', credentials.createInsecure(), { channelOverride: client.getChannel() });
  const check = (service: string): Promise<{ status: string }> =>
    new Promise((resolve, reject) =>
      (health as unknown as Record<string, (...args: unknown[]) => void>).check!(
        { service },
        (error: Error | null, response: { status: string }) => (error === null ? resolve(response) : reject(error)),
      ),
    );
  expect(await check('')).toEqual({ status: 'SERVING' });
  server.setServing(false);
  expect(await check('warren.v1.BrokerService')).toEqual({ status: 'NOT_SERVING' });
  await expect(check('other')).rejects.toThrow(/NOT_FOUND/);
});
