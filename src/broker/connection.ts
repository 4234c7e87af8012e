import { GuardedSession } from './access/guarded-session.ts';
import { checkChannelLimit } from './access/load.ts';
import { SessionAccess } from './access/session-access.ts';
import type { AheadBudget } from './ahead-budget.ts';
import type {
  BrokerConnection,
  BrokerSession,
  ConnectionListener,
  ConnectRequest,
  HoldReason,
  SessionListener,
} from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import type { ConnectionRow, ListedConnection } from './client-listing.ts';
import type { Consumer } from './consumer.ts';
import type { ClusterGateway, HomeStream } from './gateway.ts';
import { Session } from './session.ts';
import type { ConnectionOwner } from './topology-records.ts';

export interface ConnectionOptions {
  readonly request: ConnectRequest;
  readonly owner: ConnectionOwner;
  readonly bodyBytesMax: number;
  readonly ahead: AheadBudget;
  readonly connectedAtMs: number;
}

export interface ConnectionDependencies {
  readonly gateway: ClusterGateway;
  readonly listener: ConnectionListener;
  readonly generateQueueName: () => string;
  /** Why publishes on this node are held at the moment. */
  readonly nodeHold: () => HoldReason | undefined;
  /** Publishes of all connections are to be held at once. */
  readonly leaseEnded: () => void;
  /** This connection waits for room in some home's stream. */
  readonly waiting: (connection: Connection) => void;
  readonly closed: (connection: Connection) => void;
}

/** Not even administrators have it unless it is given to them, as in RabbitMQ. */
const IMPERSONATOR = 'impersonator';

/** What consumers had received when a mark was taken. */
interface Mark {
  readonly through: number;
  readonly progress: readonly { readonly consumer: Consumer; readonly number: number; readonly bytes: number }[];
}

/** A client's connection: its sessions, whether it may publish, and how much of what was delivered has left (R26, R30). */
export class Connection implements BrokerConnection, ListedConnection {
  readonly #options: ConnectionOptions;
  readonly #deps: ConnectionDependencies;
  readonly #sessions = new Set<Session>();
  readonly #access: SessionAccess;
  /** Homes whose streams were full after a publish of this connection. */
  readonly #full = new Set<HomeStream>();
  #hold: HoldReason | undefined;
  #delivered = 0;
  /** Consumers with deliveries since the last mark. */
  #touched = new Set<Consumer>();
  #marks: Mark[] = [];
  /** An exclusive queue was declared, or may be. */
  #mayOwnQueues = false;
  #lastSession = 0;
  #isClosed = false;

  constructor(options: ConnectionOptions, deps: ConnectionDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#hold = deps.nodeHold();
    const { access, topology, load } = deps.gateway;
    this.#access = new SessionAccess(options.request, access, topology);
    load.add('vhost-connections', options.request.vhost, 1);
    load.add('user-connections', options.request.user, 1);
  }

