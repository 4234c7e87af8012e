import { create } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminService } from '../../../src/gen/warren/v1/admin_pb.ts';
import { SystemClock } from '../../../src/lib/clock.ts';
import type { Management } from '../../../src/management/management.ts';
import { SystemPasswordHasher } from '../../../src/password-hasher.ts';
import { GrpcServer } from '../../../src/protocols/grpc/server.ts';
import { grpcMethod } from '../../../src/protocols/grpc/service-methods.ts';
import { type LocalManagement, localManagement } from '../../support/management.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';
import { propertyCodec } from '../../support/property-codec.ts';

type Methods = typeof AdminService.method;

let local: LocalManagement;
let management: Management | undefined;
let server: GrpcServer;
let client: Client;

beforeEach(async () => {
  local = localManagement();
  management = local.management;
  const passwords = new SystemPasswordHasher();
  const broker = new MemoryBroker();
  broker.authenticate = (user, password) =>
    passwords.matches(password, local.gateway.access.user(user)?.password)
      ? undefined
      : { code: 'access-refused', text: '' };
  server = new GrpcServer(
    { host: '127.0.0.1', port: 0 },
    {
      broker,
      clock: new SystemClock(),
      logger: { info() {}, warn() {}, error() {} },
      propertyCodec,
      status: { status: async () => undefined },
      management: () => management,
    },
  );
  client = new Client(`127.0.0.1:${await server.listen()}`, credentials.createInsecure());
  await local.management.administration.putUser({ user: 'watcher', password: { clear: 'w' }, tags: ['monitoring'] });
  await local.management.administration.putUser({ user: 'worker', password: { clear: 'w' }, tags: ['management'] });
});

afterEach(async () => {
  client.close();
  await server.close();
});

