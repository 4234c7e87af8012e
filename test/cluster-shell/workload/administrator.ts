import { bodyOf, type ShellClient } from '../shell-cluster.ts';
import { EXCHANGE, KEYS, type Publisher } from './publisher.ts';
import type { Slot } from './slots.ts';
import { pick, Worker, type WorkerContext } from './worker.ts';

/** Declares, binds, unbinds, purges and deletes while the others work, and takes a message by `get` now and then. */
export class Administrator extends Worker {
  readonly #publishers: readonly Publisher[];
  #busy = 0;
  isActive = true;

  constructor(publishers: readonly Publisher[], context: WorkerContext) {
    super(context);
    this.#publishers = publishers;
  }

  protected override lost(): void {
    this.#busy = 0;
  }

  protected work(client: ShellClient): void {
    if (!this.isActive || this.#busy > 2 || this.random.next() < 0.5) return;
    const some = pick(this.random, this.slots.of('churning', 'volatile', 'auto-delete'));
    const steps = [
      () => this.#declare(client, some),
      () => this.#declare(client, some),
      () => this.#bind(client, some, pick(this.random, KEYS)),
      () => this.#bind(client, some, pick(this.random, KEYS)),
      () => this.#unbind(client, some, pick(this.random, KEYS)),
      () => this.#get(client, pick(this.random, this.slots.all)),
      () => (this.random.next() < 0.3 ? this.#end(client, some, 'delete') : this.#exclusive(client)),
      () => (this.random.next() < 0.3 ? this.#end(client, some, 'purge') : this.#exclusive(client)),
    ];
    this.#busy++;
    void pick(this.random, steps)().then(() => {
      if (this.client === client) this.#busy--;
    });
  }

  async #declare(client: ShellClient, slot: Slot): Promise<void> {
    const request = { name: slot.name, passive: false, ...slot.declaration };
    const { epoch } = slot;
    const result = await this.ask(client, `declare ${slot.name}`, client.session.declareQueue(request));
    if (!result.ok || epoch !== slot.epoch) return;
    this.slots.declared(slot);
    for (const publisher of this.#publishers) publisher.publishTo(slot);
  }

  async #bind(client: ShellClient, slot: Slot, key: string): Promise<void> {
    const request = { queue: slot.name, exchange: EXCHANGE, routingKey: key, arguments: new Map() };
    if (!slot.bindings.has(key)) slot.bindings.set(key, false);
    const { epoch } = slot;
    const result = await this.ask(client, `bind ${slot.name}`, client.session.bindQueue(request));
    if (!result.ok || epoch !== slot.epoch) return;
    this.slots.bound(slot, key);
    for (const publisher of this.#publishers) publisher.publishBy(key);
  }

  async #unbind(client: ShellClient, slot: Slot, key: string): Promise<void> {
    const request = { queue: slot.name, exchange: EXCHANGE, routingKey: key, arguments: new Map() };
    // A bind that is on its way may come behind it, or before.
    slot.unsettle({ endsQueue: false });
    if (slot.bindings.has(key)) slot.bindings.set(key, false);
    await this.ask(client, `unbind ${slot.name}`, client.session.unbindQueue(request));
    slot.unsettle({ endsQueue: false });
    if (slot.bindings.has(key)) slot.bindings.set(key, false);
  }

  async #end(client: ShellClient, slot: Slot, how: 'delete' | 'purge'): Promise<void> {
    slot.ending++;
    slot.unsettle({ endsQueue: how === 'delete' });
    const asked: Promise<{ readonly ok: boolean }> =
      how === 'delete'
        ? client.session.deleteQueue({ name: slot.name, ifUnused: false, ifEmpty: false })
        : client.session.purgeQueue(slot.name);
    const { ok } = await this.ask(client, `${how} ${slot.name}`, asked);
    slot.unsettle({ endsQueue: how === 'delete' });
    // Without a clear answer it may still come.
    if (ok) slot.ending--;
  }

  async #get(client: ShellClient, slot: Slot): Promise<void> {
    const autoAck = this.random.next() < 0.3;
    const asked = client.session.get({ queue: slot.name, autoAck, consumer: 99 });
    const result = await this.ask(client, `get from ${slot.name}`, asked);
    if (!result.ok || result.value.empty || client.closedReason !== undefined) return;
    const { delivery } = result.value;
    const received = { handle: 99, number: delivery.number, body: bodyOf(delivery), redelivered: delivery.redelivered };
    this.auditor.delivered(slot, received, new Map());
    const isReturned = !autoAck && this.random.next() < 0.5;
    if (!isReturned) this.auditor.settled(slot, received.body, client);
    if (!autoAck) client.settle(received, isReturned ? 'return' : 'settle');
  }

  /** A queue of this connection alone, which ends with it. */
  async #exclusive(client: ShellClient): Promise<void> {
    const more = { passive: false, durable: false, exclusive: true, autoDelete: false, arguments: new Map() };
    const declared = await this.ask(client, 'declare mine', client.session.declareQueue({ name: '', ...more }));
    if (!declared.ok || client.closedReason !== undefined) return;
    const { name } = declared.value;
    if (client.connection.mayPublish && client.publish(name, 'to myself') === 'unroutable') {
      this.auditor.violation(`${name} was declared and found nothing at ${client.node.name}`);
    }
    if (this.random.next() < 0.5) this.close(client);
    else await this.ask(client, 'delete mine', client.session.deleteQueue({ name, ifUnused: false, ifEmpty: false }));
  }
}
