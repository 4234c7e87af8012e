import type { Received, ShellClient } from '../shell-cluster.ts';
import type { Slot } from './slots.ts';
import { Worker, type WorkerContext } from './worker.ts';

/** Consumes one queue, whatever queue has its name at the moment. */
export class Subscriber extends Worker {
  readonly #slot: Slot;
  #unsettled: Received[] = [];
  #handle = 0;
  #state: 'idle' | 'asking' | 'consuming' | 'cancelling' = 'idle';
  /** From each publisher, what the present consumer got last. */
  #order = new Map<string, number>();
  /** Also gives some back, leaves some lying for a while, does not read, cancels and leaves now and then. */
  isMoody = true;

  constructor(slot: Slot, context: WorkerContext) {
    super(context);
    this.#slot = slot;
  }

  get slot(): Slot {
    return this.#slot;
  }

  get isConsuming(): boolean {
    return this.#state === 'consuming';
  }

  protected override connected(client: ShellClient): void {
    this.#state = 'idle';
    client.onDelivery = received => this.#delivered(client, received);
  }

  protected work(client: ShellClient): void {
    if (this.#state === 'consuming' && client.cancelledHandles.includes(this.#handle)) {
      if (this.#slot.kind === 'durable') this.auditor.violation(`a consumer of ${this.#slot.name} was cancelled`);
      this.#state = 'idle';
      this.#unsettled = [];
      return;
    }
    this.#settle(client);
    if (this.#state === 'idle') this.#consume(client);
    if (!this.isMoody) {
      if (!client.isReading) client.isReading = true;
      client.flush();
      return;
    }
    if (this.random.next() < 0.02) {
      client.isReading = !client.isReading;
      client.flush();
    }
    if (this.random.next() < 0.004) this.close(client);
    else if (this.#state === 'consuming' && this.random.next() < 0.01) this.#cancel(client);
  }

  protected override lost(): void {
    this.#unsettled = [];
    this.#state = 'idle';
  }

  #delivered(client: ShellClient, received: Received): void {
    if (client.closedReason !== undefined) return;
    this.auditor.delivered(this.#slot, received, this.#order);
    if (received.handle !== this.#handle || this.#state === 'idle') {
      this.auditor.violation(`${received.body} came to a cancelled consumer of ${this.#slot.name}`);
    }
    this.#unsettled.push(received);
  }

  #settle(client: ShellClient): void {
    const keep = this.isMoody ? this.random.integer(0, 5) : 0;
    while (this.#unsettled.length > keep) {
      const received = this.#unsettled.shift()!;
      const mood = this.isMoody ? this.random.next() : 1;
      if (mood < 0.1) {
        client.settle(received, 'return');
        continue;
      }
      this.auditor.settled(this.#slot, received.body, client);
      client.settle(received, mood < 0.2 ? 'discard' : 'settle');
    }
  }

  #consume(client: ShellClient): void {
    this.#state = 'asking';
    this.#order = new Map();
    const window = this.isMoody ? this.random.integer(0, 3) * 10 : 0;
    const request = { consumer: ++this.#handle, tag: '', autoAck: false, exclusive: false, window };
    const asked = client.session.consume({ queue: this.#slot.name, arguments: new Map(), ...request });
    void this.ask(client, `consume from ${this.#slot.name}`, asked).then(result => {
      if (this.client === client && this.#state === 'asking') this.#state = result.ok ? 'consuming' : 'idle';
    });
  }

  #cancel(client: ShellClient): void {
    this.#state = 'cancelling';
    if (this.#slot.kind === 'auto-delete') this.#slot.unsettle({ endsQueue: true });
    void this.ask(client, 'cancel', client.session.cancel(this.#handle)).then(() => {
      if (this.client === client) this.#state = 'idle';
    });
  }
}
