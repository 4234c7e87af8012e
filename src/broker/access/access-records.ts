/** How a password became a hash. RabbitMQ's names, as definitions carry them; MD5 stands only in old ones. */
export const HASHINGS = [
  'rabbit_password_hashing_sha256',
  'rabbit_password_hashing_sha512',
  'rabbit_password_hashing_md5',
] as const;
export type Hashing = (typeof HASHINGS)[number];

/** Base64 of four bytes of salt and the digest of salt and password: RabbitMQ's form. */
export interface PasswordHash {
  readonly hashing: Hashing;
  readonly hash: string;
}

export interface UserLimits {
  readonly connectionsMax: number | undefined;
  readonly channelsMax: number | undefined;
}

export interface VhostLimits {
  readonly connectionsMax: number | undefined;
  readonly queuesMax: number | undefined;
}

export interface UserRecord {
  readonly kind: 'user';
  readonly user: string;
  /** Undefined: nobody can log in with a password as this user. */
  readonly password: PasswordHash | undefined;
  readonly tags: readonly string[];
  readonly limits: UserLimits;
}

/** What is known of a vhost beside its exchanges and queues. */
export interface VhostRecord {
  readonly kind: 'vhost';
  readonly vhost: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly limits: VhostLimits;
  /** It is being deleted: nobody may enter it any more, its queues and exchanges go one after the other. */
  readonly isLeaving: boolean;
}

export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** What a user may do in a vhost: patterns of names. Without one the user may not enter. */
export interface PermissionRecord extends Permissions {
  readonly kind: 'permission';
  readonly user: string;
  readonly vhost: string;
}

/** Patterns of routing keys for one topic exchange. Without one every key is allowed. */
export interface TopicPermissionRecord {
  readonly kind: 'topic-permission';
  readonly user: string;
  readonly vhost: string;
  readonly exchange: string;
  readonly write: string;
  readonly read: string;
}

export type AccessRecord = UserRecord | VhostRecord | PermissionRecord | TopicPermissionRecord;

export const NO_USER_LIMITS: UserLimits = { connectionsMax: undefined, channelsMax: undefined };
export const NO_VHOST_LIMITS: VhostLimits = { connectionsMax: undefined, queuesMax: undefined };

/** Records are kept, and checkpointed, in this many groups by their key. */
export const ACCESS_BUCKETS = 256;

/** Names may hold any character: each part tells its length. */
const key = (kind: string, ...names: readonly string[]): string =>
  names.reduce((text, name) => `${text}/${name.length}/${name}`, kind);

export const userKey = (user: string): string => key('user', user);
export const vhostKey = (vhost: string): string => key('vhost', vhost);
export const permissionKey = (user: string, vhost: string): string => key('permission', user, vhost);
export const topicPermissionKey = (user: string, vhost: string, exchange: string): string =>
  key('topic', user, vhost, exchange);

export function keyOf(record: AccessRecord): string {
  switch (record.kind) {
    case 'user':
      return userKey(record.user);
    case 'vhost':
      return vhostKey(record.vhost);
    case 'permission':
      return permissionKey(record.user, record.vhost);
    case 'topic-permission':
      return topicPermissionKey(record.user, record.vhost, record.exchange);
  }
}

/** FNV-1a. The same on every replica and for ever: it decides which page holds a record. */
export function bucketOf(recordKey: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < recordKey.length; i++) hash = Math.imul(hash ^ recordKey.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % ACCESS_BUCKETS;
}
