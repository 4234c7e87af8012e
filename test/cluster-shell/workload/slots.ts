import type { ShellCluster } from '../shell-cluster.ts';

export type SlotKind = 'durable' | 'churning' | 'auto-delete' | 'volatile';

/** A queue's name, and what is known of the queue that has it. */
export class Slot {
  readonly name: string;
  readonly kind: SlotKind;
  /** Somebody was told that it is declared, and nothing began since that may end it: every publish must find it. */
  isSure = false;
  /** Raised whenever something begins or ends that may take messages away: purge, delete, trouble of its host. */
  epoch = 0;
  /** Purges and deletions whose end is not known: messages may go at any time. */
  ending = 0;
  /** Keys of the workload's exchange by which messages come; false: perhaps. */
  readonly bindings = new Map<string, boolean>();
  /** The node of a volatile queue. */
  host: string | undefined;

  constructor(name: string, kind: SlotKind) {
    this.name = name;
    this.kind = kind;
  }

  get isDurable(): boolean {
    return this.kind !== 'volatile';
  }

  get declaration() {
    const { kind, isDurable } = this;
    return { durable: isDurable, exclusive: false, autoDelete: kind === 'auto-delete', arguments: new Map() };
  }

  /** Something may take its messages, or itself, from now on. */
  unsettle({ endsQueue }: { readonly endsQueue: boolean }): void {
    this.epoch++;
    if (!endsQueue) return;
    this.isSure = false;
    for (const key of this.bindings.keys()) this.bindings.set(key, false);
  }

  isBoundFor(key: string): boolean {
    return this.isSure && this.bindings.get(key) === true;
  }
}

/** All queues of a run, and which nodes are in trouble: volatile queues of those promise nothing. */
export class Slots {
  readonly all: readonly Slot[];
  readonly #byName: ReadonlyMap<string, Slot>;
  readonly #troubled = new Set<string>();
  readonly #cluster: ShellCluster;

  constructor(cluster: ShellCluster) {
    this.#cluster = cluster;
    const named = (kind: SlotKind, prefix: string, count: number) =>
      Array.from({ length: count }, (_, i) => new Slot(`${prefix}${i}`, kind));
    this.all = [
      ...named('durable', 'd', 4),
      ...named('churning', 'c', 3),
      ...named('auto-delete', 'a', 1),
      ...named('volatile', 'v', 3),
    ];
    this.#byName = new Map(this.all.map(slot => [slot.name, slot]));
  }

  get(name: string): Slot {
    return this.#byName.get(name)!;
  }

  of(...kinds: readonly SlotKind[]): Slot[] {
    return this.all.filter(({ kind }) => kinds.includes(kind));
  }

  /** A client was told that the queue is there. */
  declared(slot: Slot): void {
    if (slot.kind === 'auto-delete' || slot.ending > 0) return;
    if (slot.kind === 'volatile') {
      slot.host = this.#hostOf(slot);
      if (slot.host === undefined || this.#troubled.has(slot.host)) return;
    }
    slot.isSure = true;
  }

  bound(slot: Slot, key: string): void {
    if (slot.isSure) slot.bindings.set(key, true);
  }

  /** These nodes may lose their incarnations; two of them at once leave nobody who could keep his own. */
  trouble(names: readonly string[]): void {
    for (const name of names) this.#troubled.add(name);
    const all = this.#troubled.size > 1;
    for (const slot of this.of('volatile')) {
      if (all || slot.host === undefined || this.#troubled.has(slot.host)) slot.unsettle({ endsQueue: true });
    }
  }

  calm(names: readonly string[]): void {
    for (const name of names) this.#troubled.delete(name);
  }

  #hostOf({ name }: Slot): string | undefined {
    for (const node of this.#cluster.running()) {
      const queue = node.cluster?.replicas.metadata.machine.topology.queue('/', name);
      if (queue?.home.kind !== 'volatile') continue;
      const { home } = queue;
      return this.#cluster.running().find(({ cluster }) => cluster?.self === home.node)?.name;
    }
    return undefined;
  }
}
