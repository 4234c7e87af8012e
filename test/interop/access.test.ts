import type { Channel, ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enter, plain } from '../support/handshake.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/** A real client against three nodes: users alice and bob, vhosts `/` and shop. */
let cluster: RunningCluster;

const ALL = { configure: '.*', write: '.*', read: '.*' };

beforeAll(async () => {
  cluster = await RunningCluster.start(3);
  const administration = cluster.administration();
  for (const user of ['alice', 'bob']) await administration.putUser({ user, password: { clear: user } });
  await administration.putVhost({ vhost: 'shop', description: '', tags: [] });
  await administration.setPermissions({ user: 'bob', vhost: '/', ...ALL });
  await administration.setPermissions({ user: 'bob', vhost: 'shop', ...ALL });
  await administration.setPermissions({
    user: 'alice',
    vhost: '/',
    configure: '^(alice|amq\\.gen)',
    write: '^(alice|amq\\.direct)',
    read: '^(alice|amq\\.direct)',
  });
}, 60_000);

afterAll(() => cluster.stop());

/** How an operation on a channel of its own ends: `ok`, or the broker's words. */
async function outcome(client: ChannelModel, operation: (channel: Channel) => Promise<unknown>): Promise<string> {
  const channel = await client.createConfirmChannel();
  const failed = new Promise<string>(resolve => channel.once('error', (error: Error) => resolve(error.message)));
  const done = operation(channel).then(
    () => 'ok',
    () => failed,
  );
  const text = await Promise.race([done, failed]);
  if (text === 'ok') await channel.close();
  return text.replace(/^.* with message "(.*)"$/, '$1');
}

