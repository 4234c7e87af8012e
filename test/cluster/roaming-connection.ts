import { type ChannelModel, connect } from 'amqplib';
import type { History, Role } from './history.ts';
import { delay } from './waiting.ts';
import type { WarrenCluster } from './warren-cluster.ts';

const PAUSE_MS = 20;
const CONNECT_TIMEOUT_MS = 2_000;

export interface RoamingHandlers {
  /** Opens what it needs on the new connection. A rejection makes it go to another node. */
  opened(client: ChannelModel, connection: number): Promise<void>;
  /** Nothing may be sent until the next `opened`. */
  lost(): void;
}

/** One AMQP connection at a time that goes to another node when it ends. Its comings and goings are in the history. */
export class RoamingConnection {
  readonly #cluster: WarrenCluster;
  readonly #history: History;
  readonly #role: Role;
  readonly #handlers: RoamingHandlers;
  #client: ChannelModel | undefined;
  #connection = -1;
  #node = '';
  #connecting: Promise<void> | undefined;
  #stopped = false;

  constructor(cluster: WarrenCluster, history: History, role: Role, handlers: RoamingHandlers) {
    this.#cluster = cluster;
    this.#history = history;
    this.#role = role;
    this.#handlers = handlers;
  }

  /** The node it is connected to, or was last. */
  get node(): string {
    return this.#node;
  }

  /** Its number in the history, or -1. */
  get connection(): number {
    return this.#connection;
  }

  async goTo(node: string): Promise<void> {
    await this.#connecting;
    if (this.#node === node && this.#client !== undefined) return;
    await this.#end('moved');
    await this.#roam(node);
  }

  /** Ends the connection as a failure of it would: the next one goes to another node. */
  abandon(): void {
    this.#client?.close().catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#connecting;
    await this.#end('stopped');
  }

  #roam(first: string): Promise<void> {
    this.#connecting ??= this.#tryNodes(first).finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #tryNodes(first: string): Promise<void> {
    for (let node = first; !this.#stopped; node = this.#another(node)) {
      try {
        await this.#open(await connect(this.#cluster.url(node), { timeout: CONNECT_TIMEOUT_MS, noDelay: true }), node);
        return;
      } catch {
        await this.#end('could not be used');
        await delay(PAUSE_MS);
      }
    }
  }

  async #open(client: ChannelModel, node: string): Promise<void> {
    const connection = this.#history.connected(this.#role, node);
    let reason = 'closed';
    client.on('error', error => {
      reason = error.message;
    });
    client.on('close', () => this.#ended(connection, reason));
    this.#client = client;
    this.#connection = connection;
    this.#node = node;
    await this.#handlers.opened(client, connection);
    if (connection !== this.#connection) throw new Error('the connection ended while it was opened');
  }

  #ended(connection: number, reason: string): void {
    this.#history.ended(connection, reason);
    if (connection !== this.#connection) return;
    this.#forget();
    if (!this.#stopped && this.#connecting === undefined) void this.#roam(this.#another(this.#node));
  }

  async #end(reason: string): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    this.#history.ended(this.#connection, reason);
    this.#forget();
    await client.close().catch(() => {});
  }

  #forget(): void {
    this.#client = undefined;
    this.#connection = -1;
    this.#handlers.lost();
  }

  #another(node: string): string {
    const others = this.#cluster.nodes.filter(candidate => candidate.name !== node);
    return others[Math.floor(Math.random() * others.length)]!.name;
  }
}
