import type { Random } from '../../../src/lib/random.ts';
import { ShellClient, type ShellCluster } from '../shell-cluster.ts';
import type { Auditor } from './auditor.ts';
import type { Slots } from './slots.ts';

export interface WorkerContext {
  readonly cluster: ShellCluster;
  readonly slots: Slots;
  readonly auditor: Auditor;
  readonly random: Random;
}

/** A client that connects again, to some node, whenever it lost its connection. */
export abstract class Worker {
  protected readonly cluster: ShellCluster;
  protected readonly slots: Slots;
  protected readonly auditor: Auditor;
  protected readonly random: Random;
  protected client: ShellClient | undefined;
  /** Asked and not answered, by connections that are still there. */
  readonly #asked = new Map<ShellClient, Set<string>>();
  #isConnecting = false;

  constructor({ cluster, slots, auditor, random }: WorkerContext) {
    this.cluster = cluster;
    this.slots = slots;
    this.auditor = auditor;
    this.random = random;
  }

  /** Does a little work. */
  step(): void {
    const { client } = this;
    if (client === undefined || client.closedReason !== undefined || client.node.life.isOver) {
      if (client !== undefined) {
        this.#asked.delete(client);
        this.lost(client);
      }
      this.client = undefined;
      this.#connect();
      return;
    }
    if (!client.node.life.isPaused) this.work(client);
  }

  /** What a healthy cluster still owes this worker. */
  get unanswered(): string[] {
    return [...(this.#asked.get(this.client!) ?? [])];
  }

  /** Notes the request as unanswered until it is; a lost connection ends that. */
  protected async ask<Value>(client: ShellClient, what: string, promise: Promise<Value>): Promise<Value> {
    let asked = this.#asked.get(client);
    if (asked === undefined) {
      asked = new Set();
      this.#asked.set(client, asked);
    }
    asked.add(what);
    const value = await promise;
    asked.delete(what);
    return value;
  }

  /** The client goes by itself; another connection follows. */
  protected close(client: ShellClient): void {
    client.closedReason = 'closed by the client';
    void client.connection.close();
  }

  #connect(): void {
    const nodes = this.cluster.running().filter(node => node.broker.service !== undefined && !node.life.isPaused);
    if (nodes.length === 0 || this.#isConnecting) return;
    const node = nodes[this.random.integer(0, nodes.length - 1)]!;
    this.#isConnecting = true;
    void ShellClient.connect(this.cluster, node).then(
      client => {
        this.#isConnecting = false;
        this.client = client;
        this.connected(client);
      },
      () => {
        this.#isConnecting = false;
      },
    );
  }

  protected connected(_client: ShellClient): void {}
  protected abstract work(client: ShellClient): void;
  protected lost(_client: ShellClient): void {}
}

/** One of the list. */
export const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random.integer(0, items.length - 1)]!;
