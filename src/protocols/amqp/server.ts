import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Broker } from '../../broker/broker.ts';
import { assert } from '../../lib/assert.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import { AmqpConnection, type ConnectionDeps } from './connection.ts';
import { ContentMemory } from './content-memory.ts';
import { type AmqpLimits, checkLimits, DEFAULT_LIMITS } from './limits.ts';
import { OutputPool } from './output-pool.ts';

export interface AmqpServerOptions {
  /** Addresses to listen at, one at least. */
  readonly hosts: readonly string[];
  /** The same at every address; 0: any that is free at the first. */
  readonly port: number;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<AmqpLimits>;
}

export interface AmqpServerDeps {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Listens for AMQP 0-9-1 clients; each accepted socket is an `AmqpConnection` of its own. */
export class AmqpServer {
  readonly #options: AmqpServerOptions;
  readonly #deps: ConnectionDeps;
  readonly #servers: readonly Server[];
  readonly #connections = new Set<AmqpConnection>();
  #onIdle: (() => void) | undefined;
  #isFull = false;

  /** Limits that contradict each other are a programming error: the configuration checks them before (`checkLimits`). */
  constructor(options: AmqpServerOptions, deps: AmqpServerDeps) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const wrong = checkLimits(limits);
    assert(wrong === undefined, wrong ?? '');
    this.#options = options;
    this.#deps = { ...deps, limits, pool: new OutputPool(), serverContent: new ContentMemory() };
    // Half-open: what is still to be written to a client that has ended its side goes out first.
    this.#servers = options.hosts.map(() => createServer({ allowHalfOpen: true }, socket => this.#accept(socket)));
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Resolves with the port; rejects with the system's error when it cannot be had at one of the addresses. */
  async listen(): Promise<number> {
    let { port } = this.#options;
    for (const [i, server] of this.#servers.entries())
      port = await this.#listenAt(server, this.#options.hosts[i]!, port);
    return port;
  }

  /** Accepts no more, closes every connection with 320 and resolves when the last one is gone (`closeTimeoutMs` at most). */
  async close(reason = 'shutdown'): Promise<void> {
    for (const server of this.#servers) server.close();
    const idle = new Promise<void>(resolve => {
      this.#onIdle = resolve;
    });
    if (this.#connections.size === 0) return;
    for (const connection of this.#connections) connection.shutDown(reason);
    await idle;
  }

  #listenAt(server: Server, host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', err => this.#deps.logger.error({ err }, 'AMQP listener failed'));
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  #accept(socket: Socket): void {
    const { connectionsMax } = this.#deps.limits;
    if (this.#connections.size >= connectionsMax) {
      if (!this.#isFull) this.#deps.logger.warn({ connectionsMax }, 'AMQP connections refused: limit reached');
      this.#isFull = true;
      socket.destroy();
      return;
    }
    const connection = new AmqpConnection(socket, this.#deps, () => this.#gone(connection));
    this.#connections.add(connection);
  }

  #gone(connection: AmqpConnection): void {
    this.#connections.delete(connection);
    this.#isFull = false;
    if (this.#connections.size === 0) this.#onIdle?.();
  }
}
