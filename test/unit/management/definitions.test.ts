import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { FieldTable } from '../../../src/broker/field-table.ts';
import type { ImportResult } from '../../../src/management/definitions.ts';
import { definitionParts } from '../../../src/management/definitions-parts.ts';
import type { Management } from '../../../src/management/management.ts';
import type { LocalGateway } from '../../support/local-gateway.ts';
import { exported, localManagement } from '../../support/management.ts';

const text = (name: string): string =>
  readFileSync(join(import.meta.dirname, `../../fixtures/definitions/${name}.json`), 'utf8');

let gateway: LocalGateway;
let management: Management;

beforeEach(() => {
  ({ gateway, management } = localManagement());
});

async function imported(
  document: string | object,
  into = management,
  vhost?: string,
): Promise<readonly ImportResult[]> {
  const result = await into.importDefinitions(
    typeof document === 'string' ? document : JSON.stringify(document),
    vhost,
  );
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

const outcomes = (results: readonly ImportResult[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { outcome } of results) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
};

const queue = (more: object = {}) => ({
  name: 'q',
  vhost: '/',
  durable: true,
  auto_delete: false,
  arguments: {},
  ...more,
});

describe('an import', () => {
  it.each(['rabbitmq-3.8-http', 'rabbitmq-3.10', 'rabbitmq-3.13', 'rabbitmq-4.1'])(
    'of %s makes what is offered here, names the rest, and costs nothing the second time',
    async name => {
      const isDone = ({ outcome }: ImportResult): boolean => ['created', 'updated', 'existed'].includes(outcome);
      const first = await imported(text(name));
      const again = await imported(text(name));
      expect(outcomes(first).created).toBeGreaterThan(5);
      expect(first.filter(({ outcome }) => outcome === 'failed' || outcome === 'differs')).toEqual([]);
      expect(again.filter(result => !isDone(result))).toEqual(first.filter(result => !isDone(result)));
      expect(outcomes(again).created).toBeUndefined();
      // Whose hash is not known cannot be told from one that is the same.
      expect(outcomes(again).updated ?? 0).toBe(name === 'rabbitmq-3.8-http' ? 1 : 0);
    },
  );

  it('tells what was created, changed, was there, differs, and refers to nothing', async () => {
    await imported({ queues: [queue()], vhosts: [{ name: 'v', description: 'old' }] });
    const results = await imported({
      vhosts: [{ name: 'v', description: 'new' }, { name: 'w' }],
      permissions: [
        { user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' },
        { user: 'nobody', vhost: '/', configure: '.*', write: '.*', read: '.*' },
      ],
      queues: [queue(), queue({ name: 'new' }), queue({ vhost: 'none' })],
      exchanges: [{ name: 'e', vhost: '/', type: 'topic', durable: true, auto_delete: false }],
      bindings: [
        { source: 'e', vhost: '/', destination: 'q', destination_type: 'queue', routing_key: '#' },
        { source: 'e', vhost: '/', destination: 'gone', destination_type: 'queue', routing_key: '#' },
      ],
    });
    expect(results.map(({ item, outcome }) => `${outcome} ${item}`)).toEqual([
      "updated vhost 'v'",
      "created vhost 'w'",
      "existed permission of user 'guest' in vhost '/'",
      "dangling permission of user 'nobody' in vhost '/'",
      "created exchange 'e' in vhost '/'",
      "existed queue 'q' in vhost '/'",
      "created queue 'new' in vhost '/'",
      "dangling queue 'q' in vhost 'none'",
      "created binding of exchange 'e' to queue 'q' with key '#' in vhost '/'",
      "dangling binding of exchange 'e' to queue 'gone' with key '#' in vhost '/'",
    ]);
    const [differs] = await imported({ queues: [queue({ auto_delete: true })] });
    expect(differs).toEqual({
      item: "queue 'q' in vhost '/'",
      outcome: 'differs',
      detail: "queue 'q' in virtual host '/' exists with auto_delete 'false', not 'true'",
    });
  });

  it('brings users to what the document says, and lets go of a password and of limits', async () => {
    await imported({
      users: [{ name: 'u', password: 'secret', tags: ['a'], limits: { 'max-connections': 3 } }],
    });
    expect(management.administration.view.user('u')).toMatchObject({ tags: ['a'], limits: { connectionsMax: 3 } });
    const again = { name: 'u', password_hash: '', tags: 'b,c', limits: { 'max-connections': -1, 'max-channels': 5 } };
    expect(outcomes(await imported({ users: [again] }))).toEqual({ updated: 1 });
    expect(management.administration.view.user('u')).toMatchObject({
      password: undefined,
      tags: ['b', 'c'],
      limits: { connectionsMax: undefined, channelsMax: 5 },
    });
    expect(outcomes(await imported({ users: [again] }))).toEqual({ existed: 1 });
  });

  it('changes nothing when anything in the document is wrong', async () => {
    const result = await management.importDefinitions(
      JSON.stringify({ vhosts: [{ name: 'v' }], queues: [{ name: 'q' }] }),
      undefined,
    );
    expect(result).toMatchObject({ ok: false, error: { code: 'invalid' } });
    expect(management.administration.view.vhost('v')).toBeUndefined();
    for (const json of ['', '{', 'null', `"${'x'.repeat(2 * 1024 * 1024)}"`]) {
      expect((await management.importDefinitions(json, undefined)).ok).toBe(false);
    }
  });

  it('makes queues that were named by a broker, and such as belong to no connection', async () => {
    await imported({ queues: [queue({ name: 'amq.gen-abc' })] });
    expect(gateway.topology.queue('/', 'amq.gen-abc')).toMatchObject({ exclusiveOwner: undefined, durable: true });
  });
});

describe('an export', () => {
  const sorted = (document: Record<string, unknown[]>): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(document).map(([section, entries]) => [
        section,
        Array.isArray(entries) ? entries.map(entry => JSON.stringify(entry)).sort() : entries,
      ]),
    );

  it.each(['rabbitmq-3.8-http', 'rabbitmq-3.10', 'rabbitmq-3.13', 'rabbitmq-4.1'])(
    'of what came from %s, imported elsewhere, is exported the same',
    async name => {
      await imported(text(name));
      const first = await exported(management);
      const other = localManagement();
      expect(outcomes(await imported(first, other.management))).not.toMatchObject({ failed: expect.anything() });
      expect(sorted(await exported(other.management))).toEqual(sorted(first));
    },
  );

  it('has everything that RabbitMQ wants to find, and of numbers all digits', async () => {
    const table: FieldTable = new Map([
      ['large', { type: 'int64', value: 9_007_199_254_740_993n }],
      ['price', { type: 'decimal', scale: 2, value: 1999 }],
      ['raw', { type: 'bytes', value: new TextEncoder().encode('é') }],
      ['when', { type: 'timestamp', value: 1_700_000_000n }],
      ['nothing', { type: 'void' }],
    ]);
    const owner = { ...gateway.self, connection: 1 };
    const flags = { vhost: '/', durable: true, autoDelete: false, arguments: table, owner };
    await gateway.declareQueue({ ...flags, name: 'q', exclusive: false, serverNamed: false });
    await gateway.declareQueue({ ...flags, name: 'mine', exclusive: true, serverNamed: false });
    const ends = { vhost: '/', source: 'amq.topic', routingKey: 'k', arguments: new Map(), owner };
    await gateway.bind({ ...ends, destination: { kind: 'queue', name: 'q' } });
    await gateway.bind({ ...ends, destination: { kind: 'queue', name: 'mine' } });
    let json = '';
    for await (const piece of management.exportDefinitions(undefined)) json += piece;
    expect(json).toContain('"large":9007199254740993,"nothing":null,"price":19.99,"raw":"é","when":1700000000');
    const document = JSON.parse(json) as Record<string, unknown>;
    expect(Object.keys(document)).toEqual(
      expect.arrayContaining([
        'rabbit_version',
        'users',
        'vhosts',
        'permissions',
        'topic_permissions',
        'parameters',
        'global_parameters',
        'policies',
        'queues',
        'exchanges',
        'bindings',
      ]),
    );
    // What belongs to a connection cannot be restored.
    expect(document.queues).toMatchObject([{ name: 'q' }]);
    expect(document.bindings).toEqual([
      {
        source: 'amq.topic',
        vhost: '/',
        destination: 'q',
        destination_type: 'queue',
        routing_key: 'k',
        arguments: {},
      },
    ]);
    expect(document.exchanges).toEqual([]);
  });

  it('of one vhost says nothing of vhosts and users, and can be imported into another', async () => {
    await imported(text('rabbitmq-3.10'));
    const document = await exported(management, 'billing');
    expect(document.users).toBeUndefined();
    const plain = { name: 'invoices.plain', durable: true, auto_delete: false, arguments: {} };
    expect(document.queues).toContainEqual(plain);
    expect(outcomes(await imported({ vhosts: [{ name: 'copy' }] }))).toEqual({ created: 1 });
    const { parameters, queues, exchanges, bindings } = document;
    const count = [parameters, queues, exchanges, bindings].flat().length;
    expect(outcomes(await imported(JSON.stringify(document), management, 'copy'))).toEqual({ created: count });
    expect(gateway.topology.queue('copy', 'invoices.plain')).toBeDefined();
    expect(management.administration.view.vhost('copy')?.limits.queuesMax).toBe(500);
  });
});

describe('parts of a document', () => {
  it('are documents in an order in which they can be imported, none of them large', () => {
    const queues = Array.from({ length: 450 }, (_, i) => queue({ name: `q${i}` }));
    const long = queue({ name: 'long', arguments: { note: 'n'.repeat(100_000) } });
    const document = { bindings: [{ a: 1 }], queues: [...queues, long, long], vhosts: [{ name: 'v' }], other: [1] };
    const parts = [...definitionParts({ rabbit_version: '3.4.0', ...document })].map(
      part => JSON.parse(part) as Record<string, unknown[]>,
    );
    expect(parts.map(part => Object.keys(part).filter(name => name !== 'rabbit_version')[0])).toEqual([
      'vhosts',
      'queues',
      'queues',
      'queues',
      'queues',
      'bindings',
      'other',
    ]);
    expect(parts.flatMap(part => part.queues ?? [])).toEqual(document.queues);
    expect(parts.every(part => (part.rabbit_version as unknown) === '3.4.0')).toBe(true);
    for (const part of parts) expect(JSON.stringify(part).length).toBeLessThan(256 * 1024);
  });
});
