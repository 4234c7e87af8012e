import type { QueueId } from '../lib/ids.ts';
import type { FieldTable } from './field-table.ts';
import { type Destination, destinationExchange, destinationQueue } from './topology-records.ts';

/** What of a message decides where it goes. The functions decode lazily: most routes need neither. */
export interface Routable {
  readonly routingKey: string;
  /** Further keys that count like the first (the headers CC and BCC of AMQP clients). */
  readonly moreRoutingKeys: readonly string[];
  readonly headers: () => FieldTable | undefined;
  readonly property: (name: HashedProperty) => string | undefined;
}

/** Properties that an exchange may hash by. */
export const HASHED_PROPERTIES = ['correlation_id', 'message_id', 'timestamp'] as const;
export type HashedProperty = (typeof HASHED_PROPERTIES)[number];

/** Gathers where one message goes: each queue once, and the exchanges through which it comes there, each once. */
export class RouteCollector {
  readonly queues = new Set<QueueId>();
  /** In the order in which they were met; one that is added while the set is walked is walked too. */
  readonly exchanges = new Set<number>();
  /** Something was added since the last `beginExchange`. */
  #hasMatch = false;

  get hasMatch(): boolean {
    return this.#hasMatch;
  }

  begin(firstExchange: number): void {
    if (this.queues.size > 0) this.queues.clear();
    this.exchanges.clear();
    this.exchanges.add(firstExchange);
  }

  beginExchange(): void {
    this.#hasMatch = false;
  }

  add(destination: Destination): void {
    this.#hasMatch = true;
    const queue = destinationQueue(destination);
    if (queue === undefined) this.exchanges.add(destinationExchange(destination)!);
    else this.queues.add(queue);
  }

  has(destination: Destination): boolean {
    const queue = destinationQueue(destination);
    return queue === undefined ? this.exchanges.has(destinationExchange(destination)!) : this.queues.has(queue);
  }
}
