import { beforeEach, describe, expect, it } from 'vitest';
import { type AccessCommand, checkAccessCommand } from '../../../src/broker/access/access-commands.ts';
import { AccessControl } from '../../../src/broker/access/access-control.ts';
import { ACCESS_BUCKETS } from '../../../src/broker/access/access-records.ts';
import { INITIAL_ACCESS } from '../../../src/broker/access/initial-access.ts';
import { SystemPasswordHasher } from '../../../src/password-hasher.ts';

type Change = Exclude<AccessCommand, { readonly kind: 'continue-vhost-removal' }>;

let access: AccessControl;

beforeEach(() => {
  access = new AccessControl({ beforeAccessChange: () => {} });
  for (const record of INITIAL_ACCESS) access.put(record);
});

const apply = (...commands: readonly Change[]) => commands.map(command => access.apply(command)).at(-1);
const vhost = (name: string): Change => ({ kind: 'put-vhost', vhost: name, description: '', tags: [] });
const user = (name: string, more: Partial<Extract<Change, { kind: 'put-user' }>> = {}): Change => ({
  kind: 'put-user',
  user: name,
  mustBeNew: false,
  password: undefined,
  tags: undefined,
  ...more,
});
const permissions = (name: string, of = '/'): Change => ({
  kind: 'set-permissions',
  user: name,
  vhost: of,
  configure: '.*',
  write: '.*',
  read: '.*',
});
const topic = (name: string, exchange: string): Change => ({
  kind: 'set-topic-permissions',
  user: name,
  vhost: '/',
  exchange,
  write: '',
  read: '',
});

describe('a new cluster', () => {
  it('has vhost / and user guest, an administrator with password guest and all permissions there', () => {
    expect(access.vhosts().map(record => record.vhost)).toEqual(['/']);
    const guest = access.user('guest')!;
    expect(guest.tags).toEqual(['administrator']);
    expect(new SystemPasswordHasher().matches('guest', guest.password)).toBe(true);
    expect(access.permission('guest', '/')).toMatchObject({ configure: '.*', write: '.*', read: '.*' });
  });
});

describe('users', () => {
  it('keep what a change does not name', () => {
    const password = { hashing: 'rabbit_password_hashing_sha256', hash: 'c2FsdGhhc2g=' } as const;
    apply(user('alice', { password, tags: ['own'] }), user('alice', { tags: ['monitoring'] }));
    expect(access.user('alice')).toMatchObject({ password, tags: ['monitoring'] });
    apply({ kind: 'set-user-limits', user: 'alice', limits: { connectionsMax: 3, channelsMax: undefined } });
    apply(user('alice', { password: 'none' }));
    expect(access.user('alice')).toMatchObject({
      password: undefined,
      tags: ['monitoring'],
      limits: { connectionsMax: 3 },
    });
  });

  it('are refused when they are to be new and exist', () => {
    expect(apply(user('guest', { mustBeNew: true }))).toMatchObject({ ok: false, error: { code: 'exists' } });
  });

  it('take their permissions with them', () => {
    apply(user('alice'), permissions('alice'), topic('alice', 'x'), { kind: 'delete-user', user: 'alice' });
    apply(user('alice'));
    expect(access.permission('alice', '/')).toBeUndefined();
    expect(access.topicPermission('alice', '/', 'x')).toBeUndefined();
    expect(access.permission('guest', '/')).toBeDefined();
  });

  it.each<Change>([
    { kind: 'delete-user', user: 'nobody' },
    permissions('nobody'),
    { kind: 'clear-permissions', user: 'nobody', vhost: '/' },
    topic('nobody', 'x'),
    { kind: 'set-user-limits', user: 'nobody', limits: { connectionsMax: 1, channelsMax: 1 } },
  ])('have to be there for $kind', command => {
    expect(apply(command)).toEqual({ ok: false, error: { code: 'no-user', user: 'nobody' } });
  });
});