const publish = (exchange: string, routingKey: string) => async (channel: Channel) => {
  channel.publish(exchange, routingKey, Buffer.from('x'));
  await (channel as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms();
};

const LOGIN_REFUSED =
  '403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.';

describe('who enters', () => {
  it.each([
    ['guest', plain('guest'), '/', 'open'],
    ['a wrong password', plain('alice', 'bob'), '/', LOGIN_REFUSED],
    ['an unknown user', plain('carol'), '/', LOGIN_REFUSED],
    ['a missing vhost', plain('alice'), 'nowhere', '530 NOT_ALLOWED - vhost nowhere not found'],
    [
      'a vhost without permission',
      plain('alice'),
      'shop',
      "530 NOT_ALLOWED - access to vhost 'shop' refused for user 'alice'",
    ],
    ['another vhost', plain('bob'), 'shop', 'open'],
  ])('%s', async (_, response, vhost, expected) => {
    expect(await enter(cluster.ports[2]!.amqp, { response, vhost })).toBe(expected);
  });

  it('says nothing to a client that does not know the reply to a refused login', async () => {
    expect(await enter(cluster.ports[0]!.amqp, { response: plain('alice', 'no'), isTold: false })).toBe('closed');
  });

  it('is let in with a hash that RabbitMQ made, on every node once that is answered', async () => {
    const hash = 'd2Fycg/mEkHejBhwT2TESLC0I72WJK5djSfz+byMJddMQLtL';
    const administration = cluster.administration(1);
    const password = { hashing: 'rabbit_password_hashing_sha256', hash } as const;
    await administration.putUser({ user: 'imported', password });
    await administration.setPermissions({ user: 'imported', vhost: '/', ...ALL });
    for (const { amqp } of cluster.ports)
      expect(await enter(amqp, { response: plain('imported', 'guest') })).toBe('open');
    await administration.putUser({ user: 'imported', password: 'none' });
    for (const { amqp } of cluster.ports) {
      expect(await enter(amqp, { response: plain('imported', 'guest') })).toBe(LOGIN_REFUSED);
    }
  });
});

it('negotiates channels and frames as the configuration says', async () => {
  const other = await RunningCluster.start(1, { channelMax: 2, frameBytesMax: 8192 });
  const { amqp } = other.ports[0]!;
  expect(await enter(amqp, { response: plain('guest'), channels: 2 })).toBe('open with 2 channels');
  expect(await enter(amqp, { response: plain('guest'), channels: 3 })).toBe(
    '530 NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (2)',
  );
  await other.stop();
}, 30_000);

describe('what alice may do', () => {
  const refused = (what: string): string => `ACCESS_REFUSED - access to ${what} in vhost '/' refused for user 'alice'`;

  beforeAll(async () => {
    const guest = await cluster.connect('guest');
    const channel = await guest.createChannel();
    await channel.assertQueue('secret');
    await channel.assertExchange('secret', 'direct');
    await guest.close();
    const pattern = '^{username}\\.';
    await cluster
      .administration()
      .setTopicPermissions({ user: 'alice', vhost: '/', exchange: 'alice-topic', write: pattern, read: pattern });
    const alice = await cluster.connect('alice');
    await (await alice.createChannel()).assertExchange('alice-topic', 'topic');
    await alice.close();
  });

  it.each<[string, (channel: Channel) => Promise<unknown>, string]>([
    ['declare her queue', channel => channel.assertQueue('alice-q'), 'ok'],
    ['declare a queue', channel => channel.assertQueue('q'), refused("queue 'q'")],
    ['look at any queue', channel => channel.checkQueue('secret'), 'ok'],
    ['have a queue named', channel => channel.assertQueue('', { exclusive: true }), 'ok'],
    ['delete a queue', channel => channel.deleteQueue('secret'), refused("queue 'secret'")],
    ['purge a queue', channel => channel.purgeQueue('secret'), refused("queue 'secret'")],
    ['get a message', channel => channel.get('secret'), refused("queue 'secret'")],
    ['consume', channel => channel.consume('secret', () => {}), refused("queue 'secret'")],
    ['declare an exchange', channel => channel.assertExchange('x', 'direct'), refused("exchange 'x'")],
    ['delete an exchange', channel => channel.deleteExchange('secret'), refused("exchange 'secret'")],
    ['bind a queue of others', channel => channel.bindQueue('secret', 'amq.direct', ''), refused("queue 'secret'")],
    [
      'bind to an exchange of others',
      channel => channel.bindQueue('alice-q', 'secret', ''),
      refused("exchange 'secret'"),
    ],
    ['publish to hers', publish('amq.direct', 'k'), 'ok'],
    ['publish to others', publish('secret', 'k'), refused("exchange 'secret'")],
    ['publish to no exchange', publish('nothing', 'k'), refused("exchange 'nothing'")],
    ['publish to the default exchange', publish('', 'alice-q'), refused("exchange 'amq.default'")],
    ['publish her topic', publish('alice-topic', 'alice.1'), 'ok'],
    ['publish a topic', publish('alice-topic', 'bob.1'), refused("topic 'bob.1' in exchange 'alice-topic'")],
    [
      'bind a topic',
      channel => channel.bindQueue('alice-q', 'alice-topic', '#'),
      refused("topic '#' in exchange 'alice-topic'"),
    ],
    [
      'declare an alternate exchange',
      channel => channel.assertExchange('alice-x', 'direct', { alternateExchange: 'secret' }),
      refused("exchange 'secret'"),
    ],
  ])('%s', async (_, operation, expected) => {
    const alice = await cluster.connect('alice', { node: 1 });
    expect(await outcome(alice, operation)).toBe(expected);
    await alice.close();
  });
});

it('feels a permission that is given or taken on another node with the next operation of an open channel', async () => {
  const bob = await cluster.connect('bob', { node: 2 });
  expect(await outcome(bob, publish('amq.direct', 'k'))).toBe('ok');
  const channel = await bob.createConfirmChannel();
  const failed = new Promise<Error>(resolve => channel.once('error', resolve));
  channel.publish('amq.direct', 'k', Buffer.from('x'));
  await channel.waitForConfirms();
  await cluster.administration(0).setPermissions({ user: 'bob', vhost: '/', ...ALL, write: '^nothing$' });
  channel.publish('amq.direct', 'k', Buffer.from('x'));
  expect((await failed).message).toContain("access to exchange 'amq.direct' in vhost '/' refused for user 'bob'");
  await cluster.administration(1).setPermissions({ user: 'bob', vhost: '/', ...ALL });
  expect(await outcome(bob, publish('amq.direct', 'k'))).toBe('ok');
});

describe('limits', () => {
  it('of queues in a vhost', async () => {
    await cluster.administration().putVhost({ vhost: 'small', description: '', tags: [] });
    await cluster.administration().setPermissions({ user: 'bob', vhost: 'small', ...ALL });
    await cluster.administration().setVhostLimits('small', { queuesMax: 1 });
    const bob = await cluster.connect('bob', { vhost: 'small', node: 1 });
    expect(await outcome(bob, channel => channel.assertQueue('first'))).toBe('ok');
    expect(await outcome(bob, channel => channel.assertQueue('first'))).toBe('ok');
    expect(await outcome(bob, channel => channel.assertQueue('second'))).toBe(
      "PRECONDITION_FAILED - cannot declare queue 'second': queue limit in vhost 'small' (1) is reached",
    );
  });

  it('of connections to a vhost, over all nodes', async () => {
    await cluster.administration().putVhost({ vhost: 'narrow', description: '', tags: [] });
    await cluster.administration().setPermissions({ user: 'bob', vhost: 'narrow', ...ALL });
    await cluster.administration().setVhostLimits('narrow', { connectionsMax: 1 });
    const bob = await cluster.connect('bob', { vhost: 'narrow', node: 0 });
    const request = { response: plain('bob'), vhost: 'narrow' };
    const text = "530 NOT_ALLOWED - access to vhost 'narrow' refused for user 'bob': connection limit (1) is reached";
    expect(await enter(cluster.ports[0]!.amqp, request)).toBe(text);
    // The other nodes hear of it with the next tick.
    await expect.poll(() => enter(cluster.ports[2]!.amqp, request), { timeout: 5_000 }).toBe(text);
    await bob.close();
    await expect.poll(() => enter(cluster.ports[2]!.amqp, request), { timeout: 5_000 }).toBe('open');
  });

  it('of connections and channels of a user', async () => {
    const administration = cluster.administration();
    await administration.putUser({ user: 'carol', password: { clear: 'carol' } });
    await administration.setPermissions({ user: 'carol', vhost: '/', ...ALL });
    await administration.setUserLimits('carol', { channelsMax: 2 });
    const { amqp } = cluster.ports[1]!;
    const response = plain('carol');
    expect(await enter(amqp, { response, channels: 2 })).toBe('open with 2 channels');
    await expect
      .poll(() => enter(amqp, { response, channels: 3 }), { timeout: 5_000 })
      .toBe(
        "530 NOT_ALLOWED - number of channels opened for user 'carol' has reached the maximum allowed user limit of (2)",
      );
    await administration.setUserLimits('carol', { connectionsMax: 0 });
    expect(await enter(amqp, { response })).toBe(
      "530 NOT_ALLOWED - connection refused for user 'carol': user connection limit (0) is reached",
    );
    await administration.setUserLimits('carol', {});
    expect(await enter(amqp, { response, channels: 3 })).toBe('open with 3 channels');
  });
});

describe('a message in the name of another user', () => {
  const inBobsName = async (channel: Channel): Promise<void> => {
    channel.publish('', 'nowhere', Buffer.from('x'), { userId: 'bob' });
    await channel.checkExchange('amq.direct');
  };

  it('is refused, unless the publisher has the tag `impersonator` at that moment', async () => {
    const administration = cluster.administration();
    await administration.putUser({ user: 'erin', password: { clear: 'erin' }, tags: ['administrator'] });
    await administration.setPermissions({ user: 'erin', vhost: '/', ...ALL });
    const erin = await cluster.connect('erin', { node: 1 });
    const refused = "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'erin'";
    expect(await outcome(erin, inBobsName)).toBe(refused);
    await administration.putUser({ user: 'erin', password: { clear: 'erin' }, tags: ['impersonator'] });
    await expect.poll(() => outcome(erin, inBobsName)).toBe('ok');
    await administration.putUser({ user: 'erin', password: { clear: 'erin' }, tags: [] });
    await expect.poll(() => outcome(erin, inBobsName)).toBe(refused);
  });
});

describe('the end', () => {
  const closed = (client: ChannelModel): Promise<Error> => new Promise(resolve => client.once('close', resolve));

  it('of a user ends its connections on all nodes', async () => {
    await cluster.administration().putUser({ user: 'dave', password: { clear: 'dave' } });
    await cluster.administration().setPermissions({ user: 'dave', vhost: '/', ...ALL });
    const clients = await Promise.all([0, 1, 2].map(node => cluster.connect('dave', { node })));
    const ends = clients.map(closed);
    await cluster.administration(1).deleteUser('dave');
    for (const end of ends) expect((await end).message).toContain("CONNECTION_FORCED - user 'dave' is deleted");
    expect(await enter(cluster.ports[0]!.amqp, { response: plain('dave') })).toBe(LOGIN_REFUSED);
  });

  it('of a vhost ends its connections and everything in it, and a new one of its name is empty', async () => {
    const administration = cluster.administration(2);
    await administration.putVhost({ vhost: 'gone', description: '', tags: [] });
    await administration.setPermissions({ user: 'bob', vhost: 'gone', ...ALL });
    const bob = await cluster.connect('bob', { vhost: 'gone' });
    const channel = await bob.createConfirmChannel();
    await channel.assertExchange('events', 'topic');
    for (let i = 0; i < 20; i++) {
      await channel.assertQueue(`q-${i}`, { durable: i % 2 === 0 });
      await channel.bindQueue(`q-${i}`, 'events', '#');
    }
    channel.publish('events', 'k', Buffer.from('x'), { persistent: true });
    await channel.waitForConfirms();
    const end = closed(bob);
    expect(await administration.deleteVhost('gone')).toEqual({ ok: true, value: undefined });
    expect((await end).message).toContain("CONNECTION_FORCED - vhost 'gone' is deleted");
    for (const { amqp } of cluster.ports) {
      expect(await enter(amqp, { response: plain('bob'), vhost: 'gone' })).toBe(
        '530 NOT_ALLOWED - vhost gone not found',
      );
    }
    await administration.putVhost({ vhost: 'gone', description: '', tags: [] });
    expect(administration.view.permission('bob', 'gone')).toBeUndefined();
    await administration.setPermissions({ user: 'bob', vhost: 'gone', ...ALL });
    const again = await cluster.connect('bob', { vhost: 'gone', node: 1 });
    expect(await outcome(again, other => other.checkQueue('q-0'))).toBe("NOT_FOUND - no queue 'q-0' in vhost 'gone'");
    const fresh = await again.createChannel();
    expect(await fresh.assertQueue('q-0')).toMatchObject({ messageCount: 0 });
  });
});
