import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Definition, itemName } from '../../../src/management/definitions.ts';
import { parseDefinitions } from '../../../src/management/definitions-parser.ts';
import { table, text } from '../../support/metadata.ts';

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../../fixtures/definitions/${name}.json`), 'utf8'));

function parsed(document: unknown, vhost?: string): readonly Definition[] {
  const result = parseDefinitions(document, { vhost });
  if (!result.ok) throw new Error(result.problems.join('\n'));
  return result.definitions;
}

function problems(document: unknown): readonly string[] {
  const result = parseDefinitions(document, { vhost: undefined });
  return result.ok ? [] : result.problems;
}

const ofKind = (definitions: readonly Definition[], kind: Definition['kind']): string[] =>
  definitions.filter(definition => definition.kind === kind).map(itemName);

const queue = (more: object) => ({ name: 'q', vhost: '/', durable: true, auto_delete: false, arguments: {}, ...more });

describe('definitions of releases of RabbitMQ', () => {
  it('3.8 by HTTP: tags are one text, limits of vhosts parameters, a password in clear', () => {
    const definitions = parsed(fixture('rabbitmq-3.8-http'));
    expect(definitions.filter(({ kind }) => kind === 'user')).toMatchObject([
      { user: 'guest', tags: ['administrator'], limits: undefined },
      { user: 'reports', tags: ['monitoring', 'management'] },
      { user: 'plain', password: { clear: 'set by hand' }, tags: [] },
    ]);
    expect(definitions.filter(({ kind }) => kind === 'vhost-limits')).toEqual([
      { kind: 'vhost-limits', vhost: 'reports', limits: { connectionsMax: 50, queuesMax: undefined } },
    ]);
    expect(ofKind(definitions, 'queue')).toEqual([
      "queue 'reports.daily' in vhost 'reports'",
      "queue 'reports.lazy' in vhost 'reports'",
    ]);
    expect(ofKind(definitions, 'ignored')).toEqual([
      "global parameter 'cluster_name'",
      "global parameter 'internal_cluster_id'",
    ]);
    expect(ofKind(definitions, 'unsupported')).toEqual([
      "policy 'ha-all' in vhost '/'",
      "exchange 'later' in vhost 'reports'",
    ]);
  });

  it('3.10 by rabbitmqctl: limits as pairs, tags of a vhost as one text, users without a password, arguments', () => {
    const definitions = parsed(fixture('rabbitmq-3.10'));
    expect(definitions).toContainEqual({
      kind: 'vhost',
      vhost: 'billing',
      description: 'Invoices and payments',
      tags: ['production', 'finance'],
    });
    const limits = { connectionsMax: 100, queuesMax: 500 };
    expect(definitions).toContainEqual({ kind: 'vhost-limits', vhost: 'billing', limits });
    expect(definitions.find(definition => definition.kind === 'user' && definition.user === 'frozen')).toMatchObject({
      password: 'none',
      limits: { connectionsMax: undefined, channelsMax: undefined },
    });
    const lost = definitions.find(definition => definition.kind === 'queue' && definition.name === 'orders.lost');
    expect(lost?.kind === 'queue' && lost.arguments).toEqual(
      new Map<string, unknown>([
        ['note', { type: 'string', value: 'nobody reads this' }],
        ['owner-id', { type: 'int64', value: 42n }],
        ['ratio', { type: 'double', value: 0.5 }],
        [
          'nested',
          {
            type: 'table',
            value: new Map([
              [
                'a',
                {
                  type: 'array',
                  value: [
                    { type: 'int64', value: 1n },
                    { type: 'string', value: 'two' },
                    { type: 'boolean', value: true },
                  ],
                },
              ],
            ]),
          },
        ],
      ]),
    );
    expect(ofKind(definitions, 'binding')).toHaveLength(10);
  });

  it('3.13: a default queue type, SHA-512, a shovel, a stream', () => {
    const definitions = parsed(fixture('rabbitmq-3.13'));
    expect(definitions.find(definition => definition.kind === 'user' && definition.user === 'shop')).toMatchObject({
      password: { hashing: 'rabbit_password_hashing_sha512' },
      limits: { connectionsMax: 100, channelsMax: undefined },
    });
    expect(ofKind(definitions, 'unsupported')).toEqual(["parameter 'to-archive' of shovel in vhost 'shop'"]);
    const stream = definitions.find(definition => definition.kind === 'queue' && definition.name === 'shop.log');
    expect(stream).toMatchObject({ arguments: table({ 'x-queue-type': text('stream'), 'x-max-age': text('7D') }) });
  });

  it('4.1: protected vhosts, operator policies, types of queues and exchanges that came later', () => {
    const definitions = parsed(fixture('rabbitmq-4.1'));
    expect(ofKind(definitions, 'unsupported')).toEqual([
      "protection of vhost 'flows' from deletion",
      "parameter 'cap' of operator_policy in vhost 'flows'",
      "global parameter 'mqtt_port_to_vhost_mapping'",
      "policy 'ttl' in vhost 'flows'",
      "exchange 'flow.near' in vhost 'flows'",
    ]);
    expect(ofKind(definitions, 'queue')).toContain("queue 'flow.log' in vhost 'flows'");
    expect(
      definitions.find(definition => definition.kind === 'exchange' && definition.name === 'flow.rest'),
    ).toMatchObject({ internal: true });
  });

  it('4.0 of one vhost: what is in it belongs where the importer says', () => {
    const definitions = parsed(fixture('rabbitmq-4.0-vhost'), 'elsewhere');
    expect(definitions.map(itemName)).toEqual([
      "limits of vhost 'elsewhere'",
      "exchange 'jobs' in vhost 'elsewhere'",
      "queue 'jobs' in vhost 'elsewhere'",
      "binding of exchange 'jobs' to queue 'jobs' with key 'jobs' in vhost 'elsewhere'",
    ]);
    expect(problems(fixture('rabbitmq-4.0-vhost'))[0]).toMatch(/^parameters\[0\] 'limits': "vhost" is missing/);
  });

  it('before 3.6: hashes were MD5 and nobody said so', () => {
    const users = [{ name: 'old', password_hash: 'AsYO2ESs62RcsxNVyxKaR5DGxVI=', tags: 'administrator' }];
    expect(parsed({ rabbit_version: '3.4.1', users })).toMatchObject([
      { kind: 'user', password: { hashing: 'rabbit_password_hashing_md5' } },
    ]);
  });
});

describe('what a document says and nobody offers here', () => {
  it('is named, never dropped', () => {
    const document = {
      users: [{ name: 'u', password_hash: 'AAAAAAAA', hashing_algorithm: 'my_hashing', tags: [] }],
      permissions: [{ user: 'u', vhost: '/', configure: '(a)\\1', write: '', read: '' }],
      queues: [queue({ arguments: { 'x-unheard-of': 1 } }), queue({ name: 'amq.mine' })],
      exchanges: [{ name: 'amq.topic', vhost: '/', type: 'topic', durable: true, auto_delete: false }],
      federation: [{ a: 1 }],
      nothing: [],
    };
    const definitions = parsed(document);
    expect(ofKind(definitions, 'unsupported')).toEqual([
      "user 'u'",
      "permission of user 'u' in vhost '/'",
      "queue 'q' in vhost '/'",
      "queue 'amq.mine' in vhost '/'",
      "section 'federation'",
    ]);
    expect(ofKind(definitions, 'ignored')).toEqual(["exchange 'amq.topic' in vhost '/'"]);
  });
});

describe('what is wrong in a document', () => {
  it.each<[object | string, string]>([
    ['text', 'a definitions document is a JSON object'],
    [[], 'a definitions document is a JSON object'],
    [{ queues: {} }, '"queues" must be a list'],
    [{ queues: [1] }, 'queues[0]: it must be an object'],
    [{ queues: [queue({ name: 7 })] }, 'queues[0]: "name" must be a text'],
    [{ queues: [queue({ durable: 'yes' })] }, 'queues[0] \'q\': "durable" must be true or false'],
    [
      { queues: [queue({ durable: false, arguments: { 'x-queue-type': 'stream' } })] },
      "queues[0] 'q': invalid property 'non-durable' for queue 'q' in vhost '/'",
    ],
    [{ queues: [queue({ arguments: 'none' })] }, "queues[0] 'q': arguments must be an object"],
    [
      { queues: [queue({ name: 'n'.repeat(300) })] },
      `queues[0] '${'n'.repeat(100)}': queue name of 300 bytes; at most 255`,
    ],
    [
      { queues: [queue({ arguments: { n: 2 ** 60 } })] },
      "queues[0] 'q': argument 'n' is a number that JSON does not carry exactly",
    ],
    [{ users: [{ name: 'u', tags: [] }] }, 'users[0] \'u\': "password_hash" or "password" must be a text'],
    [
      { users: [{ name: 'u', password_hash: 'not base64!', tags: [] }] },
      "users[0] 'u': the password hash is not base64 of a salt and a digest",
    ],
    [{ vhosts: [{ name: '' }] }, "vhosts[0] '': vhost name is empty"],
    [
      { vhosts: [{ name: 'v', limits: { 'max-messages': 1 } }] },
      'vhosts[0] \'v\': "limits" has "max-messages"; known are max-connections, max-queues',
    ],
    [
      { bindings: [{ source: 'e', vhost: '/', destination: 'q', destination_type: 'topic', routing_key: '' }] },
      'bindings[0]: "destination_type" must be queue or exchange',
    ],
  ])('%j: %s', (document, problem) => {
    expect(problems(document)).toEqual([problem]);
  });

  it('is told of all entries at once, up to a bound', () => {
    const found = problems({ queues: Array.from({ length: 30 }, () => queue({ name: null })) });
    expect(found).toHaveLength(21);
    expect(found[20]).toBe('and 10 more');
  });

  it('does not cost the stack, however deep it is', () => {
    let nested: unknown = 1;
    for (let i = 0; i < 5_000; i++) nested = { nested };
    expect(problems({ queues: [queue({ arguments: nested })] })[0]).toMatch(/nested more than 32 levels deep/);
  });
});
