import type { RouteCollector } from './route-collector.ts';
import type { Destination } from './topology-records.ts';

/** A set of destinations in which one may stand several times, because it is bound several times. */
export class DestinationCounts {
  readonly #counts = new Map<Destination, number>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  add(destination: Destination): void {
    this.#counts.set(destination, (this.#counts.get(destination) ?? 0) + 1);
  }

  remove(destination: Destination): void {
    const count = this.#counts.get(destination) ?? 0;
    if (count > 1) this.#counts.set(destination, count - 1);
    else this.#counts.delete(destination);
  }

  addTo(route: RouteCollector): void {
    for (const destination of this.#counts.keys()) route.add(destination);
  }
}
