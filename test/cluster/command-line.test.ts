import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventually } from './waiting.ts';
import { DevCluster, type WarrenCluster } from './warren-cluster.ts';

const PROGRAM = process.env.BROKER_PROGRAM ?? join(import.meta.dirname, '../../bin/warren.js');
/** Several clusters are started here, beside whatever else the machine does. */
const READY_MS = 90_000;
/** Each command is a process of its own. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 2 * READY_MS });

const FIXTURES = join(import.meta.dirname, '../fixtures/definitions');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

interface Typed {
  /** Which node is asked. */
  readonly node?: string;
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** `warren ...` as a process of its own, against one node. */
function warren(cluster: WarrenCluster, args: readonly string[], typed: Typed = {}): Promise<Ended> {
  const { node = 'warren-0', input = '', environment = {} } = typed;
  const address = ['--address', `127.0.0.1:${cluster.node(node).grpc}`];
  const separator = args.indexOf('--');
  const words =
    separator < 0 ? [...args, ...address] : [...args.slice(0, separator), ...address, ...args.slice(separator)];
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  child.stderr.on('data', chunk => {
    error += String(chunk);
  });
  child.stdin.end(input);
  return new Promise(resolve => child.once('close', code => resolve({ code, out, error })));
}

/** What it prints as JSON, when it succeeds. */
async function listed<Row>(cluster: WarrenCluster, args: readonly string[], typed: Typed = {}): Promise<Row[]> {
  const ended = await warren(cluster, [...args, '--json'], typed);
  expect(ended).toMatchObject({ code: 0, error: '' });
  return JSON.parse(ended.out) as Row[];
}

const DONE = { code: 0, out: '', error: '' };

