import type { Result } from '../broker.ts';
import type {
  AccessCommand,
  ClearPermissions,
  ClearTopicPermissions,
  PutVhost,
  SetPermissions,
  SetTopicPermissions,
} from './access-commands.ts';
import type { AccessView } from './access-control.ts';
import {
  NO_USER_LIMITS,
  NO_VHOST_LIMITS,
  type PasswordHash,
  type UserLimits,
  type VhostLimits,
} from './access-records.ts';
import type { PasswordHasher } from './passwords.ts';

type Fields<Command extends AccessCommand> = Omit<Command, 'kind'>;

/** Of a user that is added or changed. What is not given stays as it is. */
export interface UserChange {
  readonly user: string;
  /** A user that is there already is an error: `exists`. */
  readonly mustBeNew?: boolean;
  /** In clear, as a hash of RabbitMQ's, or `none`: no login with a password. */
  readonly password?: { readonly clear: string } | PasswordHash | 'none';
  readonly tags?: readonly string[];
}

/** Users, vhosts, permissions and limits of the cluster, for whoever administers it: command line, gRPC, HTTP. */
export interface AccessAdministration {
  /** What is there now, on this node. Lists are ascending by name. */
  readonly view: Pick<
    AccessView,
    'user' | 'vhost' | 'permission' | 'topicPermission' | 'users' | 'vhosts' | 'permissions' | 'topicPermissions'
  >;
  /** Has the user one of these tags, or `administrator`? */
  hasTag(user: string, ...tags: readonly string[]): boolean;

  // Answered when every node that may route has applied the change (R2).
  putVhost(vhost: Fields<PutVhost>): Promise<Result<void>>;
  /** Answered when nothing of it is left: its connections are closed, its queues, exchanges and permissions gone. */
  deleteVhost(vhost: string): Promise<Result<void>>;
  putUser(change: UserChange): Promise<Result<void>>;
  /** Its connections are closed. */
  deleteUser(user: string): Promise<Result<void>>;
  setPermissions(permissions: Fields<SetPermissions>): Promise<Result<void>>;
  clearPermissions(which: Fields<ClearPermissions>): Promise<Result<void>>;
  setTopicPermissions(permissions: Fields<SetTopicPermissions>): Promise<Result<void>>;
  clearTopicPermissions(which: Fields<ClearTopicPermissions>): Promise<Result<void>>;
  /** All limits at once: one that is not given is taken away. */
  setVhostLimits(vhost: string, limits: Partial<VhostLimits>): Promise<Result<void>>;
  setUserLimits(user: string, limits: Partial<UserLimits>): Promise<Result<void>>;
}

/** The part of the cluster that administration needs. */
export interface AccessGateway {
  readonly access: AccessView;
  changeAccess(command: AccessCommand): Promise<Result<void>>;
  /** Resolves when the vhost and everything in it is gone on all nodes that may route. */
  deleteVhost(vhost: string): Promise<Result<void>>;
}

/** Turns what administrators ask for into commands of group 0. */
export class ClusterAccessAdministration implements AccessAdministration {
  readonly #gateway: AccessGateway;
  readonly #passwords: PasswordHasher;

  constructor(gateway: AccessGateway, passwords: PasswordHasher) {
    this.#gateway = gateway;
    this.#passwords = passwords;
  }

  get view(): AccessView {
    return this.#gateway.access;
  }

  hasTag(user: string, ...tags: readonly string[]): boolean {
    const record = this.view.user(user);
    return record !== undefined && ['administrator', ...tags].some(tag => record.tags.includes(tag));
  }

  putVhost(vhost: Fields<PutVhost>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'put-vhost', ...vhost });
  }

  deleteVhost(vhost: string): Promise<Result<void>> {
    return this.#gateway.deleteVhost(vhost);
  }

  putUser({ user, mustBeNew = false, password, tags }: UserChange): Promise<Result<void>> {
    const hashed =
      typeof password === 'object' && 'clear' in password ? this.#passwords.hash(password.clear) : password;
    return this.#gateway.changeAccess({ kind: 'put-user', user, mustBeNew, password: hashed, tags });
  }

  deleteUser(user: string): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'delete-user', user });
  }

  setPermissions(permissions: Fields<SetPermissions>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'set-permissions', ...permissions });
  }

  clearPermissions(which: Fields<ClearPermissions>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'clear-permissions', ...which });
  }

  setTopicPermissions(permissions: Fields<SetTopicPermissions>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'set-topic-permissions', ...permissions });
  }

  clearTopicPermissions(which: Fields<ClearTopicPermissions>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'clear-topic-permissions', ...which });
  }

  setVhostLimits(vhost: string, limits: Partial<VhostLimits>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'set-vhost-limits', vhost, limits: { ...NO_VHOST_LIMITS, ...limits } });
  }

  setUserLimits(user: string, limits: Partial<UserLimits>): Promise<Result<void>> {
    return this.#gateway.changeAccess({ kind: 'set-user-limits', user, limits: { ...NO_USER_LIMITS, ...limits } });
  }
}
