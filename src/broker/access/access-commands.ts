import type { BrokerError } from '../broker-error.ts';
import { checkNameLength } from '../names.ts';
import {
  HASHINGS,
  type PasswordHash,
  type Permissions,
  type TopicPermissionRecord,
  type UserLimits,
  type VhostLimits,
} from './access-records.ts';
import { Pattern } from './pattern.ts';

/** Tags of one user or vhost, and what they and a description may hold. */
export const TAGS_MAX = 32;
const TEXT_LENGTH_MAX = 1_000;
/** Base64 of four bytes and a SHA-512 digest has 92 characters. */
const HASH_LENGTH_MAX = 200;
const LIMIT_MAX = 2 ** 32 - 2;

/** Adds the vhost, or changes what is said of one that exists. */
export interface PutVhost {
  readonly kind: 'put-vhost';
  readonly vhost: string;
  readonly description: string;
  readonly tags: readonly string[];
}

/** From now on nobody enters it; everything in it goes step by step, and then itself. */
export interface DeleteVhost {
  readonly kind: 'delete-vhost';
  readonly vhost: string;
}

/** A step of its removal: a bounded number of volatile queues and exchanges; the vhost when nothing is left. */
export interface ContinueVhostRemoval {
  readonly kind: 'continue-vhost-removal';
  readonly vhost: string;
}

export interface PutUser {
  readonly kind: 'put-user';
  readonly user: string;
  /** A user that is there already is an error. */
  readonly mustBeNew: boolean;
  /** Undefined keeps what the user has; `none` takes it away. */
  readonly password: PasswordHash | 'none' | undefined;
  /** Undefined keeps what the user has. */
  readonly tags: readonly string[] | undefined;
}

export interface DeleteUser {
  readonly kind: 'delete-user';
  readonly user: string;
}

export interface SetPermissions extends Permissions {
  readonly kind: 'set-permissions';
  readonly user: string;
  readonly vhost: string;
}

export interface ClearPermissions {
  readonly kind: 'clear-permissions';
  readonly user: string;
  readonly vhost: string;
}

export interface SetTopicPermissions extends Omit<TopicPermissionRecord, 'kind'> {
  readonly kind: 'set-topic-permissions';
}

export interface ClearTopicPermissions {
  readonly kind: 'clear-topic-permissions';
  readonly user: string;
  readonly vhost: string;
  /** Undefined: of all exchanges. */
  readonly exchange: string | undefined;
}

/** All limits at once: one that is not given is taken away. */
export interface SetVhostLimits {
  readonly kind: 'set-vhost-limits';
  readonly vhost: string;
  readonly limits: VhostLimits;
}

export interface SetUserLimits {
  readonly kind: 'set-user-limits';
  readonly user: string;
  readonly limits: UserLimits;
}

export type AccessCommand =
  | PutVhost
  | DeleteVhost
  | ContinueVhostRemoval
  | PutUser
  | DeleteUser
  | SetPermissions
  | ClearPermissions
  | SetTopicPermissions
  | ClearTopicPermissions
  | SetVhostLimits
  | SetUserLimits;

const invalid = (text: string): BrokerError => ({ code: 'invalid', text });

/** What is wrong with the command in itself; to be asked before it is encoded. */
export function checkAccessCommand(command: AccessCommand): BrokerError | undefined {
  const names =
    ('user' in command ? checkName('user name', command.user) : undefined) ??
    ('vhost' in command ? checkName('vhost name', command.vhost) : undefined);
  return names ?? checkFields(command);
}

function checkFields(command: AccessCommand): BrokerError | undefined {
  switch (command.kind) {
    case 'put-vhost':
      return checkText('description', command.description) ?? checkTags(command.tags);
    case 'put-user':
      return checkPassword(command.password) ?? checkTags(command.tags ?? []);
    case 'set-permissions':
      return (
        checkPattern('configure', command.configure) ??
        checkPattern('write', command.write) ??
        checkPattern('read', command.read)
      );
    case 'set-topic-permissions':
      return (
        checkNameLength('exchange name', command.exchange) ??
        checkPattern('write', command.write) ??
        checkPattern('read', command.read)
      );
    case 'clear-topic-permissions':
      return command.exchange === undefined ? undefined : checkNameLength('exchange name', command.exchange);
    case 'set-vhost-limits':
      return (
        checkLimit('max-connections', command.limits.connectionsMax) ??
        checkLimit('max-queues', command.limits.queuesMax)
      );
    case 'set-user-limits':
      return (
        checkLimit('max-connections', command.limits.connectionsMax) ??
        checkLimit('max-channels', command.limits.channelsMax)
      );
    default:
      return undefined;
  }
}

function checkName(what: string, name: string): BrokerError | undefined {
  return name === '' ? invalid(`${what} is empty`) : checkNameLength(what, name);
}

function checkPattern(what: string, text: string): BrokerError | undefined {
  const pattern = Pattern.parse(text);
  return pattern instanceof Pattern
    ? undefined
    : invalid(`${what} pattern '${text.slice(0, 100)}' is invalid: ${pattern.problem}`);
}

function checkPassword(password: PutUser['password']): BrokerError | undefined {
  if (password === undefined || password === 'none') return undefined;
  if (!HASHINGS.includes(password.hashing)) return invalid(`unknown hashing algorithm '${password.hashing}'`);
  const isHash = password.hash.length <= HASH_LENGTH_MAX && /^[A-Za-z0-9+/]{8,}={0,2}$/.test(password.hash);
  return isHash ? undefined : invalid('the password hash is not base64 of a salt and a digest');
}

function checkTags(tags: readonly string[]): BrokerError | undefined {
  if (tags.length > TAGS_MAX) return invalid(`${tags.length} tags; at most ${TAGS_MAX}`);
  for (const tag of tags) {
    const error = checkNameLength('tag', tag);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkText(what: string, text: string): BrokerError | undefined {
  if (text.length <= TEXT_LENGTH_MAX) return undefined;
  return invalid(`${what} of ${text.length} characters; at most ${TEXT_LENGTH_MAX}`);
}

function checkLimit(what: string, limit: number | undefined): BrokerError | undefined {
  if (limit === undefined || (Number.isInteger(limit) && limit >= 0 && limit <= LIMIT_MAX)) return undefined;
  return invalid(`${what} is ${limit}; a whole number from 0 to ${LIMIT_MAX}`);
}