describe('the command line', () => {
  let cluster: DevCluster;
  const clients: ChannelModel[] = [];

  async function open(node: string, name: string): Promise<{ client: ChannelModel; channel: Channel }> {
    const properties = { clientProperties: { connection_name: name } };
    const client = await connect({ hostname: '127.0.0.1', port: cluster.node(node).amqp, heartbeat: 30 }, properties);
    client.on('error', () => {});
    clients.push(client);
    const channel = await client.createChannel();
    channel.on('error', () => {});
    return { client, channel };
  }

  beforeAll(async () => {
    cluster = await DevCluster.start({ readyTimeoutMs: READY_MS });
  });

  afterAll(async () => {
    await Promise.allSettled(clients.map(client => client.close()));
    await cluster?.stop();
  });

  it('makes a user who may do what was allowed, on any node, and lets it go', async () => {
    expect(await warren(cluster, ['users', 'add', 'ann', '--tags', 'monitoring'], { input: 'first secret\n' })).toEqual(
      DONE,
    );
    expect(await warren(cluster, ['vhosts', 'add', 'lab', '--description', 'of ann'])).toEqual(DONE);
    expect(await warren(cluster, ['permissions', 'set', 'ann', '--vhost', 'lab', '--', '^ann-', '.*', '.*'])).toEqual(
      DONE,
    );
    expect(await warren(cluster, ['limits', 'set', 'vhost', 'lab', 'max-queues=1'], { node: 'warren-1' })).toEqual(
      DONE,
    );
    const url = `amqp://ann:first%20secret@127.0.0.1:${cluster.node('warren-2').amqp}/lab`;
    const client = await connect(url);
    const isClosed = new Promise<string>(resolve => client.once('close', (error: Error) => resolve(error.message)));
    client.on('error', () => {});
    const channel = await client.createChannel();
    await channel.assertQueue('ann-1');
    channel.on('error', () => {});
    await expect(channel.assertQueue('ann-2')).rejects.toThrow(/queue limit/);
    expect(await listed(cluster, ['limits', 'list'])).toMatchObject([{ of: 'vhost', name: 'lab', maxQueues: 1 }]);
    expect(await listed(cluster, ['permissions', 'list', '--of', 'ann'])).toEqual([
      { user: 'ann', vhost: 'lab', configure: '^ann-', write: '.*', read: '.*' },
    ]);
    expect(await warren(cluster, ['users', 'delete', 'ann'], { node: 'warren-1' })).toEqual(DONE);
    expect(await isClosed).toMatch(/user 'ann' is deleted/);
    expect(await warren(cluster, ['vhosts', 'delete', 'lab'])).toEqual(DONE);
    expect(await listed<{ name: string }>(cluster, ['queues', 'list'])).toEqual([]);
  });

  it('lists what clients of all nodes have open, asked of any node', async () => {
    const { channel } = await open('warren-0', 'publisher');
    const { channel: other } = await open('warren-1', 'consumer');
    await channel.assertQueue('work', { arguments: { note: 'for all' } });
    await channel.assertQueue('own', { exclusive: true });
    await channel.bindQueue('work', 'amq.topic', 'work.#');
    await other.prefetch(3);
    const { consumerTag } = await other.consume('work', () => {}, { arguments: { 'x-priority': 7 } });
    for (let i = 0; i < 5; i++) channel.sendToQueue('work', Buffer.from('message'));
    // Of those of one queue only the first is served.
    await other.assertQueue('in turns', { arguments: { 'x-single-active-consumer': true } });
    for (const tag of ['first', 'second']) await other.consume('in turns', () => {}, { consumerTag: tag });
    const typed = { node: 'warren-2' };
    const queues = await eventually('three deliveries', 10_000, async () => {
      const rows = await listed<{ name: string; unacked: number }>(cluster, ['queues', 'list'], typed);
      return rows.find(({ name }) => name === 'work')?.unacked === 3 ? rows : undefined;
    });
    const connections = await listed<{ id: string; clientName: string }>(cluster, ['connections', 'list'], typed);
    expect(connections).toMatchObject([
      {
        node: 'warren-0',
        clientName: 'publisher',
        user: 'guest',
        vhost: '/',
        product: 'amqplib',
        heartbeatSeconds: 30,
      },
      { node: 'warren-1', clientName: 'consumer', protocol: 'AMQP 0-9-1', state: 'running', channels: 1 },
    ]);
    const idOf = (name: string) => connections.find(({ clientName }) => clientName === name)?.id;
    expect(queues).toMatchObject([
      { name: 'in turns', arguments: { 'x-single-active-consumer': true }, consumers: 2 },
      { name: 'own', durable: false, exclusiveOwner: idOf('publisher'), shard: null, leader: 'warren-0', ready: 0 },
      { name: 'work', durable: true, arguments: { note: 'for all' }, ready: 2, unacked: 3, consumers: 1 },
    ]);
    expect(await listed(cluster, ['channels', 'list'], typed)).toMatchObject([
      { connection: idOf('publisher'), number: 1, consumers: 0, unacked: 0 },
      { connection: idOf('consumer'), number: 1, consumers: 3, unacked: 3, prefetch: 3, globalPrefetch: 0 },
    ]);
    expect(await listed(cluster, ['consumers', 'list', '--vhost', '/'], typed)).toEqual([
      expect.objectContaining({ queue: 'in turns', tag: 'first', active: true }),
      expect.objectContaining({ queue: 'in turns', tag: 'second', active: false }),
      {
        vhost: '/',
        queue: 'work',
        tag: consumerTag,
        connection: idOf('consumer'),
        channel: 1,
        ackRequired: true,
        prefetch: 3,
        unacked: 3,
        exclusive: false,
        active: true,
        arguments: { 'x-priority': 7 },
      },
    ]);
    const bindings = await listed(cluster, ['bindings', 'list', '--columns', 'source,destination,routingKey'], typed);
    expect(bindings).toEqual([
      { source: '', destination: 'in turns', routingKey: 'in turns' },
      { source: '', destination: 'own', routingKey: 'own' },
      { source: '', destination: 'work', routingKey: 'work' },
      { source: 'amq.topic', destination: 'work', routingKey: 'work.#' },
    ]);
    expect(await listed(cluster, ['exchanges', 'list'], typed)).toHaveLength(7);
    const table = await warren(cluster, ['queues', 'list', '--columns', 'name,ready'], typed);
    expect(table.out).toBe('name      ready\nin turns  0\nown       0\nwork      2\n');
  });

  it('purges and deletes queues, if they are as they should be', async () => {
    const inUse = await warren(cluster, ['queues', 'delete', 'work', '--if-unused'], { node: 'warren-2' });
    expect(inUse).toEqual({ code: 1, out: '', error: "warren: queue 'work' in virtual host '/' is in use\n" });
    expect((await warren(cluster, ['queues', 'delete', 'work', '--if-empty'])).error).toMatch(/is not empty/);
    expect((await warren(cluster, ['queues', 'delete', 'own'])).error).toMatch(/belongs to another connection alone/);
    expect((await warren(cluster, ['queues', 'purge', 'work'], { node: 'warren-1' })).out).toBe('purged 2 messages\n');
    expect((await warren(cluster, ['queues', 'delete', 'work'])).out).toBe('deleted the queue and 0 messages\n');
    expect((await warren(cluster, ['queues', 'delete', 'work'])).error).toMatch(/there is no queue 'work'/);
  });

  it('closes a connection to another node, and the client hears why', async () => {
    const { client } = await open('warren-1', 'to be closed');
    const isClosed = new Promise<string>(resolve => client.once('close', (error: Error) => resolve(error.message)));
    const rows = await listed<{ id: string; clientName: string }>(cluster, ['connections', 'list']);
    const { id } = rows.find(({ clientName }) => clientName === 'to be closed')!;
    const close = ['connections', 'close', id, '--reason', 'the machine is wanted elsewhere'];
    expect(await warren(cluster, close, { node: 'warren-2' })).toEqual(DONE);
    expect(await isClosed).toMatch(/320.*CONNECTION_FORCED - the machine is wanted elsewhere/);
    await eventually('the connection to be gone', 10_000, async () => (await warren(cluster, close)).code === 1);
  });

  it('lets nobody in who may not, and says in one line what is wrong', async () => {
    await warren(cluster, ['users', 'add', 'ben'], { input: 'b' });
    const asBen = { environment: { WARREN_USER: 'ben', WARREN_PASSWORD: 'b' } };
    const refused = await warren(cluster, ['users', 'list'], asBen);
    expect(refused).toEqual({
      code: 1,
      out: '',
      error: "warren: user 'ben' may not do this: it needs the tag administrator\n",
    });
    await (await open('warren-1', 'declares')).channel.assertQueue('whose name is not for everybody');
    const seen = await warren(cluster, ['status', '--json'], asBen);
    const { length: queueCount } = await listed(cluster, ['queues', 'list']);
    expect(JSON.parse(seen.out)).toMatchObject({ queueCount, ready: expect.any(Number), queues: null });
    expect(seen.error).toBe(
      "warren: the queues are not listed: user 'ben' may not do this: it needs the tag administrator or monitoring\n",
    );
    expect((await warren(cluster, ['status'], asBen)).out).toMatch(/\n\nqueues {2}ready {2}unacked\n\d+ +\d+ +\d+\n$/);
    const wrong = await warren(cluster, ['queues', 'list', '--user', 'ben:wrong']);
    expect(wrong.error).toBe('warren: wrong user or password\n');
    const mistakes = [
      [['users', 'list', '--jsn'], /^warren: warren users list does not know --jsn; did you mean --json\?\n$/],
      [['users', 'lst'], /^warren: there is no command "users lst"; there are users list, /],
      [
        ['list_queues'],
        /^warren: there is no command "list_queues"; what rabbitmqctl does so is warren queues list\n$/,
      ],
      [['users', 'add', 'x', ''], /^warren: the password of x is empty/],
      [['vhosts', 'delete', 'none'], /^warren: there is no virtual host 'none'\n$/],
      [
        ['limits', 'set', 'vhost', '/', 'max-channels=1'],
        /^warren: a vhost has no limit "max-channels"; it has max-connections, /,
      ],
      [['permissions', 'set', 'ben', '(', '', ''], /^warren: configure pattern '\(' is invalid: /],
      [['definitions', 'import', '/does/not/exist'], /^warren: \/does\/not\/exist cannot be read: ENOENT/],
    ] as const;
    const ended = await Promise.all(mistakes.map(([args]) => warren(cluster, args)));
    mistakes.forEach(([, error], i) => {
      expect(ended[i]).toMatchObject({ code: 1, out: '', error: expect.stringMatching(error) });
    });
  });
});

