import type { Logger } from '../../src/lib/logger.ts';
import type { SimNode } from './sim-node.ts';

/** What a node says goes into the trace. What it says of an error that it caught is a fault of the code under test. */
export class SimLogger implements Logger {
  readonly #node: SimNode;

  constructor(node: SimNode) {
    this.#node = node;
  }

  info(fields: object, text: string): void {
    this.#node.cluster.world.log(`n{} {}: ${text}`, this.#node.id, JSON.stringify(fields));
  }

  warn(fields: object, text: string): void {
    this.info(fields, text);
  }

  error(fields: object, text: string): void {
    this.info(fields, text);
    if ('error' in fields) throw new Error(`${text}: ${fields.error}`);
  }
}
