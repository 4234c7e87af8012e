import { assert, unreachable } from '../../lib/assert.ts';
import type { Result } from '../broker.ts';
import type { BrokerError } from '../broker-error.ts';
import type { AccessCommand, PutUser, PutVhost } from './access-commands.ts';
import {
  ACCESS_BUCKETS,
  type AccessRecord,
  bucketOf,
  keyOf,
  NO_USER_LIMITS,
  NO_VHOST_LIMITS,
  type PermissionRecord,
  permissionKey,
  type TopicPermissionRecord,
  topicPermissionKey,
  type UserRecord,
  userKey,
  type VhostRecord,
  vhostKey,
} from './access-records.ts';
import { Pattern } from './pattern.ts';

/** Bounds of the replicated state. At one of them a command that would add a record is refused. */
export const USERS_MAX = 50_000;
export const VHOSTS_MAX = 10_000;
export const PERMISSIONS_MAX = 100_000;
const PATTERNS_REMEMBERED_MAX = 1_000;

/** Told before records with keys of this group change, so that what is about to change can still be copied (R14). */
export interface AccessObserver {
  beforeAccessChange(bucket: number): void;
}

/** What everybody but the machine of group 0 may do. */
export type AccessView = Omit<
  AccessControl,
  'apply' | 'put' | 'removePermissionsIn' | 'vhostRemoved' | 'restore' | 'clear'
>;

const DONE: Result<void> = { ok: true, value: undefined };

const COUNT_MAX: Readonly<Record<AccessRecord['kind'], number>> = {
  user: USERS_MAX,
  vhost: VHOSTS_MAX,
  permission: PERMISSIONS_MAX,
  'topic-permission': PERMISSIONS_MAX,
};

/** Who may do what: users, vhosts, permissions, limits, as group 0 says. Changes happen in the order of the log only. */
export class AccessControl {
  readonly #observer: AccessObserver;
  readonly #buckets: Map<string, AccessRecord>[] = Array.from({ length: ACCESS_BUCKETS }, () => new Map());
  readonly #counts: Record<AccessRecord['kind'], number> = { user: 0, vhost: 0, permission: 0, 'topic-permission': 0 };
  readonly #leaving = new Set<string>();
  /** Keys of the permissions that end with a user or a vhost, by the key of that. */
  readonly #dependents = new Map<string, Set<string>>();
  /** Compiled, for all connections together. Not part of the state. */
  readonly #patterns = new Map<string, Pattern | undefined>();
  #version = 0;

  constructor(observer: AccessObserver) {
    this.#observer = observer;
  }

  // ---- Reading ----

  /** Another number after every change: whoever remembers an answer remembers it with this. */
  get version(): number {
    return this.#version;
  }

  user(user: string): UserRecord | undefined {
    return this.#get(userKey(user)) as UserRecord | undefined;
  }

  vhost(vhost: string): VhostRecord | undefined {
    return this.#get(vhostKey(vhost)) as VhostRecord | undefined;
  }