describe('definitions', () => {
  const directory = mkdtempSync(join(tmpdir(), 'warren-definitions-'));
  const file = (name: string): string => join(directory, name);
  const clusters: DevCluster[] = [];

  async function freshCluster(): Promise<DevCluster> {
    const cluster = await DevCluster.start({ readyTimeoutMs: READY_MS });
    clusters.push(cluster);
    return cluster;
  }

  afterAll(async () => {
    await Promise.all(clusters.map(cluster => cluster.stop()));
    rmSync(directory, { recursive: true, force: true });
  });

  function sections(name: string): Record<string, unknown> {
    const document = JSON.parse(readFileSync(file(name), 'utf8')) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(document).map(([section, entries]) => [
        section,
        Array.isArray(entries) ? entries.map(entry => JSON.stringify(entry)).sort() : entries,
      ]),
    );
  }

  it('of RabbitMQ 3.x and 4.x are imported, work, and come out of a fresh cluster as they went in', async () => {
    const first = await freshCluster();
    for (const name of ['3.8-http', '3.10', '3.13', '4.1']) {
      const path = join(FIXTURES, `rabbitmq-${name}.json`);
      const once = await warren(first, ['definitions', 'import', path], { node: 'warren-1' });
      expect(once).toMatchObject({ code: 2, error: '' });
      expect(once.out).toMatch(/^unsupported: /m);
      const again = await warren(first, ['definitions', 'import', '--skip-unsupported'], {
        input: readFileSync(path, 'utf8'),
      });
      expect(again).toMatchObject({ code: 0, error: '' });
      expect(again.out.trimEnd().split('\n').at(-1)).not.toMatch(/created|failed/);
    }
    const vhost = ['vhosts', 'add', 'jobs'];
    expect(await warren(first, vhost)).toEqual(DONE);
    const single = ['definitions', 'import', join(FIXTURES, 'rabbitmq-4.0-vhost.json'), '--vhost', 'jobs', '--json'];
    expect(JSON.parse((await warren(first, single)).out)).toMatchObject({ counts: { created: 4 } });
    // Whoever had a password there has it here.
    const client = await connect({
      hostname: '127.0.0.1',
      port: first.node('warren-2').amqp,
      username: 'svc-orders',
      password: 'pässword',
    });
    const channel = await client.createConfirmChannel();
    channel.publish('orders.events', 'svc-orders.x.created', Buffer.from('m'));
    await channel.waitForConfirms();
    await client.close();

    expect(await warren(first, ['definitions', 'export', file('first.json')])).toEqual(DONE);
    const second = await freshCluster();
    expect(await warren(second, ['definitions', 'import', file('first.json')])).toMatchObject({ code: 0, error: '' });
    const { out } = await warren(second, ['definitions', 'export'], { node: 'warren-2' });
    writeFileSync(file('second.json'), out);
    expect(sections('second.json')).toEqual(sections('first.json'));
  });

  it('that are wrong anywhere change nothing', async () => {
    const [cluster] = clusters as [DevCluster];
    writeFileSync(file('wrong.json'), '{"vhosts":[{"name":"never"}],"queues":[{"name":"q","vhost":"never"}]}');
    const ended = await warren(cluster, ['definitions', 'import', file('wrong.json')]);
    expect(ended.code).toBe(1);
    expect(ended.error).toContain('queues[0] \'q\': "durable" is missing\nwarren: nothing was imported\n');
    expect(await listed<{ name: string }>(cluster, ['vhosts', 'list'])).not.toContainEqual(
      expect.objectContaining({ name: 'never' }),
    );
  });

  it('of a few thousand queues are imported in parts', async () => {
    const [cluster] = clusters as [DevCluster];
    const queues = Array.from({ length: 2_000 }, (_, i) => ({
      name: `many-${i}`,
      vhost: '/',
      durable: true,
      auto_delete: false,
      arguments: { 'x-queue-type': 'quorum' },
    }));
    writeFileSync(file('many.json'), JSON.stringify({ queues }));
    const ended = await warren(cluster, ['definitions', 'import', file('many.json')]);
    expect(ended).toMatchObject({ code: 0, out: '2000 created\n' });
    const rows = await listed<{ name: string; ready: number }>(cluster, ['queues', 'list', '--vhost', '/'], {
      node: 'warren-1',
    });
    expect(rows.filter(({ name, ready }) => name.startsWith('many-') && ready === 0)).toHaveLength(2_000);
  });
});
