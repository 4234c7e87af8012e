import { checkConnectionLimits } from './access/load.ts';
import type { PasswordHasher } from './access/passwords.ts';
import { AheadBudget, type AheadLimits } from './ahead-budget.ts';
import type {
  Broker,
  BrokerConnection,
  BrokerIdentity,
  BrokerSession,
  ConnectionListener,
  ConnectRequest,
  HoldReason,
  Result,
  SessionListener,
} from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import { type ClientList, type ClientPage, clientPage, type ListPosition } from './client-listing.ts';
import { Connection } from './connection.ts';
import type { ClusterGateway } from './gateway.ts';
import { generatedQueueName } from './names.ts';
import { Session } from './session.ts';
import type { ConnectionOwner } from './topology-records.ts';

export interface BrokerServiceOptions {
  readonly identity: BrokerIdentity;
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  readonly ahead: AheadLimits;
  /** They may enter from the machine itself only. */
  readonly loopbackUsers: readonly string[];
}

export interface BrokerServiceDependencies {
  readonly gateway: ClusterGateway;
  /** 16 random bytes. */
  readonly randomBytes: () => Uint8Array;
  readonly isLoopback: (address: string) => boolean;
  readonly passwords: PasswordHasher;
  readonly wallMs: () => number;
}

/** Connections count from 1. */
const NO_CONNECTION = 0;
/** Nothing is published or consumed. */
const NO_EVENTS: SessionListener = { confirmed() {}, rejected() {}, deliver() {}, consumerCancelled() {} };

/** The broker of one node: who is connected, and whether they may publish. */
export class BrokerService implements Broker {
  readonly #options: BrokerServiceOptions;
  readonly #deps: BrokerServiceDependencies;
  readonly #connections = new Set<Connection>();
  readonly #waiting = new Set<Connection>();
  readonly #ahead: AheadBudget;
  #hold: HoldReason | undefined;

  constructor(options: BrokerServiceOptions, deps: BrokerServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#ahead = new AheadBudget(options.ahead);
  }

  get identity(): BrokerIdentity {
    return this.#options.identity;
  }
  get connectionCount(): number {
    return this.#connections.size;
  }

  authenticate(user: string, password: string, peerAddress: string): BrokerError | undefined {
    const { gateway, passwords, isLoopback } = this.#deps;
    if (password === '') return { code: 'access-refused', text: `user '${user}' - blank password` };
    if (!passwords.matches(password, gateway.access.user(user)?.password)) {
      return { code: 'access-refused', text: `user '${user}' - invalid credentials` };
    }
    if (!this.#options.loopbackUsers.includes(user) || isLoopback(peerAddress)) return undefined;
    return { code: 'access-refused', text: `user '${user}' can only connect via localhost` };
  }

  async connect(request: ConnectRequest, listener: ConnectionListener): Promise<Result<BrokerConnection>> {
    const { gateway } = this.#deps;
    if (this.#connections.size >= this.#options.connectionsMax) {
      const text = `this node has its maximum of ${this.#options.connectionsMax} connections`;
      return { ok: false, error: { code: 'access-refused', text } };
    }
    const refused = this.#refuse(request);
    if (refused !== undefined) return { ok: false, error: refused };
    const owner = { ...gateway.self, connection: gateway.nextConnectionNumber() };
    const { bodyBytesMax } = this.#options;
    const connection = new Connection(
      { request, owner, bodyBytesMax, ahead: this.#ahead, connectedAtMs: this.#deps.wallMs() },
      {
        gateway,
        listener,
        generateQueueName: () => generatedQueueName(this.#deps.randomBytes()),
        nodeHold: () => this.#hold,
        leaseEnded: () => this.hold({ kind: 'no-routing-lease' }),
        waiting: waiting => this.#waiting.add(waiting),
        closed: closed => {
          this.#connections.delete(closed);
          this.#waiting.delete(closed);
        },
      },
    );
    this.#connections.add(connection);
    return { ok: true, value: connection };
  }

  /** Users, vhosts or permissions have changed: connections of those that are gone end. */
  reviewAccess(): void {
    for (const connection of [...this.#connections]) connection.reviewAccess();
  }

  /** In RabbitMQ's order. */
  #refuse({ user, vhost }: ConnectRequest): BrokerError | undefined {
    const { access, load } = this.#deps.gateway;
    const found = access.vhost(vhost);
    if (found === undefined || found.isLeaving) return { code: 'no-vhost', vhost };
    const limited = checkConnectionLimits({ user, vhost }, access, load);
    if (limited !== undefined || access.permission(user, vhost) !== undefined) return limited;
    return { code: 'access-refused', text: `access to vhost '${vhost}' refused for user '${user}'` };
  }

  /** Publishes of all clients of this node wait as long as there is a reason. */
  hold(reason: HoldReason | undefined): void {
    const isOther = this.#hold?.kind !== reason?.kind;
    this.#hold = reason;
    if (!isOther) return;
    for (const connection of this.#connections) connection.review();
  }

  /** Streams made room: connections that waited for it may go on. */
  roomMade(): void {
    if (this.#waiting.size === 0) return;
    for (const connection of this.#waiting) {
      connection.review();
      if (connection.mayPublish) this.#waiting.delete(connection);
    }
  }

  /** What this node's clients have open, page by page. */
  list<List extends ClientList>(list: List, after: ListPosition): ClientPage<List> {
    return clientPage(list, this.#connections, after);
  }

  /** False: there is no such connection any more. */
  closeConnection({ incarnation, connection }: Omit<ConnectionOwner, 'node'>, reason: string): boolean {
    if (incarnation !== this.#deps.gateway.self.incarnation) return false;
    const found = [...this.#connections].find(({ owner }) => owner.connection === connection);
    found?.dismiss(reason);
    return found !== undefined;
  }

  /** For what operators do to a vhost: asks for no permission and belongs to no connection. */
  openOperatorSession(vhost: string): BrokerSession {
    const { gateway, randomBytes } = this.#deps;
    const owner = { ...gateway.self, connection: NO_CONNECTION };
    const { bodyBytesMax } = this.#options;
    return new Session(
      { vhost, owner, bodyBytesMax, ahead: this.#ahead, channel: 1, serial: 1 },
      {
        gateway,
        listener: NO_EVENTS,
        generateQueueName: () => generatedQueueName(randomBytes()),
        backlog: () => {},
        delivered: () => {},
        exclusiveDeclared: () => {},
        closed: () => {},
      },
    );
  }

  /** Closes every client's connection: this node may no longer act for them (R24). */
  expel(reason: string): void {
    for (const connection of [...this.#connections]) connection.expel(reason);
  }
}
