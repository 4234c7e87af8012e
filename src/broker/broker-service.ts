import type {
  Broker,
  BrokerConnection,
  BrokerIdentity,
  ConnectionListener,
  ConnectRequest,
  HoldReason,
  Result,
} from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import { Connection } from './connection.ts';
import type { AheadLimits } from './consumer.ts';
import type { ClusterGateway } from './gateway.ts';
import { generatedQueueName } from './names.ts';

export interface BrokerServiceOptions {
  readonly identity: BrokerIdentity;
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  readonly ahead: AheadLimits;
}

export interface BrokerServiceDependencies {
  readonly gateway: ClusterGateway;
  /** 16 random bytes. */
  readonly randomBytes: () => Uint8Array;
  readonly isLoopback: (address: string) => boolean;
}

/** Until users can be declared there is one, and as in RabbitMQ it may enter from the machine itself only. */
const GUEST = { user: 'guest', password: 'guest' } as const;

/** The broker of one node: who is connected, and whether they may publish. */
export class BrokerService implements Broker {
  readonly #options: BrokerServiceOptions;
  readonly #deps: BrokerServiceDependencies;
  readonly #connections = new Set<Connection>();
  readonly #waiting = new Set<Connection>();
  #hold: HoldReason | undefined;

  constructor(options: BrokerServiceOptions, deps: BrokerServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  get identity(): BrokerIdentity {
    return this.#options.identity;
  }
  get connectionCount(): number {
    return this.#connections.size;
  }

  authenticate(user: string, password: string, peerAddress: string): BrokerError | undefined {
    if (user === GUEST.user && password === GUEST.password) {
      if (this.#deps.isLoopback(peerAddress)) return undefined;
      return { code: 'access-refused', text: 'User can only log in via localhost' };
    }
    return { code: 'access-refused', text: 'Login was refused' };
  }

  async connect(request: ConnectRequest, listener: ConnectionListener): Promise<Result<BrokerConnection>> {
    const { gateway } = this.#deps;
    if (!gateway.topology.hasVhost(request.vhost))
      return { ok: false, error: { code: 'no-vhost', vhost: request.vhost } };
    if (this.#connections.size >= this.#options.connectionsMax) {
      const text = `this node has its maximum of ${this.#options.connectionsMax} connections`;
      return { ok: false, error: { code: 'access-refused', text } };
    }
    const owner = { ...gateway.self, connection: gateway.nextConnectionNumber() };
    const { bodyBytesMax, ahead } = this.#options;
    const connection = new Connection(
      { request, owner, bodyBytesMax, ahead },
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

  /** Publishes of all clients of this node wait as long as there is a reason. */
  hold(reason: HoldReason | undefined): void {
    if (this.#hold?.kind === reason?.kind) return;
    this.#hold = reason;
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

  /** Closes every client's connection: this node may no longer act for them (R24). */
  expel(reason: string): void {
    for (const connection of [...this.#connections]) connection.expel(reason);
  }
}
