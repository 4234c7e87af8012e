import type { ShellClient } from '../shell-cluster.ts';
import { Worker, type WorkerContext } from './worker.ts';

/** Fills a queue of its own, and expects that its count is the truth, before and after a purge. */
export class Counter extends Worker {
  readonly #name: string;
  #rounds = 0;
  #isBusy = false;
  isActive = true;

  constructor(name: string, context: WorkerContext) {
    super(context);
    this.#name = name;
  }

  protected override lost(): void {
    this.#isBusy = false;
  }

  protected work(client: ShellClient): void {
    if (this.#isBusy || !this.isActive || !client.connection.mayPublish || this.random.next() < 0.7) return;
    this.#isBusy = true;
    void this.#round(client).then(() => {
      if (this.client === client) this.#isBusy = false;
    });
  }

  async #round(client: ShellClient): Promise<void> {
    const name = `${this.#name}-${++this.#rounds}`;
    const declaration = { name, durable: true, exclusive: false, autoDelete: false, arguments: new Map() };
    const declared = await this.ask(client, 'declare', client.session.declareQueue({ ...declaration, passive: false }));
    if (!declared.ok) return;
    const numbers: number[] = [];
    for (let i = this.random.integer(1, 20); i > 0 && client.connection.mayPublish; i--) {
      const number = client.publish(name, 'to be counted');
      if (typeof number === 'number') numbers.push(number);
      else this.auditor.violation(`${name} was declared and found nothing at ${client.node.name}`);
    }
    const count = async (): Promise<number | undefined> => {
      const counted = await this.ask(client, 'count', client.session.declareQueue({ ...declaration, passive: true }));
      return counted.ok ? counted.value.messageCount : undefined;
    };
    const before = await count();
    if (before !== undefined && !numbers.every(number => client.confirmedNumbers.has(number))) {
      this.auditor.violation(`${name}: a count overtook the confirms of what was published before`);
    }
    if (before !== undefined && before !== numbers.length) {
      this.auditor.violation(`${name} has ${numbers.length} messages and counts ${before}`);
    }
    const purged = await this.ask(client, 'purge', client.session.purgeQueue(name));
    if (purged.ok && purged.value.messageCount !== numbers.length) {
      this.auditor.violation(`${name} had ${numbers.length} messages and lost ${purged.value.messageCount} by a purge`);
    }
    const after = await count();
    if (after !== undefined && purged.ok && after !== 0)
      this.auditor.violation(`${name} counts ${after} after a purge`);
    await this.ask(client, 'delete', client.session.deleteQueue({ name, ifUnused: false, ifEmpty: false }));
  }
}