function metadataOf(user: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Basic ${Buffer.from(user).toString('base64')}`);
  return metadata;
}

/** All answers of a call, whatever its kind, to one request; or the error's code. */
function ask(
  name: keyof Methods,
  request: object = {},
  user = 'guest:guest',
): Promise<Record<string, unknown>[] | status> {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(AdminService.method[name]);
  const message = create(AdminService.method[name].input, request as never);
  const call = client.makeBidiStreamRequest(
    path,
    requestSerialize as (value: object) => Buffer,
    responseDeserialize as (bytes: Buffer) => Record<string, unknown>,
    metadataOf(user),
  );
  call.write(message);
  call.end();
  return new Promise(resolve => {
    const answers: Record<string, unknown>[] = [];
    call.on('data', (answer: Record<string, unknown>) => answers.push(answer));
    call.on('end', () => {});
    call.on('error', (error: ServiceError) => resolve(error.code));
    call.on('status', ({ code }: { code: status }) => {
      if (code === status.OK) resolve(answers);
    });
  });
}

describe('who may ask', () => {
  const lists = [
    'listVhosts',
    'listConnections',
    'listChannels',
    'listConsumers',
    'listQueues',
    'listExchanges',
    'listBindings',
  ];
  const rest = Object.keys(AdminService.method).filter(name => name !== 'getStatus' && !lists.includes(name));

  it.each(lists)('%s: administrators and those who monitor', async name => {
    expect(Array.isArray(await ask(name as keyof Methods))).toBe(true);
    expect(Array.isArray(await ask(name as keyof Methods, {}, 'watcher:w'))).toBe(true);
    expect(await ask(name as keyof Methods, {}, 'worker:w')).toBe(status.PERMISSION_DENIED);
    expect(await ask(name as keyof Methods, {}, 'guest:wrong')).toBe(status.UNAUTHENTICATED);
  });

  it.each(rest)('%s: administrators alone', async name => {
    expect(await ask(name as keyof Methods)).not.toBe(status.PERMISSION_DENIED);
    expect(await ask(name as keyof Methods, {}, 'watcher:w')).toBe(status.PERMISSION_DENIED);
    expect(await ask(name as keyof Methods, {}, 'guest:wrong')).toBe(status.UNAUTHENTICATED);
  });

  it('nobody, while the node has no place in the cluster', async () => {
    management = undefined;
    expect(await ask('listUsers')).toBe(status.UNAVAILABLE);
    expect(await ask('importDefinitions', { json: '{}' })).toBe(status.UNAVAILABLE);
  });
});

describe('changes', () => {
  const change = (name: string, value: object) => ask('changeAccess', { change: { case: name, value } });

  it('add, change and delete users', async () => {
    expect(await change('putUser', { name: 'u', mustBeNew: true })).toBe(status.INVALID_ARGUMENT);
    const password = { case: 'clear', value: 's' };
    expect(await change('putUser', { name: 'u', mustBeNew: true, password, tags: { tags: ['t'] } })).toEqual([
      expect.anything(),
    ]);
    expect(await change('putUser', { name: 'u', mustBeNew: true, password })).toBe(status.ALREADY_EXISTS);
    expect(await change('putUser', { name: 'none', mustBeNew: false, password })).toBe(status.NOT_FOUND);
    const before = local.gateway.access.user('u')?.password;
    await change('putUser', { name: 'u', mustBeNew: false, tags: { tags: [] } });
    expect(local.gateway.access.user('u')).toMatchObject({ tags: [], password: before });
    await change('putUser', { name: 'u', mustBeNew: false, password: { case: 'none', value: true } });
    expect(local.gateway.access.user('u')?.password).toBeUndefined();
    await change('deleteUser', { name: 'u' });
    expect(local.gateway.access.user('u')).toBeUndefined();
    expect(await change('deleteUser', { name: 'u' })).toBe(status.NOT_FOUND);
  });

  it('set some limits and take others away; those that do not fit are refused', async () => {
    await change('changeVhostLimits', { name: '/', set: { maxQueues: 5, maxConnections: 7 } });
    await change('changeVhostLimits', { name: '/', clear: ['max-connections'] });
    expect(local.gateway.access.vhost('/')?.limits).toEqual({ queuesMax: 5, connectionsMax: undefined });
    expect(await change('changeVhostLimits', { name: '/', set: { maxChannels: 1 } })).toBe(status.INVALID_ARGUMENT);
    expect(await change('changeUserLimits', { name: 'guest', clear: ['max-queues'] })).toBe(status.INVALID_ARGUMENT);
    expect(await change('changeUserLimits', { name: 'none', set: { maxChannels: 1 } })).toBe(status.NOT_FOUND);
  });

  it('without anything in them are refused', async () => {
    expect(await ask('changeAccess')).toBe(status.INVALID_ARGUMENT);
  });

  it('close connections by their ids', async () => {
    expect(await ask('closeConnection', { id: '1.1.1', reason: 'because' })).toEqual([expect.anything()]);
    expect(await ask('closeConnection', { id: '1.1.2' })).toBe(status.NOT_FOUND);
    for (const id of ['', '1', '1.1', 'a.b.c', '1.1.1.1', '-1.1.1']) {
      expect(await ask('closeConnection', { id })).toBe(status.INVALID_ARGUMENT);
    }
    expect(local.closed).toEqual(['1: because', '2: closed by an operator']);
  });
});

describe('lists', () => {
  it('of 3,000 queues come in pages, each small', async () => {
    const owner = { ...local.gateway.self, connection: 1 };
    const flags = { vhost: '/', durable: true, exclusive: false, autoDelete: false, serverNamed: false, owner };
    await Promise.all(
      Array.from({ length: 3_000 }, (_, i) =>
        local.gateway.declareQueue({ ...flags, name: `q${i}`, arguments: new Map() }),
      ),
    );
    const pages = (await ask('listQueues', { vhost: '/' })) as unknown as {
      queues: { name: string; leader: string }[];
    }[];
    expect(pages.flatMap(({ queues }) => queues)).toHaveLength(3_000);
    expect(Math.max(...pages.map(({ queues }) => queues.length))).toBeLessThanOrEqual(200);
    expect(pages[0]?.queues[0]).toMatchObject({ name: 'q0', leader: 'warren-0', ready: 1n, unacked: 2n, consumers: 3 });
    expect(await ask('listQueues', { vhost: 'other' })).toEqual([]);
  });
});

describe('an import', () => {
  it('goes on for who began it, though that user changes on the way', async () => {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(AdminService.method.importDefinitions);
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadataOf('guest:guest'));
    const answers = call[Symbol.asyncIterator]();
    const send = async (document: object) => {
      call.write(create(AdminService.method.importDefinitions.input, { json: JSON.stringify(document) }));
      return (await answers.next()).value.results;
    };
    expect(await send({ users: [{ name: 'guest', password: 'another', tags: '' }] })).toMatchObject([
      { item: "user 'guest'" },
    ]);
    expect(await send({ vhosts: [{ name: 'v' }] })).toMatchObject([{ item: "vhost 'v'" }]);
    call.end();
    expect((await answers.next()).done).toBe(true);
    expect(await ask('importDefinitions', { json: '{}' })).toBe(status.UNAUTHENTICATED);
  });

  it('of what is no document is refused', async () => {
    for (const json of ['', '[]', '{"queues":1}']) {
      expect(await ask('importDefinitions', { json })).toBe(status.INVALID_ARGUMENT);
    }
  });
});