describe('vhosts', () => {
  it('that are being deleted lose their permissions step by step, the same ones whatever the order they came in', () => {
    const names = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const another = new AccessControl({ beforeAccessChange: () => {} });
    for (const record of INITIAL_ACCESS) another.put(record);
    for (const [control, order] of [
      [access, names],
      [another, [...names].reverse()],
    ] as const) {
      for (const command of [vhost('test'), ...order.map(name => user(name))]) control.apply(command);
      for (const name of order) control.apply(permissions(name, 'test'));
      control.apply({ kind: 'delete-vhost', vhost: 'test' });
    }
    let removed = 0;
    for (let step = 0; step < 20; step++) {
      const count = access.removePermissionsIn('test', 3);
      expect(another.removePermissionsIn('test', 3)).toBe(count);
      for (let bucket = 0; bucket < ACCESS_BUCKETS; bucket++) {
        expect(another.inBucket(bucket)).toEqual(access.inBucket(bucket));
      }
      removed += count;
    }
    expect(removed).toBe(20);
  });

  it('that are being deleted have no permissions from the first moment, and cannot be added again until they are gone', () => {
    apply(vhost('test'), permissions('guest', 'test'), { kind: 'delete-vhost', vhost: 'test' });
    expect(access.permission('guest', 'test')).toBeUndefined();
    expect(access.permissions().map(record => record.vhost)).toEqual(['/']);
    expect(access.leavingVhosts()).toEqual(['test']);
    expect(apply(vhost('test'))).toMatchObject({ ok: false, error: { code: 'unavailable' } });
    expect(apply(permissions('guest', 'test'))).toMatchObject({ ok: false, error: { code: 'no-vhost' } });
    access.removePermissionsIn('test', 10);
    access.vhostRemoved('test');
    expect(apply(vhost('test'))).toEqual({ ok: true, value: undefined });
    expect(access.leavingVhosts()).toEqual([]);
  });

  it.each<Change>([
    { kind: 'delete-vhost', vhost: 'nowhere' },
    permissions('guest', 'nowhere'),
    { kind: 'set-vhost-limits', vhost: 'nowhere', limits: { connectionsMax: 1, queuesMax: 1 } },
  ])('have to be there for $kind', command => {
    expect(apply(command)).toEqual({ ok: false, error: { code: 'no-vhost', vhost: 'nowhere' } });
  });
});

it('clears topic permissions of one exchange, or of all', () => {
  apply(topic('guest', 'x'), topic('guest', 'y'), topic('guest', 'z'));
  apply({ kind: 'clear-topic-permissions', user: 'guest', vhost: '/', exchange: 'y' });
  expect(access.topicPermissions().map(record => record.exchange)).toEqual(['x', 'z']);
  apply({ kind: 'clear-topic-permissions', user: 'guest', vhost: '/', exchange: undefined });
  expect(access.topicPermissions()).toEqual([]);
});

it('has another version after every change', () => {
  const seen = new Set([access.version]);
  for (const command of [user('a'), permissions('a'), vhost('v'), { kind: 'delete-user', user: 'a' } as const]) {
    apply(command);
    expect(seen).not.toContain(access.version);
    seen.add(access.version);
  }
});

describe('a command is refused before it is replicated', () => {
  it.each<[AccessCommand, string]>([
    [user(''), 'user name is empty'],
    [vhost('v'.repeat(256)), 'vhost name of 256 bytes; at most 255'],
    [{ ...permissions('guest'), write: '(' } as Change, "write pattern '(' is invalid: missing ) at character 1"],
    [user('a', { tags: Array.from({ length: 33 }, () => 't') }), '33 tags; at most 32'],
    [
      user('a', { password: { hashing: 'rabbit_password_hashing_sha256', hash: 'no base64!' } }),
      'the password hash is not base64 of a salt and a digest',
    ],
    [
      { kind: 'set-vhost-limits', vhost: '/', limits: { connectionsMax: -1, queuesMax: undefined } },
      'max-connections is -1; a whole number from 0 to 4294967294',
    ],
  ])('%#: %s', (command, text) => {
    expect(checkAccessCommand(command)).toEqual({ code: 'invalid', text });
  });
});