  get owner(): ConnectionOwner {
    return this.#options.owner;
  }
  get request(): ConnectRequest {
    return this.#options.request;
  }
  get user(): string {
    return this.request.user;
  }
  get mayImpersonate(): boolean {
    return this.#deps.gateway.access.user(this.request.user)?.tags.includes(IMPERSONATOR) ?? false;
  }
  get hold(): HoldReason | undefined {
    return this.#hold;
  }
  get mayPublish(): boolean {
    if (this.#hold !== undefined) return false;
    if (this.#deps.gateway.mayRoute()) return true;
    // The event loop has stood still since the lease ended, and nobody has looked yet.
    this.#deps.leaseEnded();
    return false;
  }

  mayOpenSession(): BrokerError | undefined {
    const { access, load } = this.#deps.gateway;
    return checkChannelLimit(this.request.user, access, load);
  }

  openSession(listener: SessionListener, channel = 1): BrokerSession {
    const { gateway, generateQueueName } = this.#deps;
    const { request, owner, bodyBytesMax, ahead } = this.#options;
    const session = new Session(
      { vhost: request.vhost, owner, bodyBytesMax, ahead, channel, serial: ++this.#lastSession },
      {
        gateway,
        listener,
        generateQueueName,
        backlog: stream => this.#backlog(stream),
        delivered: consumer => {
          this.#delivered++;
          this.#touched.add(consumer);
        },
        exclusiveDeclared: () => {
          this.#mayOwnQueues = true;
        },
        closed: closed => {
          if (this.#sessions.delete(closed)) gateway.load.add('user-channels', request.user, -1);
        },
      },
    );
    this.#sessions.add(session);
    gateway.load.add('user-channels', request.user, 1);
    return new GuardedSession(session, this.#access);
  }

  deliveredMark(): number {
    if (this.#touched.size > 0) {
      const progress = [...this.#touched].map(consumer => ({
        consumer,
        number: consumer.delivered,
        bytes: consumer.deliveredBytes,
      }));
      this.#marks.push({ through: this.#delivered, progress });
      this.#touched.clear();
    }
    return this.#delivered;
  }

  flushed(mark: number): void {
    let done = 0;
    while (done < this.#marks.length && this.#marks[done]!.through <= mark) {
      for (const { consumer, number, bytes } of this.#marks[done]!.progress) consumer.flushedThrough(number, bytes);
      done++;
    }
    if (done > 0) this.#marks = this.#marks.slice(done);
  }

  /** The node's hold changed, or a stream has room again. */
  review(): void {
    if (this.#isClosed) return;
    for (const stream of this.#full) if (stream.hasRoom) this.#full.delete(stream);
    const hold = this.#deps.nodeHold() ?? this.#streamsHold();
    const before = this.#hold;
    this.#hold = hold;
    if (hold === undefined && before !== undefined) this.#deps.listener.resumed();
    else if (hold !== undefined && hold.kind !== before?.kind) this.#deps.listener.held(hold);
  }

  /** The node gives its clients up (R24). */
  expel(reason: string): void {
    this.#deps.listener.closed(reason);
  }

  /** For the lists of operators. */
  row(): ConnectionRow {
    const { user, vhost, protocol, peerAddress, clientName, details } = this.request;
    const kind = this.#hold?.kind;
    const state = kind === undefined ? 'running' : kind === 'alarm' ? 'blocked' : 'flow';
    const { owner, connectedAtMs } = this.#options;
    const channels = this.#sessions.size;
    return { owner, user, vhost, protocol, peerAddress, clientName, details, state, channels, connectedAtMs };
  }

  sessions(): Iterable<Session> {
    return this.#sessions;
  }

  /** An operator ends it. */
  dismiss(reason: string): void {
    this.#deps.listener.dismissed(reason);
  }

  /** Ends the connection if its user or vhost is gone. */
  reviewAccess(): void {
    const { access } = this.#deps.gateway;
    const { user, vhost } = this.request;
    const found = access.vhost(vhost);
    const isVhostGone = found === undefined || found.isLeaving;
    if (!isVhostGone && access.user(user) !== undefined) return;
    this.#deps.listener.dismissed(isVhostGone ? `vhost '${vhost}' is deleted` : `user '${user}' is deleted`);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deps.gateway.load.add('vhost-connections', this.request.vhost, -1);
    this.#deps.gateway.load.add('user-connections', this.request.user, -1);
    await Promise.all([...this.#sessions].map(session => session.close()));
    // Whether or not this node has heard of them yet: nobody else would end them.
    if (this.#mayOwnQueues) await this.#deps.gateway.connectionClosed(this.owner);
    this.#deps.closed(this);
  }

  #backlog(stream: HomeStream): void {
    this.#full.add(stream);
    this.#deps.waiting(this);
    if (this.#hold !== undefined) return;
    const hold = this.#streamsHold()!;
    this.#hold = hold;
    this.#deps.listener.held(hold);
  }

  #streamsHold(): HoldReason | undefined {
    if (this.#full.size === 0) return undefined;
    return [...this.#full].some(stream => stream.isShortOfMemory)
      ? { kind: 'alarm', text: 'low on memory' }
      : { kind: 'backlog' };
  }
}