  permission(user: string, vhost: string): PermissionRecord | undefined {
    if (this.#leaving.has(vhost)) return undefined;
    return this.#get(permissionKey(user, vhost)) as PermissionRecord | undefined;
  }

  topicPermission(user: string, vhost: string, exchange: string): TopicPermissionRecord | undefined {
    if (this.#counts['topic-permission'] === 0 || this.#leaving.has(vhost)) return undefined;
    return this.#get(topicPermissionKey(user, vhost, exchange)) as TopicPermissionRecord | undefined;
  }

  /** Ascending by name. */
  users(): UserRecord[] {
    return this.#list('user');
  }

  vhosts(): VhostRecord[] {
    return this.#list('vhost');
  }

  permissions(): PermissionRecord[] {
    return this.#list('permission').filter(({ vhost }) => !this.#leaving.has(vhost));
  }

  topicPermissions(): TopicPermissionRecord[] {
    return this.#list('topic-permission').filter(({ vhost }) => !this.#leaving.has(vhost));
  }

  /** Undefined for one that cannot be used: what an earlier release took and this one does not allows nothing. */
  pattern(text: string): Pattern | undefined {
    if (this.#patterns.has(text)) return this.#patterns.get(text);
    if (this.#patterns.size >= PATTERNS_REMEMBERED_MAX) this.#patterns.clear();
    const parsed = Pattern.parse(text);
    const pattern = parsed instanceof Pattern ? parsed : undefined;
    this.#patterns.set(text, pattern);
    return pattern;
  }

  /** Vhosts that are being deleted. */
  leavingVhosts(): readonly string[] {
    return this.#leaving.size === 0 ? NOBODY : [...this.#leaving].sort();
  }

  /** The records of one group, ascending by key: in the same order on every replica. */
  inBucket(bucket: number): AccessRecord[] {
    const records = this.#buckets[bucket]!;
    return [...records.keys()].sort().map(key => records.get(key)!);
  }

  // ---- Changing ----

  apply(command: Exclude<AccessCommand, { readonly kind: 'continue-vhost-removal' }>): Result<void> {
    switch (command.kind) {
      case 'put-vhost':
        return this.#putVhost(command);
      case 'delete-vhost':
        return this.#deleteVhost(command.vhost);
      case 'put-user':
        return this.#putUser(command);
      case 'delete-user':
        return this.#deleteUser(command.user);
      case 'set-permissions': {
        const { user, vhost, configure, write, read } = command;
        const missing = this.#missing(user, vhost);
        return missing ?? this.put({ kind: 'permission', user, vhost, configure, write, read });
      }
      case 'clear-permissions': {
        const missing = this.#missing(command.user, command.vhost);
        if (missing === undefined) this.#remove(permissionKey(command.user, command.vhost));
        return missing ?? DONE;
      }
      case 'set-topic-permissions': {
        const { user, vhost, exchange, write, read } = command;
        const missing = this.#missing(user, vhost);
        return missing ?? this.put({ kind: 'topic-permission', user, vhost, exchange, write, read });
      }
      case 'clear-topic-permissions': {
        const { user, vhost, exchange } = command;
        const missing = this.#missing(user, vhost);
        if (missing !== undefined) return missing;
        if (exchange !== undefined) this.#remove(topicPermissionKey(user, vhost, exchange));
        else {
          for (const { exchange: name } of this.#topicPermissionsOf(user, vhost)) {
            this.#remove(topicPermissionKey(user, vhost, name));
          }
        }
        return DONE;
      }
      case 'set-vhost-limits': {
        const record = this.vhost(command.vhost);
        return record === undefined ? noVhost(command.vhost) : this.put({ ...record, limits: command.limits });
      }
      case 'set-user-limits': {
        const record = this.user(command.user);
        return record === undefined ? noUser(command.user) : this.put({ ...record, limits: command.limits });
      }
      default:
        return unreachable(command);
    }
  }

  /**
   * Permissions in a vhost that is being deleted: all, if they are not more than `count`, otherwise those of one group. Which
   * does not depend on the order in which they came: a replica that was restored knows no such order. Returns how many.
   */
  removePermissionsIn(vhost: string, count: number): number {
    let keys = [...(this.#dependents.get(vhostKey(vhost)) ?? [])];
    if (keys.length > count) {
      const bucket = keys.reduce((least, key) => Math.min(least, bucketOf(key)), ACCESS_BUCKETS);
      keys = keys.filter(key => bucketOf(key) === bucket);
    }
    for (const key of keys) this.#remove(key);
    return keys.length;
  }

  /** Nothing of it is left in the topology. */
  vhostRemoved(vhost: string): void {
    assert(!this.#dependents.has(vhostKey(vhost)), () => `vhost ${vhost} still has permissions`);
    this.#remove(vhostKey(vhost));
    this.#leaving.delete(vhost);
  }

  // ---- Restoring from a checkpoint or snapshot ----

  clear(): void {
    for (const records of this.#buckets) records.clear();
    for (const kind of Object.keys(this.#counts) as AccessRecord['kind'][]) this.#counts[kind] = 0;
    this.#leaving.clear();
    this.#dependents.clear();
    this.#version++;
  }

  restore(record: AccessRecord): void {
    const key = keyOf(record);
    this.#buckets[bucketOf(key)]!.set(key, record);
    this.#added(key, record);
    if (record.kind === 'vhost' && record.isLeaving) this.#leaving.add(record.vhost);
    this.#version++;
  }

  // ---- Inside ----

  #putVhost({ vhost, description, tags }: PutVhost): Result<void> {
    const existing = this.vhost(vhost);
    if (existing?.isLeaving) return refused({ code: 'unavailable', text: `vhost '${vhost}' is being deleted` });
    const limits = existing?.limits ?? NO_VHOST_LIMITS;
    return this.put({ kind: 'vhost', vhost, description, tags, limits, isLeaving: false });
  }

  /** Its permissions hold no longer; they go step by step. */
  #deleteVhost(vhost: string): Result<void> {
    const record = this.vhost(vhost);
    if (record === undefined) return noVhost(vhost);
    if (record.isLeaving) return DONE;
    this.#leaving.add(vhost);
    return this.put({ ...record, isLeaving: true });
  }

  #putUser({ user, mustBeNew, password, tags }: PutUser): Result<void> {
    const existing = this.user(user);
    if (existing !== undefined && mustBeNew) return refused({ code: 'exists', text: `user '${user}' already exists` });
    return this.put({
      kind: 'user',
      user,
      password: password === 'none' ? undefined : (password ?? existing?.password),
      tags: tags ?? existing?.tags ?? [],
      limits: existing?.limits ?? NO_USER_LIMITS,
    });
  }

  #deleteUser(user: string): Result<void> {
    if (this.user(user) === undefined) return noUser(user);
    for (const key of [...(this.#dependents.get(userKey(user)) ?? [])]) this.#remove(key);
    this.#remove(userKey(user));
    return DONE;
  }

  #missing(user: string, vhost: string): Result<void> | undefined {
    const found = this.vhost(vhost);
    if (found === undefined || found.isLeaving) return noVhost(vhost);
    return this.user(user) === undefined ? noUser(user) : undefined;
  }

  #get(key: string): AccessRecord | undefined {
    return this.#buckets[bucketOf(key)]!.get(key);
  }

  /** As it is given: what a new cluster begins with. */
  put(record: AccessRecord): Result<void> {
    const key = keyOf(record);
    const bucket = bucketOf(key);
    const records = this.#buckets[bucket]!;
    if (!records.has(key)) {
      const countMax = COUNT_MAX[record.kind];
      if (this.#counts[record.kind] >= countMax) {
        return refused({
          code: 'invalid',
          text: `there are ${countMax} records of kind '${record.kind}'; no more can be added`,
        });
      }
      this.#added(key, record);
    }
    this.#observer.beforeAccessChange(bucket);
    records.set(key, record);
    this.#version++;
    return DONE;
  }

  #remove(key: string): void {
    const bucket = bucketOf(key);
    const record = this.#buckets[bucket]!.get(key);
    if (record === undefined) return;
    this.#observer.beforeAccessChange(bucket);
    this.#buckets[bucket]!.delete(key);
    this.#counts[record.kind]--;
    for (const of of dependenciesOf(record)) {
      const keys = this.#dependents.get(of)!;
      keys.delete(key);
      if (keys.size === 0) this.#dependents.delete(of);
    }
    this.#version++;
  }

  #added(key: string, record: AccessRecord): void {
    this.#counts[record.kind]++;
    for (const of of dependenciesOf(record)) {
      const keys = this.#dependents.get(of);
      if (keys === undefined) this.#dependents.set(of, new Set([key]));
      else keys.add(key);
    }
  }

  #topicPermissionsOf(user: string, vhost: string): TopicPermissionRecord[] {
    return [...(this.#dependents.get(userKey(user)) ?? [])]
      .map(key => this.#get(key)!)
      .filter(record => record.kind === 'topic-permission')
      .filter(record => record.vhost === vhost);
  }

  #list<Kind extends AccessRecord['kind']>(kind: Kind): Extract<AccessRecord, { readonly kind: Kind }>[] {
    return this.#buckets
      .flatMap(records => [...records])
      .filter(([, record]) => record.kind === kind)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, record]) => record as Extract<AccessRecord, { readonly kind: Kind }>);
  }
}

const NOBODY: readonly string[] = [];

/** The user and the vhost without which a permission cannot be. */
const dependenciesOf = (record: AccessRecord): string[] =>
  'user' in record && 'vhost' in record ? [userKey(record.user), vhostKey(record.vhost)] : [];

const refused = (error: BrokerError): Result<never> => ({ ok: false, error });
const noUser = (user: string): Result<never> => refused({ code: 'no-user', user });
const noVhost = (vhost: string): Result<never> => refused({ code: 'no-vhost', vhost });
