import { HASHINGS, type Hashing, type UserLimits, type VhostLimits } from '../../broker/access/access-records.ts';
import type { UserChange } from '../../broker/access/administration.ts';
import type { Result } from '../../broker/broker.ts';
import type { ChangeAccessRequest, ChangeLimits, PutUser } from '../../gen/warren/v1/admin_pb.ts';
import type { Management } from '../../management/management.ts';

const invalid = (text: string): Result<never> => ({ ok: false, error: { code: 'invalid', text } });

/** One change of users, vhosts, permissions or limits. */
export async function changeAccess(management: Management, { change }: ChangeAccessRequest): Promise<Result<void>> {
  const { administration } = management;
  switch (change.case) {
    case 'putUser':
      return putUser(management, change.value);
    case 'deleteUser':
      return administration.deleteUser(change.value.name);
    case 'putVhost': {
      const { name, mustBeNew, description, tags } = change.value;
      return management.putVhost({ vhost: name, mustBeNew, description, tags: tags?.tags });
    }
    case 'deleteVhost':
      return administration.deleteVhost(change.value.name);
    case 'setPermission': {
      const { user, vhost, configure, write, read } = change.value;
      return administration.setPermissions({ user, vhost, configure, write, read });
    }
    case 'clearPermission': {
      const { user, vhost } = change.value;
      return administration.clearPermissions({ user, vhost });
    }
    case 'setTopicPermission': {
      const { user, vhost, exchange, write, read } = change.value;
      return administration.setTopicPermissions({ user, vhost, exchange, write, read });
    }
    case 'clearTopicPermission': {
      const { user, vhost, exchange } = change.value;
      return administration.clearTopicPermissions({ user, vhost, exchange });
    }
    case 'changeUserLimits': {
      const limits = changedLimits(change.value, USER_LIMITS);
      return limits.ok ? management.changeUserLimits(change.value.name, limits.value) : limits;
    }
    case 'changeVhostLimits': {
      const limits = changedLimits(change.value, VHOST_LIMITS);
      return limits.ok ? management.changeVhostLimits(change.value.name, limits.value) : limits;
    }
    default:
      return invalid('the change is missing');
  }
}

async function putUser(
  { administration }: Management,
  { name, mustBeNew, password, tags }: PutUser,
): Promise<Result<void>> {
  if (!mustBeNew && administration.view.user(name) === undefined) {
    return { ok: false, error: { code: 'no-user', user: name } };
  }
  const secret = passwordOf(password);
  if (!secret.ok) return secret;
  if (mustBeNew && secret.value === undefined) return invalid(`user '${name}' needs a password, or to have none`);
  return administration.putUser({
    user: name,
    mustBeNew,
    ...(secret.value === undefined ? {} : { password: secret.value }),
    ...(tags === undefined ? {} : { tags: tags.tags }),
  });
}

function passwordOf(password: PutUser['password']): Result<UserChange['password']> {
  switch (password.case) {
    case 'clear':
      return password.value === '' ? invalid('the password is empty') : { ok: true, value: { clear: password.value } };
    case 'hash': {
      const { hashing, hash } = password.value;
      if (!HASHINGS.includes(hashing as Hashing)) return invalid(`unknown hashing algorithm '${hashing}'`);
      return { ok: true, value: { hashing: hashing as Hashing, hash } };
    }
    case 'none':
      return { ok: true, value: 'none' };
    default:
      return { ok: true, value: undefined };
  }
}

type LimitField = 'maxConnections' | 'maxChannels' | 'maxQueues';
type LimitNames<Limits> = Readonly<Record<string, { readonly field: LimitField; readonly limit: keyof Limits }>>;

const USER_LIMITS: LimitNames<UserLimits> = {
  'max-connections': { field: 'maxConnections', limit: 'connectionsMax' },
  'max-channels': { field: 'maxChannels', limit: 'channelsMax' },
};
const VHOST_LIMITS: LimitNames<VhostLimits> = {
  'max-connections': { field: 'maxConnections', limit: 'connectionsMax' },
  'max-queues': { field: 'maxQueues', limit: 'queuesMax' },
};

function changedLimits<Limits>({ set, clear }: ChangeLimits, names: LimitNames<Limits>): Result<Partial<Limits>> {
  const changed: Partial<Record<keyof Limits, number | undefined>> = {};
  const fields = Object.values(names).map(({ field }) => field);
  for (const field of ['maxConnections', 'maxChannels', 'maxQueues'] as const) {
    if (set?.[field] !== undefined && !fields.includes(field)) return unknownLimit(field, names);
  }
  for (const { field, limit } of Object.values(names)) if (set?.[field] !== undefined) changed[limit] = set[field];
  for (const name of clear) {
    if (!Object.hasOwn(names, name)) return unknownLimit(name, names);
    changed[names[name]!.limit] = undefined;
  }
  return { ok: true, value: changed as Partial<Limits> };
}

const unknownLimit = (name: string, names: LimitNames<never>): Result<never> =>
  invalid(`there is no limit '${name}' here; there are ${Object.keys(names).join(', ')}`);
